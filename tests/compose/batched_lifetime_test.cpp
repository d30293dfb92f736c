// Who lives how long: shutdowns, dropped graphs, and callers who do not wait for the end.
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>

#include <support/batching.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::batched;
using galley::BatchOptions;
using galley::CallerRuns;
using galley::Completion;
using galley::Error;
using galley::ManualExecutor;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::SizeOrDelay;
using galley::Status;
using support::always_queued;
using support::BatchLog;
using support::IntEar;
using support::logged;
using support::one_by_one;
using namespace std::chrono_literals;

TEST_CASE("an executor that is shut down answers what queues, once", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log));
  IntEar one, many, late;
  graph.submit(1, {}, one.listen());
  graph.submit_rows(Rows<int>{2, 3, 4}, {}, many.listen(3));
  executor.shutdown();
  CHECK(one.status() == Status::unavailable);
  CHECK(one.heard[0].error().detail == "model: the executor was shut down");
  for (std::size_t i = 0; i < 3; ++i) CHECK(many.status(i) == Status::unavailable);
  graph.submit(5, {}, late.listen());
  CHECK(late.status() == Status::unavailable);
  CHECK(log->batches.empty());
}

TEST_CASE("a shutdown answers rows that wait for a timer, once", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), {}, SizeOrDelay{8, 5ms});
  IntEar one, two;
  graph.submit(1, {}, one.listen());
  graph.submit(2, {}, two.listen());
  executor.run_ready();
  CHECK(one.answers == 0);
  CHECK(executor.timers() == 1);
  executor.shutdown();
  CHECK(one.status() == Status::unavailable);
  CHECK(two.status() == Status::unavailable);
  CHECK(log->batches.empty());
}

TEST_CASE("a shutdown while a batch runs answers its rows at once, and what queues behind it",
          "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), {}, SizeOrDelay{.max_rows = 2});
  std::vector<IntEar> ears(5);
  IntEar after;
  log->during = [&](const std::vector<int>&) {
    executor.shutdown();
    for (const IntEar& ear : ears) CHECK(ear.status() == Status::unavailable);
    graph.submit(9, {}, after.listen());  // the kernel may run for ever: nothing waits for it
    CHECK(after.status() == Status::unavailable);
  };
  for (int i = 0; i < 5; ++i) graph.submit(i, {}, ears[static_cast<std::size_t>(i)].listen());
  executor.run_ready();
  CHECK(log->sizes() == std::vector<std::size_t>{2});
  CHECK(ears[0].heard[0].error().detail ==
        "model: the executor was shut down while this was running");
  CHECK(after.answers == 1);
}

TEST_CASE("a shutdown answers all rows of a request that is half computed", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto alive = std::make_shared<int>(0);
  log->during = [&, alive](const std::vector<int>& batch) {
    if (batch[0] == 3) executor.shutdown();
  };
  IntEar ear;
  {
    const auto graph = batched(executor, logged(log), {}, SizeOrDelay{.max_rows = 2});
    graph.submit_rows(Rows<int>{1, 2, 3, 4, 5}, {}, ear.listen(5));
  }
  executor.run_ready();
  REQUIRE(ear.answers == 1);
  CHECK(ear.value(0) == 10);
  CHECK(ear.value(1) == 20);
  for (std::size_t i = 2; i < 5; ++i) CHECK(ear.status(i) == Status::unavailable);
  CHECK(log->sizes() == std::vector<std::size_t>{2, 2});
}

TEST_CASE("requests in flight own the graph, and drop it when they are answered", "[batched]") {
  const ManualExecutor executor;
  const auto alive = std::make_shared<int>(0);
  const auto log = std::make_shared<BatchLog>();
  std::vector<IntEar> ears(3);
  {
    const auto graph =
        batched(executor, galley::map("first", [alive](int n) { return n; }) | logged(log)) |
        galley::map("last", [alive](int n) { return n + 1; });
    for (int i = 0; i < 3; ++i) graph.submit(i, {}, ears[static_cast<std::size_t>(i)].listen());
  }
  CHECK(alive.use_count() > 1);
  executor.run_ready();
  for (int i = 0; i < 3; ++i) {
    const IntEar& ear = ears[static_cast<std::size_t>(i)];
    CHECK(ear.status() == Status::ok);
    CHECK(ear.value() == 10 * i + 1);
  }
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a graph that is dropped while its rows wait for a timer goes after them", "[batched]") {
  const ManualExecutor executor;
  const auto alive = std::make_shared<int>(0);
  IntEar ear;
  {
    const auto graph =
        batched(executor, galley::map("m", [alive](int n) { return n; }), {}, SizeOrDelay{8, 5ms});
    graph.submit(7, {}, ear.listen());
  }
  executor.advance(4ms);
  CHECK(ear.answers == 0);
  CHECK(alive.use_count() == 2);
  executor.advance(1ms);
  CHECK(ear.value() == 7);
  CHECK(alive.use_count() == 1);
  CHECK(executor.timers() == 0);
}

TEST_CASE("a timer that is not needed any more does not keep the graph for long", "[batched]") {
  const ManualExecutor executor;
  const auto alive = std::make_shared<int>(0);
  IntEar one, two;
  {
    const auto graph = batched(executor, galley::map("m", [alive](int n) { return n; }), {},
                               SizeOrDelay{2, galley::Duration::max()});
    graph.submit(1, {}, one.listen());
    executor.run_ready();
    graph.submit(2, {}, two.listen());
  }
  executor.run_ready();
  CHECK(two.value() == 2);
  executor.advance(1s);
  CHECK(alive.use_count() == 1);
}

