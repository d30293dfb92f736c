#include <galley/compose/last_good.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/has.hpp>

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchCompletion;
using galley::Error;
using galley::Key;
using galley::last_good;
using galley::LastGoodStatistics;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using support::has;
using namespace std::chrono_literals;

namespace {

/// Answers tenfold, or fails while `broken` says with what.
struct Flaky {
  std::shared_ptr<Status> broken = std::make_shared<Status>(Status::ok);
  Servable<int, int> servable = galley::map("model", [b = broken](int n) -> Result<int> {
    if (*b != Status::ok && n != 7) return Error(*b, "broken");
    return 10 * n;
  });
};

Result<int> ask(const Servable<int, int>& graph, int row, Key key) {
  const std::array<Key, 1> keys{key};
  return graph.serve(row, {}, {.keys = keys});
}

}  // namespace

TEST_CASE("a failed row is answered by what its own key was answered last", "[last_good]") {
  const Flaky model;
  const auto graph = last_good(model.servable);
  CHECK(*ask(graph, 1, 100) == 10);
  CHECK(*ask(graph, 2, 100) == 20);
  CHECK(*ask(graph, 3, 200) == 30);
  *model.broken = Status::unavailable;
  CHECK(*ask(graph, 5, 100) == 20);
  CHECK(*ask(graph, 5, 200) == 30);
  CHECK(ask(graph, 5, 300).status() == Status::unavailable);
  CHECK(graph.serve(5).status() == Status::unavailable);  // no key

  LastGoodStatistics statistics;
  REQUIRE(graph.control("", statistics).has_value());
  CHECK(statistics.keys == 2);
  CHECK(statistics.rescued == 2);
  CHECK(statistics.without == 1);
}

TEST_CASE("a row that is wrong is not answered by an older one", "[last_good]") {
  const Flaky model;
  const auto graph = last_good(model.servable);
  CHECK(*ask(graph, 1, 100) == 10);
  *model.broken = Status::invalid_argument;
  CHECK(ask(graph, 2, 100).status() == Status::invalid_argument);
  const auto lenient = last_good(model.servable, {.on = {Status::invalid_argument}});
  *model.broken = Status::ok;
  CHECK(*ask(lenient, 1, 100) == 10);
  *model.broken = Status::invalid_argument;
  CHECK(*ask(lenient, 2, 100) == 10);
}

TEST_CASE("in a batch each row is mended by itself and keeps its place", "[last_good]") {
  const ManualExecutor executor;
  const Flaky model;
  for (const bool later : {false, true}) {
    const auto graph = last_good(later ? galley::on(executor, model.servable) : model.servable);
    const std::array<Key, 4> keys{1, 2, 3, 4};
    *model.broken = Status::ok;
    REQUIRE(graph.serve_rows(Rows<int>{1, 2}, {}, {.keys = std::span(keys).first(2)}).all_ok());
    *model.broken = Status::internal;
    std::vector<std::string> heard;
    const auto hear = [&](const Outcomes<int>& found) {
      for (std::size_t i = 0; i < found.size(); ++i) {
        heard.push_back(found[i].has_value() ? std::to_string(*found[i])
                                             : std::string(to_string(found[i].status())));
      }
    };
    graph.submit_rows(Rows<int>{5, 6, 7, 8}, {}, BatchCompletion<int>(4, hear), {.keys = keys});
    executor.run_all();
    CHECK(heard == std::vector<std::string>{"10", "20", "70", "internal"});
    CHECK(*ask(graph, 9, 3) == 70);  // kept from the batch
  }
}

TEST_CASE("values grow old, by the clock that was given", "[last_good]") {
  const ManualExecutor executor;
  const Flaky model;
  const auto graph = last_good(model.servable, {.max_age = 10ms, .clock = executor.now().clock});
  CHECK(*ask(graph, 1, 100) == 10);
  *model.broken = Status::unavailable;
  executor.advance(10ms);
  CHECK(*ask(graph, 2, 100) == 10);
  executor.advance(1ns);
  CHECK(ask(graph, 2, 100).status() == Status::unavailable);
}

TEST_CASE("no more keys are kept than was said, those answered for longest go", "[last_good]") {
  const Flaky model;
  const auto graph = last_good(model.servable, {.max_keys = 64});
  for (Key key = 0; key < 10'000; ++key) REQUIRE(ask(graph, 1, key).has_value());
  LastGoodStatistics statistics;
  REQUIRE(graph.control("", statistics).has_value());
  CHECK(statistics.keys == 64);
  *model.broken = Status::unavailable;
  CHECK(ask(graph, 1, 0).status() == Status::unavailable);
  CHECK(*ask(graph, 1, 9'999) == 10);
}

TEST_CASE("options that cannot be are said by check", "[last_good]") {
  const Flaky model;
  const auto why = [](const Servable<int, int>& s) { return s.check().error().detail; };
  has(why(last_good(model.servable, {.max_keys = 0})), "max_keys: expected at least 1");
  has(why(last_good(model.servable, {.max_age = -1ns})), "max_age");
  const auto counter = galley::map(
      "counter", [](int n) { return n; }, galley::NodeTraits{.stateful = true});
  has(why(last_good(counter)), "stateful");
  CHECK(last_good(model.servable).describe().kind == "last_good");
}
