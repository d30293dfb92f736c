#include <galley/runtime/thread_pool.hpp>
#include <galley/testing/contracts/executor.hpp>
#include <galley/testing/manual_executor.hpp>
#include <galley/testing/task_probe.hpp>

#include <support/pools.hpp>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <support/catch.hpp>

using namespace std::chrono_literals;
using galley::Event;
using galley::Executor;
using galley::Instant;
using galley::ManualExecutor;
using galley::Status;
using galley::TaskProbe;
using galley::ThreadPool;
using galley::ThreadPoolOptions;
using galley::TimedTaskProbe;
using galley::TimePoint;
using galley::WaitEnd;
using galley::Worker;
using galley::testing_support::Occupier;
using galley::testing_support::Probes;
using galley::testing_support::ThreadHost;

namespace {

std::string name_of_this_thread() {
  std::ifstream file("/proc/thread-self/comm");
  std::string name;
  std::getline(file, name);
  return name;
}

}  // namespace

// ---- the contract -------------------------------------------------------------------------------

TEST_CASE("a thread pool keeps the contract of executors", "[runtime][contract]") {
  const std::size_t workers = GENERATE(1U, 2U, 4U);
  CAPTURE(workers);
  const auto make = [workers] { return ThreadPool{{.workers = workers}}; };
  for (const auto& failure : galley::check_executor(make)) FAIL_CHECK(to_string(failure));
}

// ---- threads ------------------------------------------------------------------------------------

TEST_CASE("a pool has a worker per physical core unless told otherwise", "[runtime]") {
  const ThreadPool pool;
  CHECK(pool.concurrency() >= 1);
  CHECK(pool.concurrency() <= std::max(1U, std::thread::hardware_concurrency()));
  CHECK(pool.check().has_value());
  CHECK(ThreadPool{{.workers = 3}}.concurrency() == 3);
}

TEST_CASE("worker threads carry the pool's name and their number", "[runtime]") {
  if (name_of_this_thread().empty()) return;  // no such file on this system
  const auto name_on_worker = [](const char* pool_name) {
    std::string name;
    TaskProbe task([&] { name = name_of_this_thread(); });
    const ThreadPool pool{{.workers = 1, .name = pool_name}};
    Executor(pool).post(task);
    task.ended.wait();
    return name;
  };
  CHECK(name_on_worker("cook") == "cook-0");
  CHECK(name_on_worker("a-rather-long-name") == "a-rather-long-0");
}

TEST_CASE("a host's factory starts the threads and is asked to join each", "[runtime]") {
  ThreadHost host;
  {
    TaskProbe task;
    const ThreadPool pool(host.options(2));
    Executor(pool).post(task);
    task.ended.wait();
    CHECK(pool.check().has_value());
  }
  REQUIRE(host.asked.size() == 2);
  CHECK(host.asked[0].name == "kitchen-0");
  CHECK(host.asked[1].name == "kitchen-1");
  CHECK(host.asked[1].index == 1);
  CHECK(host.joins == 2);
}

TEST_CASE("a pool works with the threads it got and says how many were refused", "[runtime]") {
  ThreadHost host;
  host.most = 1;
  TaskProbe task;
  const ThreadPool pool(host.options(3));
  CHECK(pool.concurrency() == 1);
  CHECK(pool.check().status() == Status::resource_exhausted);
  CHECK(pool.check().error().detail == "started 1 threads of 3 wanted");
  Executor(pool).post(task);
  task.ended.wait();
  std::atomic<int> reached{0};
  CHECK(Executor(pool).each_worker([&](Worker&) { ++reached; }).has_value());
  CHECK(reached == 1);
}

TEST_CASE("a pool without any thread is shut down from the start", "[runtime]") {
  ThreadHost host;
  host.most = 0;
  TaskProbe task;
  const ThreadPool pool(host.options(2));
  CHECK(pool.check().status() == Status::resource_exhausted);
  CHECK_FALSE(Executor(pool).post(task));
  CHECK(task.calls() == 0);
}

