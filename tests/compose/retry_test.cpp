#include <galley/compose/retry.hpp>
#include <galley/core/slot.hpp>

#include <support/clock.hpp>
#include <support/resilience.hpp>
#include <support/rows.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Context;
using galley::Error;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::retry;
using galley::RetryOptions;
using galley::RetryStatistics;
using galley::Rows;
using galley::Servable;
using galley::Status;
using support::counted;
using support::Held;
using support::held;
using support::IntEar;
using support::Script;
using support::scripted;
using namespace std::chrono_literals;

namespace {

using Batches = std::vector<std::vector<int>>;

/// Fails rows below zero in the first `calls` calls.
std::shared_ptr<Script> failing_for(std::size_t calls, Status status = Status::unavailable) {
  auto script = std::make_shared<Script>();
  script->answer = [calls, status](int row, std::size_t call) -> Result<int> {
    if (row < 0 && call <= calls) return Error(status, "call " + std::to_string(call));
    return row * 10;
  };
  return script;
}

}  // namespace

TEST_CASE("only the rows that failed are tried again, at once", "[retry]") {
  const auto script = failing_for(1);
  const auto graph = retry(scripted(script));
  CHECK(graph.name() == "retry(model)");
  CHECK(graph.traits().inline_only);
  const std::vector<galley::Key> keys{1, 2, 3, 4};
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{1, -2, 3, -4}, {}, {.keys = keys});
  REQUIRE(outcomes.all_ok());
  CHECK(*outcomes[0] == 10);
  CHECK(*outcomes[1] == -20);
  CHECK(*outcomes[2] == 30);
  CHECK(*outcomes[3] == -40);
  CHECK(script->batches == Batches{{1, -2, 3, -4}, {-2, -4}});
  CHECK(script->keys[1] == std::vector<galley::Key>{2, 4});
  const auto statistics = counted<RetryStatistics>(graph);
  CHECK(statistics.rows == 4);
  CHECK(statistics.retried == 2);
  CHECK(statistics.recovered == 2);
}

TEST_CASE("attempts are counted, and the last one's error is the answer", "[retry]") {
  const auto script = failing_for(9);
  const auto graph = retry(scripted(script), {.attempts = 4});
  CHECK(graph.serve(-1).error() == Error(Status::unavailable, "model: call 4"));
  CHECK(script->batches.size() == 4);
  CHECK(counted<RetryStatistics>(graph).retried == 3);
  CHECK(counted<RetryStatistics>(graph).recovered == 0);
  CHECK(retry(scripted(script), {.attempts = 1}).serve(-1).status() == Status::unavailable);
  CHECK(script->batches.size() == 5);
}

TEST_CASE("rows that fail for another reason stay as they are", "[retry]") {
  const auto script = std::make_shared<Script>();
  script->answer = [](int row, std::size_t call) -> Result<int> {
    if (row == 1) return Error(Status::invalid_argument, "one");
    if (row == 2 && call == 1) return Error(Status::resource_exhausted);
    if (row == 3) return Error(call == 1 ? Status::unavailable : Status::internal, "three");
    return row;
  };
  const auto graph = retry(scripted(script), {.attempts = 9});
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{0, 1, 2, 3});
  CHECK(*outcomes[0] == 0);
  CHECK(outcomes[1].error() == Error(Status::invalid_argument, "model: one"));
  CHECK(*outcomes[2] == 2);
  CHECK(outcomes[3].error() == Error(Status::internal, "model: three"));
  CHECK(script->batches == Batches{{0, 1, 2, 3}, {2, 3}});
}

TEST_CASE("where all fails, a budget keeps the load to a share more", "[retry]") {
  const support::HandClock clock;
  const auto script = failing_for(1'000'000);
  const auto graph = retry(
      scripted(script), {.budget = {.ratio = 0.1, .per_second = 0, .burst = 5}}, clock.now().clock);
  for (int i = 0; i < 1000; ++i) CHECK(graph.serve(-1).status() == Status::unavailable);
  CHECK(script->batches.size() >= 1095);
  CHECK(script->batches.size() <= 1106);
  CHECK(counted<RetryStatistics>(graph).refused > 800);
}

TEST_CASE("a budget that does not reach for all rows is given to the first", "[retry]") {
  const support::HandClock clock;
  const auto script = failing_for(1);
  const auto graph = retry(scripted(script), {.budget = {.ratio = 0, .per_second = 0, .burst = 2}},
                           clock.now().clock);
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{-1, 2, -3, -4});
  CHECK(*outcomes[0] == -10);
  CHECK(*outcomes[2] == -30);
  CHECK(outcomes[3].error() == Error(Status::unavailable, "model: call 1"));
}

