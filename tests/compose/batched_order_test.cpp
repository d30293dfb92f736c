// When batches close, and which rows go first.
#include <galley/policy/batch/preferred_sizes.hpp>

#include <support/batching.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::batched;
using galley::BatchOptions;
using galley::BatchPolicyOf;
using galley::CloseReason;
using galley::Context;
using galley::Duration;
using galley::Executor;
using galley::FlushBatches;
using galley::LearnedCap;
using galley::ManualExecutor;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::SetBatchOptions;
using galley::SetBatchPolicy;
using galley::SizeOrDelay;
using galley::Status;
using support::BatchLog;
using support::IntEar;
using support::logged;
using support::one_by_one;
using support::statistics_of;
using namespace std::chrono_literals;

using Batches = std::vector<std::vector<int>>;

namespace {

/// A graph on virtual time, and ears for what is submitted to it.
template <class Policy>
struct Kitchen {
  std::vector<std::unique_ptr<IntEar>> ears;  // what still queues is answered by the executor's end
  ManualExecutor executor;
  std::shared_ptr<BatchLog> log = std::make_shared<BatchLog>();
  Servable<int, int> graph;

  explicit Kitchen(Policy policy, BatchOptions options = {})
      : graph(batched(executor, logged(log), options, std::move(policy))) {}

  IntEar& submit(int row, const Context& context = {}) {
    IntEar& ear = *ears.emplace_back(std::make_unique<IntEar>());
    graph.submit(row, context, ear.listen());
    return ear;
  }
  Context within(Duration time) const { return {.deadline = executor.now() + time}; }
  template <class Request>
  void control(Request request) const {
    REQUIRE(graph.control("", request).has_value());
  }
};

}  // namespace

// ---- when --------------------------------------------------------------------------------------

TEST_CASE("a batch with a delay closes by its size", "[batched]") {
  Kitchen kitchen(SizeOrDelay{3, 5ms});
  kitchen.submit(1);
  kitchen.submit(2);
  kitchen.executor.run_ready();
  CHECK(kitchen.log->batches.empty());
  kitchen.submit(3);
  kitchen.submit(4);
  kitchen.executor.run_ready();
  CHECK(kitchen.log->batches == Batches{{1, 2, 3}});
  CHECK(statistics_of(kitchen.graph).closed_by(CloseReason::full) == 1);
  kitchen.executor.advance(5ms);
  CHECK(kitchen.log->batches == Batches{{1, 2, 3}, {4}});
  CHECK(statistics_of(kitchen.graph).closed_by(CloseReason::delay) == 1);
}

TEST_CASE("a batch with a delay closes when its first row has waited that long", "[batched]") {
  Kitchen kitchen(SizeOrDelay{8, 5ms});
  kitchen.submit(1);
  kitchen.executor.advance(3ms);
  kitchen.submit(2);
  kitchen.executor.advance(1ms);
  CHECK(kitchen.log->batches.empty());
  kitchen.executor.advance(1ms);
  CHECK(kitchen.log->batches == Batches{{1, 2}});
  CHECK(kitchen.executor.timers() == 0);
  CHECK(kitchen.executor.pending() == 0);
}

TEST_CASE("rows that come while all wait post nothing", "[batched]") {
  Kitchen kitchen(SizeOrDelay{8, 5ms});
  kitchen.submit(1);
  kitchen.executor.run_ready();
  kitchen.submit(2);
  kitchen.submit(3);
  CHECK(kitchen.executor.pending() == 0);
  CHECK(kitchen.executor.timers() == 1);
}

TEST_CASE("a deadline closes a batch that would wait longer", "[batched]") {
  Kitchen kitchen(SizeOrDelay{8, 10ms});
  kitchen.submit(1);
  kitchen.executor.run_ready();
  kitchen.executor.advance(1ms);
  IntEar& urgent = kitchen.submit(2, kitchen.within(4ms));
  kitchen.executor.advance(3ms);
  CHECK(kitchen.log->batches.empty());
  kitchen.executor.advance(1ms - 1ns);
  CHECK(urgent.answers == 0);
  kitchen.executor.advance(1ns);
  CHECK(urgent.answers == 1);
}

TEST_CASE("a deadline leaves the time that a batch is known to take", "[batched]") {
  Kitchen kitchen(SizeOrDelay{8, 10ms});
  kitchen.control(
      galley::SetBatchProfile{{{{"", {{.rows = 1, .mean = 2ms, .p95 = 2ms, .seen = 9}}}}}});
  IntEar& urgent = kitchen.submit(1, kitchen.within(5ms));
  kitchen.executor.advance(3ms);
  CHECK(urgent.value() == 10);
  CHECK(statistics_of(kitchen.graph).closed_by(CloseReason::deadline) == 1);
}