TEST_CASE("each worker's hooks run first and last on its own thread", "[runtime]") {
  std::mutex mutex;
  std::vector<std::string> said;
  const auto say = [&](const std::string& what, std::size_t index) {
    const std::lock_guard lock(mutex);
    said.push_back(what + " " + std::to_string(index));
    if (Worker::current() == nullptr || Worker::current()->index() != index) said.push_back("?");
  };
  TaskProbe task([&] { say("task", 0); });
  {
    const ThreadPool pool{{.workers = 1,
                           .on_thread_start = [&](std::size_t i) { say("start", i); },
                           .on_thread_end = [&](std::size_t i) { say("end", i); }}};
    Executor(pool).post(task);
    task.ended.wait();
  }
  CHECK(said == std::vector<std::string>{"start 0", "task 0", "end 0"});
}

TEST_CASE("a pool can be moved and assigned, its executors go on", "[runtime]") {
  TaskProbe task;
  TaskProbe late;
  ThreadPool pool{{.workers = 1}};
  const Executor executor = pool;
  ThreadPool moved = std::move(pool);
  CHECK(Executor(moved) == executor);
  CHECK(executor.post(task));
  task.ended.wait();
  moved = ThreadPool{{.workers = 2}};
  CHECK_FALSE(executor.post(late));
  CHECK(moved.concurrency() == 2);
}

// ---- order and time -----------------------------------------------------------------------------

