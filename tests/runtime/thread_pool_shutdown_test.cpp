#include <galley/runtime/thread_pool.hpp>
#include <galley/testing/task_probe.hpp>

#include <support/pools.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include <support/catch.hpp>

using namespace std::chrono_literals;
using galley::Event;
using galley::Executor;
using galley::Instant;
using galley::Status;
using galley::TaskProbe;
using galley::ThreadPool;
using galley::WaitEnd;
using galley::testing_support::Occupier;
using galley::testing_support::Probes;
using galley::testing_support::ThreadHost;

TEST_CASE("shutdown abandons what is queued at once, also while a task runs", "[runtime]") {
  Occupier running;
  TaskProbe queued;
  ThreadPool pool{{.workers = 1}};
  running.occupy(pool);
  Executor(pool).post(queued);
  CHECK_FALSE(pool.shutdown());
  CHECK(queued.abandons() == 1);
  CHECK(queued.calls() == 1);
  CHECK(running.task.overdues() == 1);
  running.gate.set();
  CHECK(pool.shutdown(1h));
  CHECK(running.task.ended_once());
  CHECK(running.task.overdues() == 1);
}

TEST_CASE("a task that ends within the grace is not told that it is overdue", "[runtime]") {
  Occupier running;
  TaskProbe queued;
  ThreadPool pool{{.workers = 1}};
  running.occupy(pool);
  Executor(pool).post(queued);
  std::thread opener([&] {
    queued.ended.wait();  // abandoned: the shutdown has begun
    running.gate.set();
  });
  CHECK(pool.shutdown(1h));
  opener.join();
  CHECK(running.task.ended_once());
  CHECK(running.task.overdues() == 0);
}

TEST_CASE("a task finishes only after its overdue call has returned", "[runtime]") {
  for (int round = 0; round < 20; ++round) {
    Occupier running;
    int finishes_inside = -1;
    ThreadPool pool{{.workers = 1}};
    running.task.on_overdue = [&] {
      running.gate.set();
      for (int i = 0; i < 100; ++i) std::this_thread::yield();
      finishes_inside = running.task.finishes();
    };
    running.occupy(pool);
    CHECK_FALSE(pool.shutdown());
    running.task.ended.wait();
    CHECK(finishes_inside == 0);
    CHECK(running.task.ended_once());
  }
}

TEST_CASE("every task that runs beneath a waiting one is told that it is overdue", "[runtime]") {
  Event never;
  Event deep;
  Event gate;
  std::optional<Executor> executor;
  WaitEnd end = WaitEnd::done;
  TaskProbe inner([&] {
    deep.set();
    gate.wait();
  });
  TaskProbe outer([&] {
    executor->post(inner);
    end = executor->wait(never, Instant());
  });
  ThreadPool pool{{.workers = 1}};
  executor = pool;
  executor->post(outer);
  deep.wait();
  CHECK_FALSE(pool.shutdown());
  CHECK(inner.overdues() == 1);
  CHECK(outer.overdues() == 1);
  gate.set();
  outer.ended.wait();
  CHECK(inner.ended_once());
  CHECK(outer.ended_once());
  CHECK(end == WaitEnd::stuck);
}

TEST_CASE("a worker that sleeps in a wait ends as stuck once the grace is over", "[runtime]") {
  Event never;
  Event begun;
  std::optional<Executor> executor;
  WaitEnd end = WaitEnd::done;
  TaskProbe waiter([&] {
    begun.set();
    end = executor->wait(never, Instant());
  });
  {
    const ThreadPool pool{{.workers = 2}};
    executor = pool;
    executor->post(waiter);
    begun.wait();
  }
  CHECK(end == WaitEnd::stuck);
  CHECK(waiter.ended_once());
}

TEST_CASE("a thread outside that waits is answered by what the shutdown abandons", "[runtime]") {
  Occupier running;
  TaskProbe queued;
  ThreadPool pool{{.workers = 1}};
  const Executor executor = pool;
  running.occupy(executor);
  executor.post(queued);
  WaitEnd end = WaitEnd::stuck;
  std::thread waiter([&] { end = executor.wait(queued.ended, Instant()); });
  pool.shutdown();
  waiter.join();
  CHECK(end == WaitEnd::done);
  running.gate.set();
}

TEST_CASE("a task may shut its own pool down and ends as usual", "[runtime]") {
  bool all_ended = false;
  ThreadPool pool{{.workers = 2}};
  TaskProbe queued;
  TaskProbe task([&] { all_ended = pool.shutdown(1h); });
  Executor(pool).post(task);
  task.ended.wait();
  CHECK(all_ended);
  CHECK(task.ended_once());
  CHECK(task.overdues() == 0);
  CHECK_FALSE(Executor(pool).post(queued));
}

TEST_CASE("a task that shuts its own pool down has only the others told", "[runtime]") {
  bool all_ended = true;
  Occupier other;
  ThreadPool pool{{.workers = 2}};
  other.occupy(pool);
  TaskProbe task([&] { all_ended = pool.shutdown(); });
  Executor(pool).post(task);
  task.ended.wait();
  CHECK_FALSE(all_ended);
  CHECK(task.overdues() == 0);
  CHECK(other.task.overdues() == 1);
  other.gate.set();
}

TEST_CASE("all workers may shut their pool down at the same time", "[runtime]") {
  constexpr int workers = 3;
  std::atomic<int> begun{0};
  Event all_begun;
  Probes tasks;
  ThreadPool pool{{.workers = workers}};
  std::atomic<int> clean{0};
  for (int i = 0; i < workers; ++i) {
    tasks.push_back(std::make_unique<TaskProbe>([&] {
      if (++begun == workers) all_begun.set();
      while (begun != workers) std::this_thread::yield();
      if (pool.shutdown(1h)) ++clean;
    }));
    Executor(pool).post(*tasks.back());
  }
  for (const auto& task : tasks) task->ended.wait();
  CHECK(clean == workers);
  for (const auto& task : tasks) CHECK(task->ended_once());
}

TEST_CASE("a pool destroyed by its own task joins all threads but that one", "[runtime]") {
  ThreadHost host;
  {
    auto pool = std::make_unique<ThreadPool>(host.options(2));
    TaskProbe task([&] { pool.reset(); });
    REQUIRE(Executor(*pool).post(task));
    task.ended.wait();
    CHECK(host.joins == 1);
  }
  for (std::thread& thread : host.threads) {
    if (thread.joinable()) thread.join();
  }
}

TEST_CASE("a task that waits for another pool is let go when its own is shut down", "[runtime]") {
  Occupier other_busy;
  std::optional<Executor> target;
  WaitEnd end = WaitEnd::done;
  Event begun;
  TaskProbe child;
  TaskProbe waiter([&] {
    target->post(child);
    begun.set();
    end = target->wait(child.ended, Instant());
  });
  const ThreadPool other{{.workers = 1}};
  target = other;
  other_busy.occupy(other);
  {
    const ThreadPool pool{{.workers = 1}};
    Executor(pool).post(waiter);
    begun.wait();
  }
  CHECK(end == WaitEnd::stuck);
  other_busy.gate.set();
  child.ended.wait();
}
