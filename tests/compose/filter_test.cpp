#include <galley/compose/filter.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/policy/check/in_range.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/batching.hpp>
#include <support/rows.hpp>

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Error;
using galley::filter;
using galley::FilterStatistics;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using support::BatchLog;
using support::IntEar;
using support::logged;

namespace {

Servable<int, int> model() {
  return logged(std::make_shared<BatchLog>());
}

}  // namespace

TEST_CASE("a prediction that the rule rejects is the row's error", "[filter]") {
  const auto graph = filter(
      [](int p) -> Result<void> {
        if (p == 130) throw std::runtime_error("unlucky");
        if (p > 50) return Error(Status::not_found, "too sure");
        return {};
      },
      model());
  const Outcomes<int> out = graph.serve_rows(Rows<int>{-1, 1, 6, 13, -2, 2});
  CHECK(out[0].error() == Error(Status::invalid_argument, "model: negative"));
  CHECK(*out[1] == 10);
  CHECK(out[2].error() == Error(Status::not_found, "filter(model): too sure"));
  CHECK(out[3].error() == Error(Status::internal, "filter(model): threw: unlucky"));
  CHECK(out[4].status() == Status::invalid_argument);
  CHECK(*out[5] == 20);
  FilterStatistics statistics;
  REQUIRE(graph.control("", statistics).has_value());
  CHECK(statistics.rejected == 2);
  CHECK(filter([](int) { return false; }, model()).serve(1).error() ==
        Error(Status::unavailable, "filter(model): the prediction was rejected"));
}

TEST_CASE("a rule may see the row beside its prediction", "[filter]") {
  const ManualExecutor executor;
  for (const bool later : {false, true}) {
    const auto graph = filter([](int row, int p) { return row != 2 && p == 10 * row; },
                              later ? galley::on(executor, model()) : model());
    const Outcomes<int> out = graph.serve_rows(Rows<int>{-1, 1, 2, 3});
    CHECK(out[0].status() == Status::invalid_argument);
    CHECK(*out[1] == 10);
    CHECK(out[2].status() == Status::unavailable);
    CHECK(*out[3] == 30);
    IntEar ear;
    graph.submit_rows(Rows<int>{-1, 1, 2, 3}, {}, ear.listen(4));
    executor.run_all();
    REQUIRE(ear.answers == 1);
    for (std::size_t i = 0; i < 4; ++i) CHECK(ear.heard[i].result() == out[i].result());
  }
}

TEST_CASE("a rule may change what it lets pass", "[filter]") {
  const auto clipped = filter([](int p) { return p > 50 ? 50 : p; }, model());
  const Outcomes<int> out = clipped.serve_rows(Rows<int>{1, -1, 9, 2});
  CHECK(*out[0] == 10);
  CHECK(out[1].status() == Status::invalid_argument);
  CHECK(*out[2] == 50);
  CHECK(*out[3] == 20);
  const auto both = filter(
      [](int row, int p) -> Result<int> {
        if (row % 2 == 0) return Error(Status::unavailable, "even");
        return p + row;
      },
      model());
  const Outcomes<int> mixed = both.serve_rows(Rows<int>{1, 2, -1, 3, 4, 5});
  CHECK(*mixed[0] == 11);
  CHECK(mixed[1].error() == Error(Status::unavailable, "filter(model): even"));
  CHECK(mixed[2].status() == Status::invalid_argument);
  CHECK(*mixed[3] == 33);
  CHECK(mixed[4].status() == Status::unavailable);
  CHECK(*mixed[5] == 55);
}

TEST_CASE("where predictions are bool, a bool is what they become", "[filter]") {
  const auto graph =
      filter([](bool p) { return !p; }, galley::map("m", [](int n) { return n > 0; }));
  CHECK(graph.serve(1) == Result<bool>(false));
  CHECK(graph.serve(0) == Result<bool>(true));
}

TEST_CASE("checks of rows are rules of predictions too", "[filter]") {
  const auto graph = filter(galley::in_range(0, 15), model());
  CHECK(*graph.serve(1) == 10);
  CHECK(graph.serve(2).error() ==
        Error(Status::invalid_argument, "filter(model): expected a number in [0, 15], got 20"));
  CHECK(graph.describe().options ==
        std::vector<std::pair<std::string, std::string>>{{"rule", "in [0, 15]"}});
  CHECK(graph.name() == "filter(model)");
  int nothing = 0;
  CHECK(graph.control("", nothing).status() == Status::unimplemented);
}

TEST_CASE("a rule of predictions alone lets rows be moved on", "[filter]") {
  const auto graph = filter([](int p) { return p < 10; },
                            galley::map("get", [](support::MoveOnly row) { return row.get(); }));
  CHECK(*graph.serve(support::MoveOnly(3)) == 3);
  const auto looks = filter([](const support::Counted& row, int p) { return row.value == p; },
                            galley::map("take", [](support::Counted row) { return row.value; }));
  CHECK(*looks.serve(support::Counted(4)) == 4);
}