TEST_CASE("no row waits longer than the delay, whatever deadlines come after it", "[batched]") {
  Kitchen kitchen(SizeOrDelay{100, 10ms});
  IntEar& first = kitchen.submit(1);
  for (int i = 0; i < 5; ++i) {
    kitchen.executor.advance(2ms);
    if (i < 4) kitchen.submit(2 + i, kitchen.within(1s - 10ms * i));  // each before the one before
  }
  CHECK(first.answers == 1);
}

TEST_CASE("a batch may wait for its size alone", "[batched]") {
  Kitchen kitchen(SizeOrDelay{2, Duration::max()});
  IntEar& first = kitchen.submit(1);
  CHECK(kitchen.executor.run_ready(1000) < 10);
  CHECK(first.answers == 0);
  kitchen.executor.advance(1min);
  CHECK(first.answers == 0);
  kitchen.submit(2);
  kitchen.executor.run_ready();
  CHECK(kitchen.log->batches == Batches{{1, 2}});
}

TEST_CASE("a flush closes what is queued, and nothing that comes later", "[batched]") {
  Kitchen kitchen(SizeOrDelay{8, 5ms});
  kitchen.control(FlushBatches());
  kitchen.submit(1);
  kitchen.submit(2);
  kitchen.executor.run_ready();
  CHECK(kitchen.log->batches.empty());
  kitchen.control(FlushBatches());
  kitchen.executor.run_ready();
  CHECK(kitchen.log->batches == Batches{{1, 2}});
  CHECK(statistics_of(kitchen.graph).closed_by(CloseReason::flush) == 1);
  kitchen.submit(3);
  kitchen.executor.run_ready();
  CHECK(kitchen.log->batches.size() == 1);
  kitchen.executor.advance(5ms);
  CHECK(kitchen.log->batches.size() == 2);
}

TEST_CASE("a flush reaches rows that more urgent ones have overtaken", "[batched]") {
  Kitchen kitchen(SizeOrDelay{8, 50ms});
  IntEar& flushed = kitchen.submit(1);
  kitchen.executor.run_ready();
  kitchen.control(FlushBatches());
  kitchen.submit(2, kitchen.within(1s));
  kitchen.executor.run_ready();
  CHECK(flushed.answers == 1);
}

TEST_CASE("another policy and other options hold at once, for what queues too", "[batched]") {
  Kitchen kitchen(SizeOrDelay{8, 50ms});
  IntEar& one = kitchen.submit(1);
  IntEar& two = kitchen.submit(2);
  kitchen.executor.run_ready();
  SECTION("a smaller batch") {
    kitchen.control(SetBatchPolicy<SizeOrDelay>{{2, 50ms}});
    kitchen.executor.run_ready();
    CHECK(kitchen.log->batches == Batches{{1, 2}});
  }
  SECTION("a shorter delay") {
    kitchen.control(SetBatchPolicy<SizeOrDelay>{{8, 5ms}});
    kitchen.executor.advance(5ms);
    CHECK(kitchen.log->batches == Batches{{1, 2}});
  }
  SECTION("a longer delay") {
    kitchen.control(SetBatchPolicy<SizeOrDelay>{{8, 90ms}});
    kitchen.executor.advance(89ms);
    CHECK(kitchen.log->batches.empty());
    kitchen.executor.advance(1ms);
    CHECK(kitchen.log->batches == Batches{{1, 2}});
  }
  SECTION("a lower limit") {
    kitchen.control(SetBatchOptions{{.max_rows = 1}});
    kitchen.executor.run_ready();
    CHECK(kitchen.log->batches == Batches{{1}, {2}});
  }
  CHECK(one.answers == 1);
  CHECK(two.answers == 1);
  BatchPolicyOf<SizeOrDelay> policy;
  CHECK(kitchen.graph.control("", policy).has_value());
  BatchPolicyOf<LearnedCap> other;
  CHECK(kitchen.graph.control("", other).status() == Status::unimplemented);
}

TEST_CASE("rows that came before their policy had a delay do not wait for ever", "[batched]") {
  Kitchen kitchen(SizeOrDelay{8, 0ns});
  IntEar& early = kitchen.submit(1);  // nobody asked for the time yet
  kitchen.control(SetBatchPolicy<SizeOrDelay>{{8, 5ms}});
  kitchen.executor.advance(50ms);
  CHECK(early.answers == 1);
}

