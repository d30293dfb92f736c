#include <galley/compose/timeout.hpp>

#include <support/resilience.hpp>
#include <support/rows.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Context;
using galley::Error;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::timeout;
using galley::TimeoutStatistics;
using support::counted;
using support::Held;
using support::held;
using support::IntEar;
using namespace std::chrono_literals;

TEST_CASE("an answer in time comes through, and no timer stays", "[timeout]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto graph = timeout(executor, held(calls), 5ms);
  CHECK(graph.name() == "timeout(held)");
  CHECK_FALSE(graph.traits().inline_only);
  IntEar ear;
  graph.submit_rows(Rows<int>{1, -2, 3}, {}, ear.listen(3));
  CHECK(executor.timers() == 1);
  executor.advance(4ms);
  calls->calls[0].answer(Status::invalid_argument);
  CHECK(ear.value(0) == 10);
  CHECK(ear.heard[1].error() == Error(Status::invalid_argument, "held: negative"));
  CHECK(ear.value(2) == 30);
  CHECK(executor.timers() == 0);
  CHECK(counted<TimeoutStatistics>(graph).requests == 1);
  CHECK(counted<TimeoutStatistics>(graph).timed_out == 0);
}

TEST_CASE("when the time is over every row is answered, and the late answer is discarded",
          "[timeout]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto alive = std::make_shared<int>(0);
  std::optional graph = timeout(executor, held(calls, {}, alive), 5ms);
  IntEar ear;
  graph->submit_rows(Rows<int>{1, 2}, {}, ear.listen(2));
  executor.advance(5ms);
  REQUIRE(ear.answers == 1);
  CHECK(ear.heard[0].error() ==
        Error(Status::deadline_exceeded, "timeout(held): no answer in time"));
  CHECK(ear.status(1) == Status::deadline_exceeded);
  CHECK(counted<TimeoutStatistics>(*graph).timed_out == 1);
  graph.reset();
  CHECK(alive.use_count() == 2);  // the servable that still works
  calls->calls[0].answer();
  CHECK(ear.answers == 1);
  calls->calls.clear();
  CHECK(alive.use_count() == 1);
}

TEST_CASE("every request's deadline is narrowed, never widened", "[timeout]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto graph = timeout(executor, held(calls), 5ms);
  const Context early{.deadline = executor.now() + 2ms}, late{.deadline = executor.now() + 9ms};
  const Context open;
  const std::vector<galley::RequestRun> runs{{&early, 1}, {&late, 1}, {&open, 1}};
  const Rows<int> rows{1, 2, 3};
  const std::vector<galley::Key> keys{7, 8, 9};
  const auto limit = executor.now() + 5ms;
  const Outcomes<int> outcomes =
      graph.serve_batch(galley::Batch<int>(rows), galley::BatchContext(runs, keys));
  for (std::size_t i = 0; i < 3; ++i) CHECK(outcomes[i].status() == Status::deadline_exceeded);
  CHECK(executor.now() == limit);
  REQUIRE(calls->calls.size() == 1);
  CHECK(calls->calls[0].contexts[0].deadline == early.deadline);
  CHECK(calls->calls[0].contexts[1].deadline == limit);
  CHECK(calls->calls[0].contexts[2].deadline == limit);
  CHECK(calls->calls[0].keys == keys);
  calls->calls[0].answer();
}

TEST_CASE("a caller's own deadline ends the wait earlier", "[timeout]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto graph = timeout(executor, held(calls), 5ms);
  IntEar ear;
  graph.submit(1, {.deadline = executor.now() + 2ms}, ear.listen());
  executor.advance(2ms);
  CHECK(ear.status() == Status::deadline_exceeded);
  CHECK(graph.serve(1, {.deadline = executor.now() + 2ms}).status() == Status::deadline_exceeded);
  for (auto& call : calls->calls) call.answer();
  CHECK(ear.answers == 1);
}

TEST_CASE("serve gives up when the time is over, without a timer", "[timeout]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto graph = timeout(executor, held(calls), 5ms);
  const auto before = executor.now();
  CHECK(graph.serve(1).error() ==
        Error(Status::deadline_exceeded, "timeout(held): no answer in time"));
  CHECK(executor.now() == before + 5ms);
  CHECK(executor.timers() == 0);
  CHECK(counted<TimeoutStatistics>(graph).timed_out == 1);
  calls->calls[0].answer();
}

