// Rows that are refused, late, hopeless or given up.
#include <galley/compose/pipeline.hpp>
#include <galley/testing/task_probe.hpp>

#include <support/batching.hpp>

#include <chrono>
#include <memory>
#include <stop_token>
#include <vector>

#include <support/catch.hpp>

using galley::batched;
using galley::BatchOptions;
using galley::BatchStatistics;
using galley::Context;
using galley::DrainBatches;
using galley::Infeasible;
using galley::ManualExecutor;
using galley::Outcomes;
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
using support::statistics_of;
using namespace std::chrono_literals;

using Batches = std::vector<std::vector<int>>;

namespace {

/// A batcher of one row at a time, each of which takes 10 ms, once it has learned so.
struct Slow {
  ManualExecutor executor;
  std::shared_ptr<BatchLog> log = std::make_shared<BatchLog>();
  Servable<int, int> graph;

  explicit Slow(Infeasible infeasible = Infeasible::drop)
      : graph(batched(executor, logged(log),
                      {.caller_runs = galley::CallerRuns::never, .infeasible = infeasible},
                      one_by_one)) {
    log->during = [this](const std::vector<int>&) { executor.pass(10ms); };
    for (int i = 0; i < 4; ++i) REQUIRE(graph.serve(1).has_value());
    log->batches.clear();
  }
  Context within(galley::Duration time) const { return {.deadline = executor.now() + time}; }
};

}  // namespace

TEST_CASE("a full queue refuses rows at once", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), {.max_rows = 4, .max_queued_rows = 4});
  IntEar three, two, one;
  graph.submit_rows(Rows<int>{1, 2, 3}, {}, three.listen(3));
  graph.submit_rows(Rows<int>{4, 5}, {}, two.listen(2));
  CHECK(two.status(0) == Status::resource_exhausted);
  CHECK(two.status(1) == Status::resource_exhausted);
  CHECK(two.heard[0].error().detail ==
        "model: 3 rows are queued: expected room for 2, the bound is 4");
  graph.submit(6, {}, one.listen());
  CHECK(one.answers == 0);
  executor.run_ready();
  CHECK(three.value(2) == 30);
  CHECK(one.value() == 60);
  CHECK(statistics_of(graph).refused == 2);
  IntEar again;
  graph.submit_rows(Rows<int>{4, 5}, {}, again.listen(2));
  executor.run_ready();
  CHECK(again.value(1) == 50);
}

TEST_CASE("a queue full of bytes refuses rows at once", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), {.max_queued_bytes = 3 * sizeof(int) + 1});
  IntEar three, one, large;
  graph.submit_rows(Rows<int>{1, 2, 3}, {}, three.listen(3));
  graph.submit(4, {}, one.listen());
  CHECK(one.status() == Status::resource_exhausted);
  CHECK(one.heard[0].error().detail.find("bytes are queued") != std::string::npos);
  executor.run_ready();
  CHECK(three.value(0) == 10);
  graph.submit_rows(Rows<int>{1, 2, 3, 4}, {}, large.listen(4));
  CHECK(large.status(3) == Status::resource_exhausted);
}

TEST_CASE("a batcher that drains answers unavailable, and finishes what it has", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log));
  IntEar queued, refused;
  graph.submit(1, {}, queued.listen());
  DrainBatches drain;
  REQUIRE(graph.control("", drain).has_value());
  CHECK(drain.left == 1);
  graph.submit(2, {}, refused.listen());
  CHECK(refused.status() == Status::unavailable);
  executor.run_ready();
  CHECK(queued.value() == 10);
  CHECK(graph.serve(3).status() == Status::unavailable);  // idle, and draining all the same
  REQUIRE(graph.control("", drain).has_value());
  CHECK(drain.left == 0);
  drain.admit = DrainBatches::Admit::all;
  REQUIRE(graph.control("", drain).has_value());
  CHECK(graph.serve(3) == Result<int>(30));
  CHECK(log->batches == Batches{{1}, {3}});
}

TEST_CASE("draining says how many rows run as well", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), {}, SizeOrDelay{.max_rows = 2});
  std::size_t left = 0;
  log->during = [&](const std::vector<int>& batch) {
    if (batch[0] != 1) return;
    DrainBatches drain;
    REQUIRE(graph.control("", drain).has_value());
    left = drain.left;
  };
  IntEar ear;
  graph.submit_rows(Rows<int>{1, 2, 3, 4, 5}, {}, ear.listen(5));
  executor.run_all();
  CHECK(left == 5);
  CHECK(ear.value(4) == 50);
}

TEST_CASE("a deadline that has passed is answered so, without computing", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const Context late{.deadline = executor.now() - 1ns};
  for (const BatchOptions& options : {BatchOptions(), always_queued}) {
    const auto graph = batched(executor, logged(log), options);
    CHECK(graph.serve(1, late).status() == Status::deadline_exceeded);
    IntEar ear;
    graph.submit_rows(Rows<int>{1, 2}, late, ear.listen(2));
    CHECK(ear.status(0) == Status::deadline_exceeded);
    CHECK(ear.status(1) == Status::deadline_exceeded);
    executor.run_ready();
  }
  CHECK(log->batches.empty());
}