TEST_CASE("one worker runs tasks in the order posted", "[runtime]") {
  std::vector<int> ran;
  Occupier first;
  Probes tasks;
  const ThreadPool pool{{.workers = 1}};
  first.occupy(pool);
  for (int i = 0; i < 50; ++i) {
    tasks.push_back(std::make_unique<TaskProbe>([&ran, i] { ran.push_back(i); }));
    Executor(pool).post(*tasks.back());
  }
  first.gate.set();
  tasks.back()->ended.wait();
  for (int i = 0; i < 50; ++i) CHECK(ran[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("timers run by when they are due, whatever was cancelled between", "[runtime]") {
  constexpr int count = 64;
  std::vector<int> ran;
  std::vector<std::unique_ptr<TimedTaskProbe>> tasks;
  Occupier first;
  const ThreadPool pool{{.workers = 1}};
  const Executor executor = pool;
  first.occupy(pool);
  const Instant start = pool.now();
  for (int i = 0; i < count; ++i) {
    const int due = (i * 37) % count;
    tasks.push_back(std::make_unique<TimedTaskProbe>([&ran, due] { ran.push_back(due); }));
    REQUIRE(executor.post_at(*tasks.back(), (start - 1s + due * 1us).at));
  }
  for (std::size_t i = 0; i < count; i += 3) CHECK(executor.cancel(*tasks[i]));
  first.gate.set();
  for (std::size_t i = 0; i < count; ++i) {
    if (i % 3 != 0) tasks[i]->ended.wait();
  }
  CHECK(ran.size() == count - (count + 2) / 3);
  CHECK(std::is_sorted(ran.begin(), ran.end()));
  for (std::size_t i = 0; i < count; i += 3) CHECK(tasks[i]->calls() == 0);
}

TEST_CASE("a timer fires while the worker that waited for it is busy", "[runtime]") {
  for (int round = 0; round < 50; ++round) {
    Event fired;
    TimedTaskProbe timer([&] { fired.set(); });
    // Does not help: the other worker has to take over the timer.
    TaskProbe blocked([&] { fired.wait(); });
    const ThreadPool pool{{.workers = 2}};
    REQUIRE(Executor(pool).post_at(timer, (pool.now() + 200us).at));
    REQUIRE(Executor(pool).post(blocked));
    blocked.ended.wait();
    timer.ended.wait();
  }
}

TEST_CASE("a timer that becomes the first is not kept waiting by a later one", "[runtime]") {
  TimedTaskProbe late;
  TimedTaskProbe early;
  const ThreadPool pool{{.workers = 2}};
  REQUIRE(Executor(pool).post_at(late, (pool.now() + 1h).at));
  REQUIRE(Executor(pool).post_at(early, (pool.now() + 1ms).at));
  early.ended.wait();
  CHECK(late.calls() == 0);
  CHECK(Executor(pool).cancel(late));
}

// ---- waiting ------------------------------------------------------------------------------------

TEST_CASE("a worker that waits with nothing to do is woken by a task, then by its event",
          "[runtime]") {
  Event event;
  Event waiting;
  WaitEnd end = WaitEnd::stuck;
  std::optional<ThreadPool> pool(std::in_place, ThreadPoolOptions{.workers = 1});
  const Executor executor = *pool;
  TaskProbe waiter([&] {
    waiting.set();
    end = executor.wait(event, Instant());
  });
  TaskProbe nested;
  executor.post(waiter);
  waiting.wait();
  executor.post(nested);
  nested.ended.wait();
  CHECK(waiter.finishes() == 0);
  CHECK(nested.worker() == waiter.worker());
  event.set();
  waiter.ended.wait();
  CHECK(end == WaitEnd::done);
}

TEST_CASE("a worker that waits runs timers when they are due", "[runtime]") {
  Event event;
  WaitEnd end = WaitEnd::stuck;
  std::optional<Executor> executor;
  TimedTaskProbe timer([&] { event.set(); });
  TaskProbe waiter([&] {
    executor->post_at(timer, (executor->now() + 1ms).at);
    end = executor->wait(event, Instant());
  });
  const ThreadPool pool{{.workers = 1}};
  executor = pool;
  executor->post(waiter);
  waiter.ended.wait();
  CHECK(end == WaitEnd::done);
  CHECK(timer.ended_once());
}

TEST_CASE("a deadline on a manual clock ends a wait when that clock has reached it", "[runtime]") {
  Event event;
  const ManualExecutor manual;
  const Instant deadline = manual.now() + 5ms;
  WaitEnd on_worker = WaitEnd::stuck;
  std::optional<Executor> executor;
  TaskProbe waiter([&] { on_worker = executor->wait(event, deadline); });
  const ThreadPool pool{{.workers = 1}};
  executor = pool;
  executor->post(waiter);
  manual.pass(5ms);
  CHECK(executor->wait(event, deadline) == WaitEnd::late);
  waiter.ended.wait();
  CHECK(on_worker == WaitEnd::late);
}

TEST_CASE("a worker that ends its wait leaves the timers to another that sleeps", "[runtime]") {
  for (std::size_t round = 0; round < 40; ++round) {
    Event events[2];
    std::atomic<int> begun{0};
    TimedTaskProbe timer;
    std::optional<Executor> executor;
    Probes waiters;
    for (std::size_t i = 0; i < 2; ++i) {
      waiters.push_back(std::make_unique<TaskProbe>([&, i] {
        // Each on a worker of its own.
        for (++begun; begun != 2;) std::this_thread::yield();
        executor->wait(events[i], Instant());
        timer.ended.wait_until(Instant());  // does not help
      }));
    }
    const ThreadPool pool{{.workers = 2}};
    executor = pool;
    for (const auto& waiter : waiters) executor->post(*waiter);
    while (begun != 2) std::this_thread::yield();
    REQUIRE(executor->post_at(timer, (pool.now() + 500us).at));
    events[round % 2].set();
    waiters[round % 2]->ended.wait();
    events[1 - round % 2].set();
    waiters[1 - round % 2]->ended.wait();
  }
}

TEST_CASE("a worker that was woken for a task and need not wait any more wakes another",
          "[runtime]") {
  for (std::size_t round = 0; round < 200; ++round) {
    Event events[2];
    std::atomic<int> begun{0};
    TaskProbe task;
    std::optional<Executor> executor;
    Probes waiters;
    for (std::size_t i = 0; i < 2; ++i) {
      waiters.push_back(std::make_unique<TaskProbe>([&, i] {
        // Each on a worker of its own.
        for (++begun; begun != 2;) std::this_thread::yield();
        executor->wait(events[i], Instant());
        task.ended.wait_until(Instant());  // does not help
      }));
    }
    const ThreadPool pool{{.workers = 2}};
    executor = pool;
    for (const auto& waiter : waiters) executor->post(*waiter);
    while (begun != 2) std::this_thread::yield();
    for (std::size_t i = 0; i < 3 * (round % 4); ++i) std::this_thread::yield();
    executor->post(task);
    events[round % 2].set();
    waiters[round % 2]->ended.wait();
    events[1 - round % 2].set();
    waiters[1 - round % 2]->ended.wait();
  }
}

TEST_CASE("a worker is quiescent between tasks and parked while it has none", "[runtime]") {
  std::shared_ptr<galley::EpochDomain> domain;
  std::uint64_t epoch = 0;
  bool passed_between = false;
  Occupier first;
  TaskProbe second([&] {
    domain = Worker::current()->epochs();
    epoch = domain->advance();
  });
  TaskProbe third([&] { passed_between = domain->passed(epoch); });
  const ThreadPool pool{{.workers = 1}};
  first.occupy(pool);
  Executor(pool).post(second);
  Executor(pool).post(third);
  first.gate.set();
  third.ended.wait();
  CHECK(passed_between);
  // Ends because a worker without tasks parks.
  for (epoch = domain->advance(); !domain->passed(epoch);) std::this_thread::yield();
}

TEST_CASE("tasks nest 32 deep on a worker, then a wait for its own pool is stuck", "[runtime]") {
  constexpr std::size_t cap = 32;
  Event event;
  std::optional<Executor> executor;
  std::atomic<int> stuck{0};
  std::atomic<int> done{0};
  Probes tasks;
  Occupier first;
  for (std::size_t i = 0; i < cap + 3; ++i) {
    tasks.push_back(std::make_unique<TaskProbe>([&] {
      const WaitEnd end = executor->wait(event, Instant());
      if (end == WaitEnd::stuck) ++stuck;
      if (end == WaitEnd::done) ++done;
    }));
  }
  const ThreadPool pool{{.workers = 1}};
  executor = pool;
  first.occupy(*executor);
  for (const auto& task : tasks) executor->post(*task);
  first.gate.set();
  // The 32nd and the three that its waiter ran after it, one by one.
  for (std::size_t i = cap - 1; i < tasks.size(); ++i) tasks[i]->ended.wait();
  CHECK(stuck == 4);
  CHECK(done == 0);
  event.set();
  for (const auto& task : tasks) task->ended.wait();
  CHECK(done == static_cast<int>(cap) - 1);
}

TEST_CASE("a worker at full depth still waits for another pool that is alive", "[runtime]") {
  std::optional<Executor> waiting_pool;
  std::optional<Executor> working_pool;
  std::atomic<int> done{0};
  Occupier first;
  Occupier slow;
  Probes children;
  Probes parents;
  for (int i = 0; i < 40; ++i) {
    children.push_back(std::make_unique<TaskProbe>());
    parents.push_back(std::make_unique<TaskProbe>([&, child = children.back().get()] {
      working_pool->post(*child);
      if (working_pool->wait(child->ended, Instant()) == WaitEnd::done) ++done;
    }));
  }
  Event deep;
  TaskProbe marker([&] { deep.set(); });
  const ThreadPool one{{.workers = 1}};
  const ThreadPool other{{.workers = 1}};
  waiting_pool = one;
  working_pool = other;
  slow.occupy(other);
  first.occupy(one);
  for (const auto& parent : parents) waiting_pool->post(*parent);
  first.gate.set();
  // The worker reaches full depth: 32 parents have begun and the next has not.
  while (parents[31]->runs() == 0) std::this_thread::yield();
  CHECK(parents[32]->runs() == 0);
  slow.gate.set();
  for (const auto& parent : parents) parent->ended.wait();
  CHECK(done == 40);
}

TEST_CASE("two pools that wait for each other at full depth do not hang", "[runtime]") {
  std::optional<Executor> pools[2];
  std::atomic<int> done{0};
  std::atomic<int> stuck{0};
  Occupier occupiers[2];
  Probes children;
  Probes parents;
  constexpr std::size_t each = 40;
  for (std::size_t i = 0; i < 2 * each; ++i) {
    children.push_back(std::make_unique<TaskProbe>());
    parents.push_back(std::make_unique<TaskProbe>([&, i, child = children.back().get()] {
      const Executor& target = *pools[1 - i % 2];
      target.post(*child);
      const WaitEnd end = target.wait(child->ended, Instant());
      if (end == WaitEnd::done) ++done;
      if (end == WaitEnd::stuck) ++stuck;
    }));
  }
  const ThreadPool one{{.workers = 1}};
  const ThreadPool other{{.workers = 1}};
  pools[0] = one;
  pools[1] = other;
  for (std::size_t p = 0; p < 2; ++p) occupiers[p].occupy(*pools[p]);
  for (std::size_t i = 0; i < parents.size(); ++i) pools[i % 2]->post(*parents[i]);
  for (Occupier& occupier : occupiers) occupier.gate.set();
  for (const auto& parent : parents) parent->ended.wait();
  for (const auto& child : children) child->ended.wait();
  CHECK(done + stuck == static_cast<int>(parents.size()));
  CHECK(stuck > 0);
}

TEST_CASE("a wait for a pool inside a manual executor that its own worker drives goes on helping",
          "[runtime]") {
  WaitEnd end = WaitEnd::stuck;
  std::optional<Executor> executor;
  TaskProbe child;
  const ManualExecutor manual;
  TaskProbe inner([&] {
    executor->post(child);
    end = executor->wait(child.ended, Instant());
  });
  TaskProbe outer([&] {
    Executor(manual).post(inner);
    manual.run_ready();
  });
  const ThreadPool pool{{.workers = 1}};
  executor = pool;
  executor->post(outer);
  outer.ended.wait();
  CHECK(end == WaitEnd::done);
}

// ---- each worker --------------------------------------------------------------------------------

TEST_CASE("each_worker waits for workers that are busy", "[runtime]") {
  std::atomic<int> reached{0};
  Occupier busy;
  Event before;
  TaskProbe opener([&] {
    before.set();
    busy.gate.set();
  });
  const ThreadPool pool{{.workers = 2}};
  busy.occupy(pool);
  Executor(pool).post(opener);
  CHECK(Executor(pool).each_worker([&](Worker&) { ++reached; }).has_value());
  CHECK(reached == 2);
  CHECK(before.is_set());
}

TEST_CASE("workers that call each_worker at the same time serve each other", "[runtime]") {
  constexpr std::size_t workers = 3;
  std::optional<Executor> executor;
  std::atomic<int> reached{0};
  std::atomic<int> failed{0};
  Probes tasks;
  for (std::size_t i = 0; i < workers; ++i) {
    tasks.push_back(std::make_unique<TaskProbe>([&] {
      if (!executor->each_worker([&](Worker&) { ++reached; }).has_value()) ++failed;
    }));
  }
  const ThreadPool pool{{.workers = workers}};
  executor = pool;
  for (const auto& task : tasks) executor->post(*task);
  for (const auto& task : tasks) task->ended.wait();
  CHECK(failed == 0);
  CHECK(reached == static_cast<int>(workers * workers));
}

TEST_CASE("each_worker that a shutdown cuts short is unavailable", "[runtime]") {
  Status status = Status::ok;
  Occupier busy;
  Event called;
  ThreadPool pool{{.workers = 2}};
  const Executor executor = pool;
  busy.occupy(executor);
  std::thread caller(
      [&] { status = executor.each_worker([&](Worker&) { called.set(); }).status(); });
  called.wait();  // the free worker; the busy one has its call still before it
  CHECK_FALSE(pool.shutdown());
  caller.join();
  CHECK(status == Status::unavailable);
  busy.gate.set();
}
