// Cascades and fallbacks.
#include <galley/compose/batched.hpp>
#include <galley/compose/cascade.hpp>
#include <galley/compose/fallback.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/slot.hpp>
#include <galley/policy/accept/confident.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/allocations.hpp>
#include <support/has.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchCompletion;
using galley::cascade;
using galley::ChainStatistics;
using galley::constant;
using galley::Context;
using galley::Error;
using galley::fallback;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using support::has;
using namespace std::chrono_literals;

namespace {

using Model = Servable<int, int>;

/// Answers n + `add`, and notes which rows came to it, call by call.
Model noting(const std::string& name, int add, std::vector<std::vector<int>>& calls) {
  return galley::map_batch(name, [add, &calls](const Rows<int>& rows) {
    Rows<int> out;
    calls.emplace_back(rows.begin(), rows.end());
    for (const int n : rows) out.push_back(n + add);
    return out;
  });
}

/// Fails with `status` for the rows that `divisor` divides.
Model failing(const std::string& name, int divisor, Status status, int add) {
  return galley::map(name, [=](int n) -> Result<int> {
    if (n % divisor == 0) return Error(status, "no " + std::to_string(n));
    return n + add;
  });
}

std::vector<std::string> said(const Outcomes<int>& outcomes) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    all.push_back(outcomes[i].has_value() ? std::to_string(*outcomes[i])
                                          : to_string(outcomes[i].error()));
  }
  return all;
}

/// What both ways of asking say, which have to be one.
std::vector<std::string> asked(const ManualExecutor& executor, const Model& model,
                               const Rows<int>& rows) {
  const std::vector<std::string> now = said(model.serve_rows(rows));
  std::vector<std::string> later;
  model.submit_rows(rows, {}, BatchCompletion<int>(rows.size(), [&](const Outcomes<int>& found) {
                      later = said(found);
                    }));
  executor.run_all();
  CHECK(later == now);
  return now;
}

const auto even = [](int answer) { return answer % 2 == 0; };

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("rows that a level is sure of stay, the rest go on together", "[cascade]") {
  std::vector<std::vector<int>> first, second, third;
  const auto graph = cascade(
      {noting("a", 0, first), noting("b", 100, second), noting("c", 1000, third)},
      [](std::size_t level, int answer) { return level == 0 ? answer < 10 : answer % 2 == 0; });
  CHECK(graph.name() == "cascade(a, b, c)");
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{1, 20, 2, 31, 33, 40});
  CHECK(said(outcomes) == Strings{"1", "120", "2", "1031", "1033", "140"});
  CHECK(first == std::vector<std::vector<int>>{{1, 20, 2, 31, 33, 40}});
  CHECK(second == std::vector<std::vector<int>>{{20, 31, 33, 40}});
  CHECK(third == std::vector<std::vector<int>>{{31, 33}});

  ChainStatistics statistics;
  REQUIRE(graph.control("", statistics).has_value());
  REQUIRE(statistics.levels.size() == 3);
  CHECK(statistics.levels[0].name == "a");
  CHECK(statistics.levels[0].rows == 6);
  CHECK(statistics.levels[0].answered == 2);
  CHECK(statistics.levels[1].rows == 4);
  CHECK(statistics.levels[1].answered == 2);
  CHECK(statistics.levels[2].rows == 2);
  CHECK(statistics.levels[2].answered == 2);
}

TEST_CASE("where all are sure the next level is not asked, and nothing is copied", "[cascade]") {
  std::vector<std::vector<int>> none;
  int calls = 0;
  const auto small = galley::map("small", [&calls](int n) {
    ++calls;
    return 2 * n;
  });
  const auto graph = cascade({small, noting("large", 1, none)}, even);
  CHECK(*graph.serve(4) == 8);
  const support::AllocationCount count;
  CHECK(*graph.serve(4) == 8);
  CHECK(count.so_far() == 0);
  CHECK(calls == 2);
  CHECK(none.empty());
}

TEST_CASE("a level's failures are its rows' alone, whoever is asked later", "[cascade]") {
  const ManualExecutor executor;
  const auto small = failing("small", 3, Status::invalid_argument, 0);
  const auto large = failing("large", 5, Status::unavailable, 100);
  const Strings wanted{"101",
                       "2",
                       "invalid_argument: small: no 3",
                       "4",
                       "unavailable: large: no 5",
                       "invalid_argument: small: no 6",
                       "107"};
  const Rows<int> rows{1, 2, 3, 4, 5, 6, 7};
  const auto on = [&](const Model& m) { return galley::on(executor, m); };
  for (const Model& graph :
       {cascade({small, large}, even), cascade({on(small), large}, even),
        cascade({small, on(large)}, even), cascade({on(small), on(large)}, even),
        on(cascade({small, on(large)}, even)),
        galley::batched(executor, cascade({small, large}, even)),
        cascade({galley::batched(executor, small), galley::batched(executor, large)}, even)}) {
    CAPTURE(graph.name());
    CHECK(asked(executor, graph, rows) == wanted);
  }
}

TEST_CASE("what a rule throws or answers as an error is its row's error", "[cascade]") {
  const ManualExecutor executor;
  const auto one = galley::map("one", [](int n) { return n; });
  const auto rule = [](int answer) -> Result<bool> {
    if (answer == 2) throw std::runtime_error("two");
    if (answer == 3) return Error(Status::invalid_argument, "three");
    return answer > 3;
  };
  const Strings wanted{"1", "internal: threw: two", "invalid_argument: three", "4"};
  CHECK(asked(executor, cascade({one, one}, rule), Rows<int>{1, 2, 3, 4}) == wanted);
  CHECK(asked(executor, cascade({galley::on(executor, one), one}, rule), Rows<int>{1, 2, 3, 4}) ==
        wanted);
}