TEST_CASE("serve waits between attempts, for a time that is drawn", "[retry]") {
  const ManualExecutor executor;
  const auto script = failing_for(2);
  const auto graph = retry(executor, scripted(script), {.backoff = 10ms, .max_backoff = 40ms});
  CHECK_FALSE(graph.traits().inline_only);
  const auto before = executor.now();
  CHECK(graph.serve(-1) == Result<int>(-10));
  CHECK(script->batches.size() == 3);
  CHECK(executor.now() > before);
  CHECK(executor.now() < before + 30ms);
}

TEST_CASE("submit waits between attempts with a timer, and runs them on the executor", "[retry]") {
  const ManualExecutor executor;
  const auto script = failing_for(2);
  int on_worker = 0;
  const auto where = galley::map("where", [&](int n) {
    on_worker += galley::Worker::current() != nullptr ? 1 : 0;
    return n;
  });
  const auto graph = retry(executor, where | scripted(script), {.backoff = 10ms});
  IntEar ear;
  graph.submit_rows(Rows<int>{1, -2}, {}, ear.listen(2));
  CHECK(ear.answers == 0);
  CHECK(script->batches.size() == 1);
  CHECK(on_worker == 0);  // the first attempt is the caller's
  CHECK(executor.timers() == 1);
  executor.run_all();
  REQUIRE(ear.answers == 1);
  CHECK(ear.value(0) == 10);
  CHECK(ear.value(1) == -20);
  CHECK(script->batches == Batches{{1, -2}, {-2}, {-2}});
  CHECK(on_worker == 2);
}

TEST_CASE("no attempt begins after a row's deadline, each row by its own", "[retry]") {
  const ManualExecutor executor;
  const auto script = failing_for(9);
  // The pause is drawn below 100 ms: with seconds left it is in time, with nothing left it is not.
  const auto graph = retry(executor, scripted(script),
                           {.attempts = 2, .backoff = 100ms, .max_backoff = 100ms, .seed = 3});
  const Context late{.deadline = executor.now() + 1ns}, open{.deadline = executor.now() + 1s};
  const std::vector<galley::RequestRun> runs{{&late, 1}, {&open, 1}};
  const Rows<int> rows{-1, -2};
  const Outcomes<int> outcomes =
      graph.serve_batch(galley::Batch<int>(rows), galley::BatchContext(runs, {}));
  CHECK(outcomes[0].error() == Error(Status::unavailable, "model: call 1"));
  CHECK(outcomes[1].error() == Error(Status::unavailable, "model: call 2"));
  CHECK(script->batches == Batches{{-1, -2}, {-2}});
  CHECK(counted<RetryStatistics>(graph).too_late == 1);
}

TEST_CASE("at once, a deadline that has passed is not tried again", "[retry]") {
  const ManualExecutor executor;
  const auto script = failing_for(9);
  const auto slow = galley::map("slow", [&](int n) {
    executor.pass(2ms);
    return n;
  });
  const auto graph = retry(slow | scripted(script));
  CHECK(graph.serve(-1, {.deadline = executor.now() + 3ms}).status() == Status::deadline_exceeded);
  CHECK(script->batches.size() == 1);
}

TEST_CASE("a stop during a pause is the answer when it ends", "[retry]") {
  const ManualExecutor executor;
  const auto script = failing_for(9);
  const auto graph = retry(executor, scripted(script), {.attempts = 5});
  std::stop_source stop;
  IntEar ear;
  graph.submit(-1, {.stop = stop.get_token()}, ear.listen());
  stop.request_stop();
  executor.run_all();
  CHECK(ear.status() == Status::cancelled);
  CHECK(script->batches.size() == 1);
}

TEST_CASE("a shutdown during a pause answers as the last attempt did", "[retry]") {
  const ManualExecutor executor;
  const auto script = failing_for(9);
  std::optional graph = retry(executor, scripted(script));
  IntEar ear, late;
  graph->submit_rows(Rows<int>{1, -2}, {}, ear.listen(2));
  executor.shutdown();
  CHECK(ear.value(0) == 10);
  CHECK(ear.heard[1].error() == Error(Status::unavailable, "model: call 1"));
  graph->submit(-1, {}, late.listen());
  CHECK(late.status() == Status::unavailable);
}

TEST_CASE("later answers are tried again too, and the graph may be dropped meanwhile", "[retry]") {
  for (const bool pauses : {false, true}) {
    CAPTURE(pauses);
    const ManualExecutor executor;
    const auto calls = std::make_shared<Held>();
    const auto alive = std::make_shared<int>(0);
    IntEar ear;
    std::optional<Servable<int, int>> graph;
    if (pauses) {
      graph = retry(executor, held(calls, {}, alive));
    } else {
      graph = retry(held(calls, {}, alive));
    }
    graph->submit_rows(Rows<int>{1, -2, -3}, {}, ear.listen(3));
    graph.reset();
    REQUIRE(calls->calls.size() == 1);
    calls->calls[0].answer();
    executor.run_all();
    REQUIRE(calls->calls.size() == 2);
    CHECK(calls->calls[1].rows == Rows<int>{-2, -3});
    calls->calls[1].rows = Rows<int>{-2, 3};
    calls->calls[1].answer();
    executor.run_all();
    REQUIRE(calls->calls.size() == 3);
    CHECK(ear.answers == 0);
    calls->calls[2].fail(Status::resource_exhausted);
    REQUIRE(ear.answers == 1);
    CHECK(ear.value(0) == 10);
    CHECK(ear.status(1) == Status::resource_exhausted);
    CHECK(ear.value(2) == 30);
    calls->calls.clear();
    CHECK(alive.use_count() == 1);
  }
}