TEST_CASE("a row whose deadline passes in the queue is answered without computing it",
          "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log));
  IntEar soon, many, open, far;
  graph.submit(1, {.deadline = executor.now() + 5ms}, soon.listen());
  graph.submit_rows(Rows<int>{2, 3}, {.deadline = executor.now() + 5ms}, many.listen(2));
  graph.submit(4, {}, open.listen());
  graph.submit(5, {.deadline = executor.now() + 50ms}, far.listen());
  executor.pass(5ms);
  executor.run_ready();
  CHECK(soon.status() == Status::deadline_exceeded);
  CHECK(soon.heard[0].error().detail == "model: the deadline passed while it was queued");
  CHECK(many.status(1) == Status::deadline_exceeded);
  CHECK(open.value() == 40);
  CHECK(far.value() == 50);
  CHECK(log->batches == Batches{{5, 4}});  // the earlier deadline first
  CHECK(statistics_of(graph).expired == 3);
}

TEST_CASE("the rest of a split request expires alone", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph =
      batched(executor, logged(log), {.infeasible = Infeasible::keep}, SizeOrDelay{.max_rows = 2});
  log->during = [&](const std::vector<int>&) { executor.pass(2ms); };
  IntEar ear;
  graph.submit_rows(Rows<int>{1, 2, 3, 4, 5, 6}, {.deadline = executor.now() + 4ms}, ear.listen(6));
  executor.run_ready();
  REQUIRE(ear.answers == 1);
  CHECK(ear.value(0) == 10);
  CHECK(ear.value(3) == 40);
  CHECK(ear.status(4) == Status::deadline_exceeded);
  CHECK(ear.status(5) == Status::deadline_exceeded);
  CHECK(log->batches == Batches{{1, 2}, {3, 4}});
}

TEST_CASE("a row that cannot be in time is refused where rows queue before it", "[batched]") {
  Slow slow;
  IntEar first, hopeless, feasible;
  slow.graph.submit(1, {}, first.listen());
  slow.graph.submit(2, slow.within(15ms), hopeless.listen());
  CHECK(hopeless.status() == Status::resource_exhausted);
  slow.graph.submit(3, slow.within(25ms), feasible.listen());
  CHECK(feasible.answers == 0);
  slow.executor.run_ready();
  CHECK(first.value() == 10);
  CHECK(feasible.value() == 30);
}

TEST_CASE("a row that is not expected in time when its turn comes is dropped", "[batched]") {
  Slow slow;
  IntEar row, next;
  slow.graph.submit(1, slow.within(15ms), row.listen());
  slow.graph.submit(2, {}, next.listen());
  slow.executor.pass(10ms);
  slow.executor.run_ready();
  CHECK(row.status() == Status::deadline_exceeded);
  CHECK(row.heard[0].error().detail ==
        "model: no longer expected to be in time when its turn came");
  CHECK(slow.log->batches == Batches{{2}});
  CHECK(next.value() == 20);
}

TEST_CASE("rows that are not expected in time are kept where the options say so", "[batched]") {
  Slow slow(Infeasible::keep);
  IntEar first, hopeless, passed;
  slow.graph.submit(1, {}, first.listen());
  slow.graph.submit(2, slow.within(5ms), hopeless.listen());
  slow.graph.submit(3, slow.within(6ms), passed.listen());
  CHECK(hopeless.answers == 0);
  slow.executor.run_ready();
  CHECK(hopeless.value() == 20);  // computed: it was not yet late when its turn came
  CHECK(passed.status() == Status::deadline_exceeded);
  CHECK(slow.log->batches == Batches{{2}, {1}});
}

TEST_CASE("hopeless rows are dropped down to the last of the queue, so that costs are learned anew",
          "[batched]") {
  Slow slow;
  IntEar first, second, last, passed;
  slow.graph.submit(1, slow.within(45ms), first.listen());
  slow.graph.submit(2, slow.within(45ms), second.listen());
  slow.graph.submit(3, slow.within(45ms), last.listen());
  slow.executor.pass(37ms);
  slow.executor.run_ready();
  CHECK(first.status() == Status::deadline_exceeded);
  CHECK(second.status() == Status::deadline_exceeded);
  CHECK(last.value() == 30);
  CHECK(slow.log->batches == Batches{{3}});
  slow.graph.submit(4, slow.within(15ms), passed.listen());
  slow.executor.pass(20ms);
  slow.executor.run_ready();
  CHECK(passed.status() == Status::deadline_exceeded);
  CHECK(slow.log->batches == Batches{{3}});
}

TEST_CASE("a request that is stopped already is not taken", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  std::stop_source stop;
  stop.request_stop();
  for (const BatchOptions& options : {BatchOptions(), always_queued}) {
    const auto graph = batched(executor, logged(log), options);
    CHECK(graph.serve(1, {.stop = stop.get_token()}).status() == Status::cancelled);
    IntEar ear;
    graph.submit(1, {.stop = stop.get_token()}, ear.listen());
    CHECK(ear.status() == Status::cancelled);
  }
  CHECK(executor.pending() == 0);
  CHECK(log->batches.empty());
}