TEST_CASE("the last answer may drop the graph from inside its completion", "[batched]") {
  const ManualExecutor executor;
  const auto alive = std::make_shared<int>(0);
  std::optional graph = batched(executor, galley::map("m", [alive](int n) { return n; }));
  int answers = 0;
  graph->submit(1, {}, [&](Result<int> r) {
    ++answers;
    CHECK(r == Result<int>(1));
    graph.reset();
  });
  executor.run_ready();
  CHECK(answers == 1);
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a queued request may be the last to know its executor", "[batched]") {
  auto executor = std::make_unique<ManualExecutor>();
  const auto alive = std::make_shared<int>(0);
  IntEar queued, waiting;
  {
    const auto now = batched(*executor, galley::map("m", [alive](int n) { return n; }));
    const auto later =
        batched(*executor, galley::map("m", [alive](int n) { return n; }), {}, SizeOrDelay{8, 5ms});
    later.submit(1, {}, waiting.listen());
    executor->run_ready();
    now.submit(1, {}, queued.listen());
  }
  executor.reset();
  CHECK(queued.status() == Status::unavailable);
  CHECK(waiting.status() == Status::unavailable);
  CHECK(alive.use_count() == 1);
}

TEST_CASE("serve gives up at its deadline while the child keeps the completion", "[batched]") {
  const ManualExecutor executor;
  std::vector<Completion<int>> kept;
  const auto alive = std::make_shared<int>(0);
  std::optional graph = batched(
      executor,
      Servable("slow",
               [&kept, alive](int, Completion<int> done) { kept.push_back(std::move(done)); }),
      always_queued);
  const Result<int> late = graph->serve(1, {.deadline = executor.now() + 5ms});
  CHECK(late.status() == Status::deadline_exceeded);
  REQUIRE(kept.size() == 1);
  graph.reset();
  CHECK(alive.use_count() > 1);
  kept[0](3);
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a child that drops its completion answers cancelled", "[batched]") {
  const ManualExecutor executor;
  const auto drops = Servable("drops", [](int, Completion<int>) {});
  const auto graph = batched(executor, drops);
  CHECK(graph.serve(1).status() == Status::cancelled);
  IntEar ear;
  graph.submit(1, {}, ear.listen());
  executor.run_ready();
  CHECK(ear.status() == Status::cancelled);
}

TEST_CASE("a batch behind another executor is waited for by the worker that runs it", "[batched]") {
  const ManualExecutor executor, device;
  const auto graph =
      batched(executor, galley::on(device, galley::map("plus", [](int n) { return n + 1; })));
  IntEar ear;
  graph.submit(1, {}, ear.listen());
  executor.run_ready();
  CHECK(ear.value() == 2);
  CHECK(graph.serve(5) == Result<int>(6));
}

TEST_CASE("serve on a worker of the executor gets its answer", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  for (const CallerRuns runs : {CallerRuns::when_idle, CallerRuns::never}) {
    const auto inner = batched(executor, logged(log), {.caller_runs = runs});
    const auto outer =
        galley::on(executor, galley::map("outer", [inner](int n) { return inner.serve(n); }));
    std::vector<IntEar> ears(4);
    for (int i = 0; i < 4; ++i) outer.submit(i, {}, ears[static_cast<std::size_t>(i)].listen());
    executor.run_ready();
    for (int i = 0; i < 4; ++i) CHECK(ears[static_cast<std::size_t>(i)].value() == 10 * i);
  }
}

TEST_CASE("a completion that serves is not kept waiting by its own batch", "[batched]") {
  for (const bool stateful : {false, true}) {
    CAPTURE(stateful);
    const ManualExecutor executor;
    const auto log = std::make_shared<BatchLog>();
    const auto graph = batched(executor, logged(log, {.stateful = stateful}), always_queued);
    int answers = 0;
    for (int i = 0; i < 3; ++i) {
      graph.submit(i, {}, [&, i](Result<int> r) {
        ++answers;
        CHECK(r == Result<int>(10 * i));
        CHECK(graph.serve(i + 100) == Result<int>(10 * i + 1000));
      });
    }
    executor.run_ready();
    CHECK(answers == 3);
  }
}

TEST_CASE("an answer that is late may serve before the batch that runs next", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log, {.stateful = true}), always_queued);
  Status status = Status::ok;
  IntEar other;
  graph.submit(1, {.deadline = executor.now() + 1ms}, [&](Result<int> r) {
    status = r.status();
    CHECK(graph.serve(2) == Result<int>(20));
  });
  graph.submit(3, {}, other.listen());
  executor.pass(2ms);
  executor.run_ready();
  CHECK(status == Status::deadline_exceeded);
  CHECK(other.value() == 30);
}

TEST_CASE("a caller above a batch that waits runs its own, or is told, and never waits for it",
          "[batched]") {
  for (const bool stateful : {false, true}) {
    int values = 0, told = 0;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      CAPTURE(stateful, seed);
      const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
      const auto log = std::make_shared<BatchLog>();
      const auto inner =
          batched(executor, galley::on(executor, logged(log, {.stateful = stateful})));
      const auto outer =
          galley::on(executor, galley::map("outer", [inner](int n) { return inner.serve(n); }));
      std::vector<IntEar> ears(12);
      for (int i = 0; i < 12; ++i) outer.submit(i, {}, ears[static_cast<std::size_t>(i)].listen());
      executor.run_ready();
      for (int i = 0; i < 12; ++i) {
        const IntEar& ear = ears[static_cast<std::size_t>(i)];
        REQUIRE(ear.answers == 1);
        if (ear.status() == Status::ok) {
          REQUIRE(ear.value() == 10 * i);
          ++values;
        } else {
          REQUIRE(ear.status() == Status::failed_precondition);
          ++told;
        }
      }
    }
    CHECK(values > 0);
    if (!stateful) CHECK(told == 0);
  }
}