TEST_CASE("what cannot be asked twice is refused", "[retry]") {
  const auto script = std::make_shared<Script>();
  CHECK(retry(scripted(script, {.repeatable = false})).check().error() ==
        Error(Status::failed_precondition,
              "retry(model): model: it is not repeatable: asking again is not harmless"));
  CHECK(retry(scripted(script, {.stateful = true})).check().status() ==
        Status::failed_precondition);
  CHECK(retry(scripted(script, {.row_independent = false})).check().status() ==
        Status::failed_precondition);
}

TEST_CASE("options out of bounds are refused, with what was got and wanted", "[retry]") {
  const auto why = [](RetryOptions options) {
    return retry(scripted(std::make_shared<Script>()), options).check().error();
  };
  CHECK(why({.attempts = 0}) ==
        Error(Status::invalid_argument, "retry(model): options.attempts: expected 1 to 64, got 0"));
  CHECK(why({.statuses = {Status::ok}}).status == Status::invalid_argument);
  CHECK(why({.backoff = 2s}) ==
        Error(Status::invalid_argument,
              "retry(model): options.backoff: expected 0 to max_backoff, 1s, got 2s"));
  CHECK(why({.budget = {.ratio = -0.5}}).detail ==
        "retry(model): options.budget: expected no negative number, got ratio -0.5, per_second 10, "
        "burst 100");
}

TEST_CASE("all attempts of a request see one version of a slot", "[retry]") {
  const auto version = [](int number) {
    return galley::map("version", [number](int n) -> Result<int> {
      if (n < 0 && number == 1) return Error(Status::unavailable);
      return number;
    });
  };
  const auto made = galley::slot("slot", version(1));
  int calls = 0;
  const auto publishes = galley::map_batch("publishes", [&](const Rows<int>& rows) {
    if (++calls == 1) (void)made.publisher.publish(version(2));
    return rows;
  });
  const auto graph = retry(publishes | made.servable);
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{1, -2});
  CHECK(*outcomes[0] == 1);
  CHECK(outcomes[1].status() == Status::unavailable);
  CHECK(calls == 3);
  CHECK(graph.serve(-2) == Result<int>(2));
}

namespace {
struct Fragile {
  explicit Fragile(int of) : value(of) {}
  Fragile(const Fragile& other) : value(other.value) {
    if (value == 13) throw std::runtime_error("cannot copy 13");
  }
  Fragile(Fragile&&) noexcept = default;
  Fragile& operator=(Fragile&&) noexcept = default;
  int value;
};
}  // namespace

TEST_CASE("rows that cannot be copied for another attempt have one", "[retry]") {
  std::vector<galley::BatchCompletion<int>> kept;
  int rows_seen = 0;
  const auto child =
      Servable<Fragile, int>("later", [&](Rows<Fragile> rows, galley::BatchCompletion<int> done) {
        rows_seen += static_cast<int>(rows.size());
        kept.push_back(std::move(done));
      });
  const auto graph = retry(child);
  IntEar ear;
  graph.submit(Fragile(13), {}, ear.listen());
  REQUIRE(kept.size() == 1);
  kept[0].fail(Error(Status::unavailable));
  CHECK(ear.status() == Status::unavailable);
  CHECK(rows_seen == 1);
}

TEST_CASE("rows at their last use are moved into the last attempt only", "[retry]") {
  int failures = 1;
  const auto child = galley::map("look", [&](support::Counted row) -> Result<int> {
    if (failures-- > 0) return Error(Status::unavailable);
    return row.value;
  });
  const auto graph = retry(child, {.attempts = 2});
  support::Counted::copies = 0;
  CHECK(graph.serve(support::Counted(4)) == Result<int>(4));
  CHECK(support::Counted::copies == 1);
}

TEST_CASE("a retry describes itself", "[retry]") {
  const ManualExecutor executor;
  const auto description = retry(executor, scripted(std::make_shared<Script>())).describe();
  CHECK(description.kind == "retry");
  REQUIRE(description.options.size() == 7);
  CHECK(description.options[0].second == "3");
  CHECK(description.options[1].second == "resource_exhausted, unavailable");
  CHECK(description.options[2].second == "0.2");
  CHECK(description.options[5].second == "10ms");
  CHECK(description.children[0].name == "model");
}
