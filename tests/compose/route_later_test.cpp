// Routes whose arms answer later.
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/compose/route.hpp>
#include <galley/core/slot.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/allocations.hpp>
#include <support/batching.hpp>
#include <support/rows.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Completion;
using galley::Error;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::route;
using galley::RouteStatistics;
using galley::Rows;
using galley::Servable;
using galley::Status;
using support::IntEar;
using namespace std::chrono_literals;

namespace {

Servable<int, int> plus(int by) {
  return galley::map("plus " + std::to_string(by), [by](int n) { return n + by; });
}

bool is_odd(int n) {
  return n % 2 != 0;
}

RouteStatistics statistics_of(const Servable<int, int>& graph) {
  RouteStatistics statistics;
  REQUIRE(graph.control("", statistics).has_value());
  return statistics;
}

using Counts = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("a classifier says which arm, for all rows at once", "[route]") {
  int calls = 0;
  const auto classifier = galley::map_batch("classifier", [&calls](const Rows<int>& rows) {
    ++calls;
    Outcomes<std::size_t> out;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] < 0) {
        out.casualties().append(i, Error(Status::not_found, "no class"));
      } else {
        out.survivors().push_back(static_cast<std::size_t>(rows[i] % 3));
      }
    }
    return out;
  });
  const ManualExecutor executor;
  const auto check = [&](const Outcomes<int>& out) {
    CHECK(*out[0] == 0);
    CHECK(*out[1] == 104);
    CHECK(out[2].error() == Error(Status::not_found, "classifier: no class"));
    CHECK(out[3].status() == Status::internal);
    CHECK(*out[4] == 3);
  };
  const Rows<int> rows{0, 4, -1, 2, 3};
  const auto now = route(classifier, {plus(0), plus(100)});
  check(now.serve_rows(rows));
  CHECK(calls == 1);
  CHECK(now.describe().children.size() == 3);
  const auto later =
      route(galley::on(executor, classifier), {plus(0), galley::on(executor, plus(100))});
  CHECK_FALSE(later.traits().inline_only);
  IntEar ear;
  later.submit_rows(rows, {}, ear.listen(5));
  executor.run_all();
  REQUIRE(ear.answers == 1);
  check(ear.heard);
  check(later.serve_rows(rows));
  CHECK(statistics_of(later).rows == Counts{4, 2});
  CHECK(statistics_of(later).refused == 4);
}

TEST_CASE("arms that wait are asked at once", "[route]") {
  const ManualExecutor executor;
  int waiting = 0;
  const auto work = [&] {
    return galley::on(executor, galley::map("work", [](int n) { return n + 1; }));
  };
  const auto counted = [&](const Servable<int, int>& s) {
    return galley::map("count",
                       [&waiting](int n) {
                         ++waiting;
                         return n;
                       }) |
           s;
  };
  const auto graph =
      route([](int n) { return n % 3; }, {counted(work()), counted(work()), plus(1)});
  const Rows<int> rows{0, 1, 2, 3, 4, 5};
  SECTION("submitted") {
    IntEar ear;
    graph.submit_rows(rows, {}, ear.listen(6));
    CHECK(executor.pending() == 2);
    executor.run_all();
    REQUIRE(ear.answers == 1);
    for (std::size_t i = 0; i < 6; ++i) CHECK(ear.value(i) == rows[i] + 1);
  }
  SECTION("served") {
    std::size_t most = 0;
    const auto look = galley::map("look", [&](int n) {
      most = std::max(most, executor.pending());
      return n;
    });
    const auto watched = route(is_odd, {galley::on(executor, look), galley::on(executor, look)});
    const Outcomes<int> out = watched.serve_rows(rows);
    for (std::size_t i = 0; i < 6; ++i) CHECK(*out[i] == rows[i]);
    CHECK(most == 1);  // while the first ran, the second was there
  }
  SECTION("served over two executors, one after the other") {
    const ManualExecutor other;
    const auto apart = route(is_odd, {galley::on(executor, plus(0)), galley::on(other, plus(0))});
    const Outcomes<int> out = apart.serve_rows(rows);
    for (std::size_t i = 0; i < 6; ++i) CHECK(*out[i] == rows[i]);
  }
  SECTION("served by a worker") {
    const auto outer = galley::on(executor, galley::map_batch("outer", [&](const Rows<int>& all) {
                                    return graph.serve_rows(all);
                                  }));
    const Outcomes<int> out = outer.serve_rows(rows);
    for (std::size_t i = 0; i < 6; ++i) CHECK(*out[i] == rows[i] + 1);
  }
  SECTION("served over completions") {
    const Servable<int, int> later("later", [](int n, Completion<int> done) { done(n); });
    const Outcomes<int> out = route(is_odd, {later, later}).serve_rows(rows);
    for (std::size_t i = 0; i < 6; ++i) CHECK(*out[i] == rows[i]);
  }
}