// ---- which -------------------------------------------------------------------------------------

TEST_CASE("rows go as they came, the earliest deadline before, the highest priority first",
          "[batched]") {
  Kitchen kitchen(one_by_one);
  const auto now = kitchen.executor.now();
  kitchen.submit(1);
  kitchen.submit(2, {.deadline = now + 9s});
  kitchen.submit(3);
  kitchen.submit(4, {.deadline = now + 8s});
  kitchen.submit(5, {.priority = 1});
  kitchen.submit(6, {.deadline = now + 7s, .priority = 1});
  kitchen.submit(7, {.priority = -1});
  kitchen.submit(8, {.deadline = now + 7s, .priority = 1});
  kitchen.executor.run_ready();
  CHECK(kitchen.log->batches == Batches{{6}, {8}, {5}, {4}, {2}, {1}, {3}, {7}});
}

TEST_CASE("a batch takes the most urgent rows of all priorities", "[batched]") {
  Kitchen kitchen(SizeOrDelay{.max_rows = 3, .max_delay = 0ns});
  for (int i = 0; i < 4; ++i) kitchen.submit(i, {.priority = i % 2});
  kitchen.executor.run_ready();
  CHECK(kitchen.log->batches == Batches{{1, 3, 0}, {2}});
}

TEST_CASE("a row of low priority rises while it waits, and does not starve", "[batched]") {
  for (const Duration ageing : {Duration(10ms), Duration(0)}) {
    Kitchen kitchen(one_by_one, {.ageing = ageing});
    kitchen.log->during = [&](const std::vector<int>& batch) {
      kitchen.executor.pass(1ms);
      if (batch[0] != 0 && batch[0] < 100) kitchen.submit(batch[0] + 1, {.priority = 2});
    };
    IntEar& low = kitchen.submit(0);
    kitchen.submit(1, {.priority = 2});
    kitchen.executor.run_ready(3);  // eight batches each
    CHECK(low.answers == (ageing == 0ns ? 0 : 1));
    kitchen.executor.run_ready();
    CHECK(low.answers == 1);
    CHECK(kitchen.log->batches.size() == 101);
  }
}

TEST_CASE("a row without a deadline does not starve behind rows that have one", "[batched]") {
  for (const Duration ageing : {Duration(10ms), Duration(0)}) {
    Kitchen kitchen(one_by_one, {.ageing = ageing});
    kitchen.log->during = [&](const std::vector<int>& batch) {
      kitchen.executor.pass(1ms);
      if (batch[0] != 0 && batch[0] < 100) kitchen.submit(batch[0] + 1, kitchen.within(1s));
    };
    IntEar& patient = kitchen.submit(0);
    kitchen.submit(1, kitchen.within(1s));
    kitchen.executor.run_ready(3);  // eight batches each
    CHECK(patient.answers == (ageing == 0ns ? 0 : 1));
    kitchen.executor.run_ready();
    CHECK(patient.answers == 1);
    CHECK(kitchen.log->batches.size() == 101);
  }
}

TEST_CASE("rows that come while slow answers are given are taken by another worker", "[batched]") {
  for (const Duration slow : {Duration(1us), Duration(10ms)}) {
    const ManualExecutor executor;
    const auto graph = batched(executor, logged(std::make_shared<BatchLog>()), {.max_running = 2});
    IntEar next;
    std::size_t woken = 0;
    const auto answer = [&](bool last) {
      graph.submit(1, {}, [&, last](Result<int>) {
        executor.pass(slow);
        if (!last) return;
        graph.submit(2, {}, next.listen());
        woken = executor.pending();
      });
      executor.run_ready();
    };
    for (int i = 0; i < 3; ++i) answer(i == 2);
    CHECK(woken == (slow == 10ms ? 1 : 0));
    executor.run_ready();
    CHECK(next.value() == 20);
  }
}

TEST_CASE("priorities that nobody uses any more are forgotten", "[batched]") {
  Kitchen kitchen(one_by_one);
  kitchen.log->during = [&](const std::vector<int>& batch) {
    if (batch[0] < 1000) kitchen.submit(batch[0] + 1, {.priority = batch[0]});
  };
  kitchen.submit(0);
  kitchen.submit(2000, {.priority = -5000});
  kitchen.executor.run_ready();
  CHECK(kitchen.log->batches.size() == 1002);
  CHECK(kitchen.log->batches.back() == std::vector<int>{2000});
}

// ---- races, one interleaving at a time ---------------------------------------------------------

namespace {

/// A manual executor with hooks where a batcher holds no lock.
struct Hooked {
  Executor inner;
  std::function<void()> in_yield, in_post_at;