TEST_CASE("a stop takes rows out of the queue at once", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log));
  std::stop_source stop;
  IntEar one, many, other;
  graph.submit(1, {.stop = stop.get_token()}, one.listen());
  graph.submit_rows(Rows<int>{2, 3}, {.stop = stop.get_token()}, many.listen(2));
  graph.submit(4, {}, other.listen());
  stop.request_stop();
  CHECK(one.status() == Status::cancelled);
  CHECK(many.status(1) == Status::cancelled);
  CHECK(one.heard[0].error().detail == "model: a stop was requested");
  CHECK(other.answers == 0);
  CHECK(statistics_of(graph).queued_rows == 1);
  CHECK(statistics_of(graph).cancelled == 3);
  executor.run_ready();
  CHECK(log->batches == Batches{{4}});
  CHECK(other.value() == 40);
}

TEST_CASE("a stop while the rows run changes nothing of what runs, and takes what queues",
          "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), {}, SizeOrDelay{.max_rows = 2});
  std::stop_source stop;
  log->during = [&](const std::vector<int>&) { stop.request_stop(); };
  IntEar ear, other;
  graph.submit_rows(Rows<int>{1, 2, 3, 4, 5}, {.stop = stop.get_token()}, ear.listen(5));
  graph.submit(6, {}, other.listen());
  executor.run_all();
  REQUIRE(ear.answers == 1);
  CHECK(ear.value(0) == 10);
  CHECK(ear.value(1) == 20);
  for (std::size_t i = 2; i < 5; ++i) CHECK(ear.status(i) == Status::cancelled);
  CHECK(log->batches == Batches{{1, 2}, {6}});
  CHECK(other.value() == 60);
}

TEST_CASE("a stop while the rows run is seen at the next joint", "[batched]") {
  const ManualExecutor executor;
  std::stop_source stop;
  const auto graph = batched(executor, galley::map("stops", [&stop](int n) {
                                         stop.request_stop();
                                         return n;
                                       }) | galley::map("next", [](int n) { return n; }));
  IntEar stopped, other;
  graph.submit(1, {.stop = stop.get_token()}, stopped.listen());
  graph.submit(2, {}, other.listen());
  executor.run_ready();
  CHECK(stopped.status() == Status::cancelled);
  CHECK(other.value() == 2);
}

TEST_CASE("a caller who waits hears of a stop, a deadline and a shutdown at once", "[batched]") {
  const auto log = std::make_shared<BatchLog>();
  const ManualExecutor executor;
  const auto graph = batched(executor, logged(log), always_queued, SizeOrDelay{8, 50ms});
  std::stop_source stop;
  galley::TaskProbe stops([&] { stop.request_stop(); });
  REQUIRE(galley::Executor(executor).post(stops));
  CHECK(graph.serve(1, {.stop = stop.get_token()}).status() == Status::cancelled);
  const auto before = executor.now();
  galley::TimedTaskProbe shuts([&] { executor.shutdown(); });
  REQUIRE(galley::Executor(executor).post_at(shuts, (before + 5ms).at));
  CHECK(graph.serve(2).status() == Status::unavailable);
  CHECK(executor.now() == before + 5ms);
  CHECK(graph.serve(3).status() == Status::unavailable);
  CHECK(log->batches.empty());
}

TEST_CASE("whoever hears of a stop may drop the graph", "[batched]") {
  const ManualExecutor executor;
  const auto alive = std::make_shared<int>(0);
  std::optional graph = batched(executor, galley::map("m", [alive](int n) { return n; }));
  std::stop_source stop;
  int answers = 0;
  graph->submit(1, {.stop = stop.get_token()}, [&](Result<int> r) {
    ++answers;
    CHECK(r.status() == Status::cancelled);
    graph.reset();
  });
  stop.request_stop();
  CHECK(answers == 1);
  executor.run_ready();
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a late row is answered when the queue is looked at, whatever its priority",
          "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), always_queued, one_by_one);
  std::vector<IntEar> urgent(3);
  IntEar low;
  for (IntEar& ear : urgent) graph.submit(1, {.priority = 5}, ear.listen());
  graph.submit(2, {.deadline = executor.now() + 5ms, .priority = -5}, low.listen());
  log->during = [&](const std::vector<int>& batch) {
    executor.pass(10ms);
    if (log->batches.size() == 2) CHECK(low.status() == Status::deadline_exceeded);
    CHECK(batch == std::vector<int>{1});
  };
  executor.run_ready();
  CHECK(log->batches.size() == 3);
  CHECK(low.status() == Status::deadline_exceeded);
}

TEST_CASE("a drained batcher counts what callers run themselves", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log));
  std::size_t left = 0;
  log->during = [&](const std::vector<int>&) {
    DrainBatches drain;
    CHECK(graph.control("", drain).has_value());
    left = drain.left;
  };
  CHECK(graph.serve(1).has_value());
  CHECK(left == 1);
  DrainBatches drain;
  CHECK(graph.control("", drain).has_value());
  CHECK(drain.left == 0);
}