TEST_CASE("serve gives up at the deadline, and keeps what was answered", "[route]") {
  const ManualExecutor executor;
  std::vector<Completion<int>> kept;
  const auto alive = std::make_shared<int>(0);
  std::optional graph =
      route(is_odd,
            {galley::on(executor, Servable<int, int>("never",
                                                     [&kept, alive](int, Completion<int> done) {
                                                       kept.push_back(std::move(done));
                                                     })),
             galley::on(executor, plus(0))},
            {.name = "r"});
  const Outcomes<int> out =
      graph->serve_rows(Rows<int>{1, 2, 3}, {.deadline = executor.now() + 5ms});
  CHECK(*out[0] == 1);
  CHECK(out[1].error() == Error(Status::deadline_exceeded, "r: no answer in time"));
  CHECK(*out[2] == 3);
  graph.reset();
  CHECK(alive.use_count() == 2);
  kept.clear();
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a route whose waiting nobody can end answers failed_precondition", "[route]") {
  const ManualExecutor executor;
  std::vector<Completion<int>> kept;
  const auto never = galley::on(
      executor, Servable<int, int>(
                    "never", [&](int, Completion<int> done) { kept.push_back(std::move(done)); }));
  const auto graph = route(is_odd, {never, galley::on(executor, plus(0))});
  const Outcomes<int> out = graph.serve_rows(Rows<int>{1, 2});
  CHECK(*out[0] == 1);
  CHECK(out[1].status() == Status::failed_precondition);
}

TEST_CASE("a request in flight owns the route, its rows and its contexts", "[route]") {
  const ManualExecutor executor;
  const auto alive = std::make_shared<int>(0);
  for (const bool by_classifier : {false, true}) {
    IntEar ear;
    {
      const auto arm = [&](int by) {
        return galley::on(executor, galley::map("arm", [alive, by](const std::string& s) {
                            return static_cast<int>(s.size()) + by;
                          }));
      };
      const auto pick = [alive](const std::string& s) { return s.size() % 2; };
      const std::vector<Servable<std::string, int>> arms{arm(0), arm(100)};
      const auto graph = by_classifier
                             ? route(galley::on(executor, galley::map("pick", pick)), arms)
                             : route(pick, arms);
      graph.submit_rows(Rows<std::string>{"a text that is long enough for the heap", "odd", "even"},
                        {.deadline = executor.now() + 1s}, ear.listen(3));
    }
    CHECK(alive.use_count() > 1);
    executor.run_ready();
    REQUIRE(ear.answers == 1);
    CHECK(ear.value(0) == 139);
    CHECK(ear.value(1) == 103);
    CHECK(ear.value(2) == 4);
    CHECK(alive.use_count() == 1);
  }
}

TEST_CASE("each request's rows are given up by its own deadline and stop", "[route]") {
  const ManualExecutor executor;
  std::stop_source stop;
  const auto dawdle = galley::map("dawdle", [&](int n) {
    executor.pass(10ms);
    stop.request_stop();
    return n;
  });
  const auto arm = dawdle | galley::on(executor, plus(0));
  const auto graph = galley::batched(executor, route(is_odd, {arm, arm}), support::always_queued);
  IntEar soon, stopped, open;
  graph.submit_rows(Rows<int>{5, 6}, {}, open.listen(2));
  graph.submit_rows(Rows<int>{1, 2}, {.deadline = executor.now() + 5ms}, soon.listen(2));
  graph.submit_rows(Rows<int>{3, 4}, {.stop = stop.get_token()}, stopped.listen(2));
  executor.run_all();
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(soon.status(i) == Status::deadline_exceeded);
    CHECK(stopped.status(i) == Status::cancelled);
    CHECK(open.value(i) == static_cast<int>(i) + 5);
  }
}

TEST_CASE("the rows of a request see one version of a slot, whatever their arm", "[route]") {
  const auto made = galley::slot("slot", plus(1));
  bool published = false;
  const auto publishes = galley::map("publish", [&](int n) {
    if (!std::exchange(published, true)) (void)made.publisher.publish(plus(2));
    return n;
  });
  const ManualExecutor executor;
  SECTION("split") {
    const auto graph = route(is_odd, {publishes | made.servable, made.servable});
    const Outcomes<int> out = graph.serve_rows(Rows<int>{0, 1});
    CHECK(*out[0] == 1);
    CHECK(*out[1] == 2);
  }
  SECTION("split and submitted") {
    const auto graph = route(is_odd, {galley::on(executor, publishes | made.servable),
                                      galley::on(executor, made.servable)});
    IntEar ear;
    graph.submit_rows(Rows<int>{0, 1}, {}, ear.listen(2));
    executor.run_all();
    CHECK(ear.value(0) == 1);
    CHECK(ear.value(1) == 2);
  }
  SECTION("classified") {
    const auto classifier = publishes | made.servable | galley::map("class", [](int n) {
                              return static_cast<std::size_t>(n % 2 == 0);
                            });
    const auto graph = route(classifier, {made.servable, made.servable});
    CHECK(*graph.serve(4) == 5);
  }
  CHECK(*made.servable.serve(0) == 2);
}