TEST_CASE("what waits for nobody runs on the executor, where it can be left", "[timeout]") {
  const ManualExecutor executor;
  const auto graph = timeout(executor,
                             galley::map("work",
                                         [&](int n) {
                                           CHECK(galley::Worker::current() != nullptr);
                                           if (n == 7) executor.pass(1s);
                                           return n + 1;
                                         }),
                             5ms);
  CHECK(graph.describe().children[0].name == "on(work)");
  IntEar ear, slow;
  graph.submit(1, {}, ear.listen());
  CHECK(ear.answers == 0);
  executor.run_ready();
  CHECK(ear.value() == 2);
  CHECK(graph.serve(2) == Result<int>(3));
  graph.submit(7, {}, slow.listen());
  executor.run_ready();
  CHECK(slow.value() == 8);  // one worker: nobody was there to leave it
  CHECK(executor.timers() == 0);
}

TEST_CASE("a stop of the caller still works", "[timeout]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<support::BatchLog>();
  const auto graph = timeout(
      executor, galley::batched(executor, support::logged(log), support::always_queued), 5ms);
  std::stop_source stop;
  IntEar ear;
  graph.submit(1, {.stop = stop.get_token()}, ear.listen());
  stop.request_stop();
  CHECK(ear.status() == Status::cancelled);
  CHECK(executor.timers() == 0);
  executor.run_all();
  CHECK(log->batches.empty());
}

TEST_CASE("a shutdown answers what waits, once", "[timeout]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto graph = timeout(executor, held(calls), 5ms);
  IntEar ear, late;
  graph.submit(1, {}, ear.listen());
  executor.shutdown();
  CHECK(ear.heard[0].error() ==
        Error(Status::unavailable, "timeout(held): the executor was shut down"));
  calls->calls[0].answer();
  CHECK(ear.answers == 1);
  graph.submit(2, {}, late.listen());
  CHECK(late.status() == Status::unavailable);
  CHECK(calls->calls.size() == 1);
}

TEST_CASE("a dropped completion answers cancelled and takes the timer away", "[timeout]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto graph = timeout(executor, held(calls), 5ms);
  IntEar ear;
  graph.submit(1, {}, ear.listen());
  calls->calls.clear();
  CHECK(ear.status() == Status::cancelled);
  CHECK(executor.timers() == 0);
}

TEST_CASE("a timer that is due while the answer comes finds it answered", "[timeout]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  std::optional graph = timeout(executor, held(calls), 5ms);
  IntEar ear;
  graph->submit(1, {}, ear.listen());
  executor.pass(5ms);
  CHECK(executor.pending() == 1);
  graph.reset();
  calls->calls[0].answer();
  CHECK(ear.value() == 10);
  executor.run_ready();
  CHECK(ear.answers == 1);
}

TEST_CASE("an endless time needs no timer", "[timeout]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto graph = timeout(executor, held(calls), galley::Duration::max());
  IntEar ear;
  graph.submit(1, {}, ear.listen());
  CHECK(executor.timers() == 0);
  calls->calls[0].answer();
  CHECK(ear.value() == 10);
}

TEST_CASE("a time that is not positive is refused", "[timeout]") {
  const ManualExecutor executor;
  const auto graph = timeout(executor, galley::map([](int n) { return n; }), 0ms);
  CHECK(graph.check().error() ==
        Error(Status::invalid_argument, "timeout(map): duration: expected more than 0, got 0s"));
  CHECK(graph.serve(1).status() == Status::invalid_argument);
}

TEST_CASE("a timeout describes itself", "[timeout]") {
  const ManualExecutor executor;
  const auto description =
      timeout(executor, galley::map([](int n) { return n; }), 1500us).describe();
  CHECK(description.kind == "timeout");
  REQUIRE(description.options.size() == 1);
  CHECK(description.options[0] == std::pair<std::string, std::string>("duration", "1500us"));
  int unknown = 0;
  CHECK(timeout(executor, galley::map([](int n) { return n; }), 1s).control("", unknown).status() ==
        Status::unimplemented);
}