TEST_CASE("a cascade of one level is that level, of none is broken", "[cascade]") {
  const auto one = galley::map("one", [](int n) { return n; });
  CHECK(*cascade({one}, even).serve(3) == 3);
  const Model none = cascade(std::vector<Model>(), even);
  REQUIRE_FALSE(none.check().has_value());
  has(none.check().error().detail, "cascade: expected at least one servable");
  CHECK(none.serve(1).status() == Status::invalid_argument);
}

TEST_CASE("a fallback is asked for the rows that failed, and only for these", "[fallback]") {
  const ManualExecutor executor;
  const auto first = failing("first", 2, Status::unavailable, 0);
  const auto second = failing("second", 3, Status::internal, 100);
  const Model last = constant<int>("unknown", -1);
  const auto on = [&](const Model& m) { return galley::on(executor, m); };
  const Strings wanted{"1", "102", "3", "104", "5", "-1"};
  for (const Model& graph :
       {fallback({first, second, last}), fallback({on(first), second, on(last)}),
        fallback({fallback({first, second}), last}),
        fallback({first, fallback({on(second), last})}),
        galley::batched(executor, fallback({first, second, last}))}) {
    CAPTURE(graph.name());
    CHECK(asked(executor, graph, Rows<int>{1, 2, 3, 4, 5, 6}) == wanted);
  }
  CHECK(asked(executor, fallback({first, second}), Rows<int>{6}) ==
        Strings{"internal: second: no 6"});
}

TEST_CASE("which failures are the service's own may be said", "[fallback]") {
  const Model last = constant<int>("unknown", -1);
  const auto wrong_row = failing("model", 1, Status::invalid_argument, 0);
  CHECK(fallback({wrong_row, last}).serve(1).status() == Status::invalid_argument);
  CHECK(*fallback({wrong_row, last}, {.on = {Status::invalid_argument}}).serve(1) == -1);
  const auto lost = failing("model", 1, Status::unavailable, 0);
  CHECK(fallback({lost, last}, {.on = {Status::invalid_argument}}).serve(1).status() ==
        Status::unavailable);
  const galley::Description about = fallback({lost, last}).describe();
  CHECK(about.kind == "fallback");
  REQUIRE(about.options.size() == 1);
  CHECK(about.options[0].second == "deadline_exceeded, resource_exhausted, unavailable, internal");
}

TEST_CASE("nobody is asked for a row that is late or cancelled, but each request by its own",
          "[fallback]") {
  const ManualExecutor executor;
  std::vector<std::vector<int>> asked_last;
  std::vector<galley::Completion<int>> held;
  const Model first(
      "first", [&held](int, galley::Completion<int> done) { held.push_back(std::move(done)); });
  const auto graph = fallback({first, noting("last", 0, asked_last)});
  std::vector<std::string> heard(3);
  std::stop_source stop;
  const std::vector<Context> contexts{
      {.deadline = executor.now() + 1ms}, {.stop = stop.get_token()}, {}};
  for (int i = 0; i < 3; ++i) {
    graph.submit(i, contexts[static_cast<std::size_t>(i)], [&heard, i](Result<int> r) {
      heard[static_cast<std::size_t>(i)] = r.has_value() ? "answered" : to_string(r.status());
    });
  }
  REQUIRE(held.size() == 3);
  stop.request_stop();
  executor.advance(2ms);
  for (auto& done : held) done(Error(Status::unavailable));
  CHECK(heard == Strings{"deadline_exceeded", "cancelled", "answered"});
  CHECK(asked_last == std::vector<std::vector<int>>{{2}});
}

TEST_CASE("the graph may be dropped while a level has the rows", "[cascade][fallback]") {
  const ManualExecutor executor;
  auto small = galley::on(executor, galley::map("small", [](int n) { return n; }));
  auto graph = std::make_unique<Model>(fallback(
      {cascade({small, galley::on(executor, failing("large", 1, Status::internal, 0))}, even),
       galley::on(executor, constant<int>("unknown", -1))}));
  Strings heard;
  graph->submit_rows(
      Rows<int>{1, 2, 3}, {},
      BatchCompletion<int>(3, [&](const Outcomes<int>& found) { heard = said(found); }));
  graph.reset();
  executor.run_all();
  CHECK(heard == Strings{"-1", "2", "-1"});
}

TEST_CASE("a request sees one version of a slot at every level", "[fallback]") {
  const ManualExecutor executor;
  auto slot = galley::slot("slot", galley::map("one", [](int n) -> Result<int> {
                             if (n < 10) return Error(Status::unavailable, "first version");
                             return n;
                           }));
  const auto again = galley::map("again", [](int n) { return n; }) | slot.servable;
  const auto graph = fallback({galley::on(executor, slot.servable), galley::on(executor, again)});
  std::string heard;
  graph.submit(1, {},
               [&](Result<int> r) { heard = r.has_value() ? "answered" : r.error().detail; });
  executor.run_one();
  REQUIRE(slot.publisher.publish(galley::map("two", [](int n) -> Result<int> { return n; }))
              .has_value());
  executor.run_all();
  has(heard, "first version");
  CHECK(*graph.serve(1) == 1);
}
