#include <galley/runtime/thread_pool.hpp>
#include <galley/testing/task_probe.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <support/catch.hpp>

using namespace std::chrono_literals;
using galley::Event;
using galley::Executor;
using galley::Instant;
using galley::TaskProbe;
using galley::ThreadPool;
using galley::TimedTaskProbe;
using galley::WaitEnd;
using galley::Worker;

namespace {

constexpr std::size_t posters = 8;

/// Runs f(0) ... f(7) on threads of their own.
template <class F>
void on_threads(F f) {
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < posters; ++t) threads.emplace_back([&f, t] { f(t); });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("tasks that eight threads post run once each", "[runtime][soak]") {
  constexpr std::size_t each = 2000;
  std::vector<std::unique_ptr<TaskProbe>> tasks(posters * each);
  std::atomic<std::size_t> sum{0};
  const ThreadPool pool{{.workers = 3}};
  const Executor executor = pool;
  on_threads([&](std::size_t t) {
    for (std::size_t i = t * each; i < (t + 1) * each; ++i) {
      tasks[i] = std::make_unique<TaskProbe>([&sum, i] { sum += i; });
      executor.post(*tasks[i]);
    }
    for (std::size_t i = t * each; i < (t + 1) * each; ++i) tasks[i]->ended.wait();
  });
  const std::size_t n = tasks.size();
  CHECK(sum == n * (n - 1) / 2);
  for (const auto& task : tasks) REQUIRE(task->ended_once());
}

TEST_CASE("a timer either fires or is taken back, never both", "[runtime][soak]") {
  constexpr std::size_t each = 500;
  std::atomic<int> fired{0};
  std::atomic<int> taken_back{0};
  std::atomic<int> wrong{0};
  const ThreadPool pool{{.workers = 2}};
  const Executor executor = pool;
  on_threads([&](std::size_t t) {
    for (std::size_t i = 0; i < each; ++i) {
      TimedTaskProbe timer;
      const auto delay = std::chrono::microseconds((i * 7 + t) % 60);
      executor.post_at(timer, (executor.now() + delay).at);
      for (std::size_t n = 0; n < i % 5; ++n) std::this_thread::yield();
      if (executor.cancel(timer)) {
        ++taken_back;
        if (timer.calls() != 0) ++wrong;
      } else {
        timer.ended.wait();
        ++fired;
        if (!timer.ended_once()) ++wrong;
      }
    }
  });
  CHECK(wrong == 0);
  CHECK(fired + taken_back == static_cast<int>(posters * each));
}

TEST_CASE("workers that wait lose no wake, whoever ends the wait", "[runtime][soak]") {
  constexpr std::size_t each = 300;
  std::atomic<int> wrong{0};
  const ThreadPool pool{{.workers = 2}};
  const Executor executor = pool;
  on_threads([&](std::size_t) {
    for (std::size_t i = 0; i < each; ++i) {
      Event set_outside;
      Event begun;
      TaskProbe child;
      TimedTaskProbe timer;
      TaskProbe parent([&] {
        begun.set();
        executor.post(child);
        if (i % 3 == 0) executor.post_at(timer, (executor.now() + 20us).at);
        if (executor.wait(child.ended, Instant()) == WaitEnd::late) ++wrong;
        if (executor.wait(set_outside, Instant()) == WaitEnd::late) ++wrong;
      });
      executor.post(parent);
      begun.wait();
      if (i % 2 == 0) child.ended.wait();
      set_outside.set();
      parent.ended.wait();
      child.ended.wait();
      if (i % 3 == 0) timer.ended.wait();
      if (!parent.ended_once() || !child.ended_once()) ++wrong;
    }
  });
  CHECK(wrong == 0);
}

TEST_CASE("shut down under load, every task that was taken ends exactly once", "[runtime][soak]") {
  for (int round = 0; round < 20; ++round) {
    constexpr std::size_t each = 400;
    struct Family {
      std::unique_ptr<TaskProbe> parent;
      std::unique_ptr<TaskProbe> child;
      std::unique_ptr<TimedTaskProbe> timer;
      bool parent_taken = false;
      bool timer_taken = false;
      std::atomic<bool> child_taken{false};
    };
    std::vector<Family> families(posters * each);
    std::optional<ThreadPool> pool(std::in_place, galley::ThreadPoolOptions{.workers = 3});
    const Executor executor = *pool;
    std::atomic<std::size_t> posted{0};
    Event under_load;
    std::thread closer([&] {
      under_load.wait();
      pool->shutdown(round % 2 == 0 ? 0ns : 1ms);
      pool.reset();
    });
    on_threads([&](std::size_t t) {
      for (std::size_t i = t * each; i < (t + 1) * each; ++i) {
        Family& family = families[i];
        family.child = std::make_unique<TaskProbe>();
        family.timer = std::make_unique<TimedTaskProbe>();
        family.parent = std::make_unique<TaskProbe>([&family, &executor, i] {
          family.child_taken = executor.post(*family.child);
          if (i % 2 == 0 && family.child_taken) executor.wait(family.child->ended, Instant());
        });
        family.parent_taken = executor.post(*family.parent);
        family.timer_taken = executor.post_at(*family.timer, (executor.now() + 100us).at);
        if (++posted == posters * each / 4) under_load.set();
      }
    });
    closer.join();
    std::size_t refused = 0;
    std::size_t wrong = 0;
    const auto check = [&](bool taken, const auto& task) {
      refused += taken ? 0 : 1;
      wrong += taken == task.ended_once() && (taken || task.calls() == 0) ? 0 : 1;
    };
    for (const Family& family : families) {
      check(family.parent_taken, *family.parent);
      check(family.timer_taken, *family.timer);
      check(family.child_taken, *family.child);
    }
    CAPTURE(round, refused);
    REQUIRE(wrong == 0);
  }
}

TEST_CASE("each_worker reaches every worker while others post and wait", "[runtime][soak]") {
  constexpr std::size_t each = 100;
  constexpr std::size_t workers = 3;
  std::atomic<std::size_t> reached{0};
  std::atomic<int> wrong{0};
  const ThreadPool pool{{.workers = workers}};
  const Executor executor = pool;
  on_threads([&](std::size_t t) {
    for (std::size_t i = 0; i < each; ++i) {
      TaskProbe task([&] {
        if (t % 4 != 0) return;
        if (!executor.each_worker([&](Worker&) { ++reached; }).has_value()) ++wrong;
      });
      executor.post(task);
      if (t % 4 == 1 && !executor.each_worker([&](Worker&) { ++reached; }).has_value()) ++wrong;
      task.ended.wait();
    }
  });
  CHECK(wrong == 0);
  CHECK(reached == posters / 2 * each * workers);
}