  galley::Instant now() const { return inner.now(); }
  bool post(galley::Task& task) { return inner.post(task); }
  bool post_at(galley::TimedTask& task, galley::TimePoint at) {
    if (auto hook = std::exchange(in_post_at, nullptr)) hook();
    return inner.post_at(task, at);
  }
  bool cancel(galley::TimedTask& task) { return inner.cancel(task); }
  void yield() {
    if (auto hook = std::exchange(in_yield, nullptr)) hook();
    inner.yield();
  }
  std::size_t concurrency() const { return inner.concurrency(); }
  Result<void> each_worker(galley::FunctionRef<void(galley::Worker&)> f) {
    return inner.each_worker(f);
  }
  galley::WaitEnd wait(galley::Event& event, const galley::Instant& limit) {
    return inner.wait(event, limit);
  }
};

/// Lets other threads go first, once.
struct YieldsOnce {
  Duration max_wait() const { return {}; }
  galley::BatchDecision decide(const galley::BatchView& view) const {
    if (view.yields == 0) return galley::BatchDecision::yield_first();
    return galley::BatchDecision::close(std::min(view.rows, view.limit), CloseReason::idle);
  }
};

}  // namespace

TEST_CASE("rows that come while the batch yields go along", "[batched]") {
  const ManualExecutor manual;
  const auto hooked = std::make_shared<Hooked>(Hooked{manual, {}, {}});
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(Executor(hooked), logged(log), {}, YieldsOnce());
  IntEar one, two;
  graph.submit(1, {}, one.listen());
  hooked->in_yield = [&] { graph.submit(2, {}, two.listen()); };
  manual.run_ready();
  CHECK(log->batches == Batches{{1, 2}});
  CHECK(two.value() == 20);
  CHECK(statistics_of(graph).yields > 0);
}

TEST_CASE("rows that go while the batch yields are not missed", "[batched]") {
  const ManualExecutor manual;
  const auto hooked = std::make_shared<Hooked>(Hooked{manual, {}, {}});
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(Executor(hooked), logged(log), {}, YieldsOnce());
  std::stop_source stop;
  IntEar one, two;
  graph.submit(1, {.stop = stop.get_token()}, one.listen());
  hooked->in_yield = [&] { stop.request_stop(); };
  manual.run_ready();
  CHECK(one.status() == Status::cancelled);
  CHECK(log->batches.empty());
  graph.submit(2, {}, two.listen());
  manual.run_ready();
  CHECK(two.value() == 20);
}

TEST_CASE("a deadline that passes while the batch yields takes no batch along", "[batched]") {
  const ManualExecutor manual;
  const auto hooked = std::make_shared<Hooked>(Hooked{manual, {}, {}});
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(Executor(hooked), logged(log), {}, YieldsOnce());
  IntEar late, other;
  graph.submit(1, {.deadline = manual.now() + 1ms}, late.listen());
  hooked->in_yield = [&] { manual.pass(2ms); };
  manual.run_ready();
  CHECK(late.status() == Status::deadline_exceeded);
  graph.submit(2, {}, other.listen());
  manual.run_ready();
  CHECK(other.value() == 20);
  CHECK(log->batches == Batches{{2}});
}

TEST_CASE("a deadline that comes while the timer is set is kept", "[batched]") {
  const ManualExecutor manual;
  const auto hooked = std::make_shared<Hooked>(Hooked{manual, {}, {}});
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(Executor(hooked), logged(log), {}, SizeOrDelay{8, 50ms});
  IntEar one, urgent;
  graph.submit(1, {}, one.listen());
  hooked->in_post_at = [&] { graph.submit(2, {.deadline = manual.now() + 5ms}, urgent.listen()); };
  manual.advance(5ms);
  CHECK(urgent.answers == 1);
  CHECK(log->batches.size() + (urgent.status() == Status::ok ? 0 : 1) == 1);
  manual.run_all();
  CHECK(one.answers == 1);
}

TEST_CASE("an executor that is shut down while the timer is set answers all", "[batched]") {
  const ManualExecutor manual;
  const auto hooked = std::make_shared<Hooked>(Hooked{manual, {}, {}});
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(Executor(hooked), logged(log), {}, SizeOrDelay{8, 50ms});
  IntEar one, two;
  graph.submit(1, {}, one.listen());
  hooked->in_post_at = [&] {
    graph.submit(2, {}, two.listen());
    manual.shutdown();
  };
  manual.run_ready();
  CHECK(one.status() == Status::unavailable);
  CHECK(two.status() == Status::unavailable);
}
