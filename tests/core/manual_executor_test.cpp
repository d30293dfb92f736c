#include <galley/testing/contracts/executor.hpp>
#include <galley/testing/manual_executor.hpp>
#include <galley/testing/task_probe.hpp>

#include <chrono>
#include <memory>
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
using galley::TaskOrder;
using galley::TaskProbe;
using galley::TimedTaskProbe;
using galley::WaitEnd;
using galley::Worker;

namespace {

using Probes = std::vector<std::unique_ptr<TaskProbe>>;

/// Posts n tasks that write down their number.
Probes post_numbered(const Executor& executor, int n, std::vector<int>& ran) {
  Probes tasks;
  for (int i = 0; i < n; ++i) {
    tasks.push_back(std::make_unique<TaskProbe>([&ran, i] { ran.push_back(i); }));
    REQUIRE(executor.post(*tasks.back()));
  }
  return tasks;
}

std::vector<int> shuffled_run(std::uint64_t seed) {
  const ManualExecutor manual{{.seed = seed, .order = TaskOrder::shuffled}};
  std::vector<int> ran;
  const Probes tasks = post_numbered(manual, 20, ran);
  CHECK(manual.run_ready() == 20);
  CHECK(manual.seed() == seed);
  return ran;
}

}  // namespace

TEST_CASE("a manual executor keeps the contract of executors", "[testing][contract]") {
  for (const auto& failure : galley::check_executor([] { return ManualExecutor(); })) {
    FAIL_CHECK(to_string(failure));
  }
}

TEST_CASE("a shuffling manual executor keeps the contract of executors", "[testing][contract]") {
  const std::uint64_t seed = GENERATE(1U, 2U, 3U);
  CAPTURE(seed);
  const auto make = [seed] { return ManualExecutor{{.seed = seed, .order = TaskOrder::shuffled}}; };
  for (const auto& failure : galley::check_executor(make)) FAIL_CHECK(to_string(failure));
}

TEST_CASE("nothing runs before a manual executor is told to", "[testing]") {
  const ManualExecutor manual;
  std::vector<int> ran;
  const Probes tasks = post_numbered(manual, 3, ran);
  CHECK(manual.pending() == 3);
  CHECK(ran.empty());
  CHECK(manual.run_one());
  CHECK(ran == std::vector<int>{0});
  CHECK(manual.run_ready(1) == 1);
  CHECK(manual.run_ready() == 1);
  CHECK_FALSE(manual.run_one());
  CHECK(ran == std::vector<int>{0, 1, 2});
  for (const auto& task : tasks) CHECK(task->ended_once());
}

TEST_CASE("running what is ready runs what that posts as well", "[testing]") {
  TaskProbe child;
  const ManualExecutor manual;
  TaskProbe parent([&] { Executor(manual).post(child); });
  Executor(manual).post(parent);
  CHECK(manual.run_ready() == 2);
  CHECK(child.ended_once());
}

TEST_CASE("copies of a manual executor share everything", "[testing]") {
  TaskProbe task;
  const ManualExecutor manual;
  ManualExecutor copy;
  copy = manual;
  CHECK(Executor(manual) == Executor(copy));
  Executor(manual).post(task);
  CHECK(copy.run_one());
  copy.pass(3ms);
  CHECK(manual.now() == copy.now());
  CHECK(manual.now().clock == copy.now().clock);
}

TEST_CASE("manual time starts at one hour and outlives its executor", "[testing]") {
  std::optional<ManualExecutor> manual(std::in_place);
  const Instant start = manual->now();
  CHECK(start.at == galley::TimePoint(1h));
  const Instant limit = start + 5ms;
  manual->pass(4ms);
  CHECK_FALSE(limit.has_passed());
  manual->pass(1ms);
  CHECK(limit.has_passed());
  manual.reset();
  CHECK(limit.clock.now() == limit.at);
}

TEST_CASE("advancing runs each timer at its time, those of one time as posted", "[testing]") {
  const ManualExecutor manual;
  const Executor executor(manual);
  const Instant start = manual.now();
  std::vector<std::string> ran;
  const auto note = [&](const char* name) {
    return [&ran, &manual, start, name] {
      ran.push_back(std::string(name) + "@" + std::to_string((manual.now().at - start.at) / 1ms));
    };
  };
  TimedTaskProbe late(note("late"));
  TimedTaskProbe two(note("two"));
  TimedTaskProbe two_again(note("two again"));
  TimedTaskProbe chained(note("chained"));
  TimedTaskProbe one([&] {
    note("one")();
    executor.post_at(chained, (manual.now() + 2ms).at);
  });
  TaskProbe ready(note("ready"));
  executor.post_at(late, (start + 9ms).at);
  executor.post_at(two, (start + 2ms).at);
  executor.post_at(two_again, (start + 2ms).at);
  executor.post_at(one, (start + 1ms).at);
  executor.post(ready);
  CHECK(manual.timers() == 4);
  CHECK(manual.next_due() == start + 1ms);
  CHECK(manual.advance(5ms) == 5);
  CHECK(ran == std::vector<std::string>{"ready@0", "one@1", "two@2", "two again@2", "chained@3"});
  CHECK(manual.now() == start + 5ms);
  CHECK(manual.timers() == 1);
  CHECK(manual.run_all() == 1);
  CHECK(manual.now() == start + 9ms);
  CHECK(manual.next_due().is_never());
}

TEST_CASE("time that passes makes timers ready without running them", "[testing]") {
  TimedTaskProbe task;
  const ManualExecutor manual;
  Executor(manual).post_at(task, (manual.now() + 1ms).at);
  manual.pass(1ms - 1ns);
  CHECK(manual.pending() == 0);
  manual.pass(1ns);
  CHECK(manual.pending() == 1);
  CHECK(task.calls() == 0);
  CHECK_FALSE(Executor(manual).cancel(task));
  CHECK(manual.run_one());
  CHECK(task.ended_once());
}

TEST_CASE("running all stops at its limit when timers rearm for ever", "[testing]") {
  const ManualExecutor manual;
  const Executor executor(manual);
  std::vector<std::unique_ptr<TimedTaskProbe>> ticks;
  std::function<void()> tick = [&] {
    ticks.push_back(std::make_unique<TimedTaskProbe>(tick));
    executor.post_at(*ticks.back(), (manual.now() + 1ms).at);
  };
  tick();
  CHECK(manual.run_all(10) == 10);
  CHECK(ticks.size() == 11);
  manual.shutdown();
}

TEST_CASE("a shuffled order is a permutation that its seed decides", "[testing]") {
  const std::vector<int> seven = shuffled_run(7);
  CHECK(seven == shuffled_run(7));
  CHECK(seven != shuffled_run(8));
  std::vector<int> sorted = seven;
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted != seven);
  for (int i = 0; i < 20; ++i) CHECK(sorted[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("yields on a manual executor are counted", "[testing]") {
  const ManualExecutor manual;
  Executor(manual).yield();
  Executor(manual).yield();
  CHECK(manual.yields() == 2);
}

TEST_CASE("a wait outside of any task runs ready tasks until the event is set", "[testing]") {
  Event event;
  const ManualExecutor manual;
  TaskProbe first;
  TaskProbe second([&] { event.set(); });
  TaskProbe third;
  for (TaskProbe* task : {&first, &second, &third}) Executor(manual).post(*task);
  CHECK(Executor(manual).wait(event, Instant()) == WaitEnd::done);
  CHECK(first.ended_once());
  CHECK(third.calls() == 0);
  CHECK(manual.run_ready() == 1);
}

TEST_CASE("a wait moves time to a timer only when nothing is ready", "[testing]") {
  Event event;
  const ManualExecutor manual;
  const Instant start = manual.now();
  std::vector<Instant> seen;
  TimedTaskProbe timed([&] {
    seen.push_back(manual.now());
    event.set();
  });
  TaskProbe ready([&] { seen.push_back(manual.now()); });
  Executor(manual).post_at(timed, (start + 5ms).at);
  Executor(manual).post(ready);
  CHECK(Executor(manual).wait(event, start + 6ms) == WaitEnd::done);
  CHECK(seen == std::vector<Instant>{start, start + 5ms});
}

TEST_CASE("a wait that only its deadline can end moves time there and is late", "[testing]") {
  Event event;
  TimedTaskProbe timed([&] { event.set(); });
  const ManualExecutor manual;
  const Instant start = manual.now();
  Executor(manual).post_at(timed, (start + 5ms).at);
  CHECK(Executor(manual).wait(event, start + 3ms) == WaitEnd::late);
  CHECK(manual.now() == start + 3ms);
  CHECK(timed.calls() == 0);
  manual.shutdown();
}

TEST_CASE("a wait that nothing can end is stuck, and time stands still", "[testing]") {
  Event event;
  const ManualExecutor manual;
  const Instant start = manual.now();
  CHECK(Executor(manual).wait(event, Instant()) == WaitEnd::stuck);
  CHECK(Executor(manual).wait(event, Instant{galley::TimePoint::max() - 1h, {}}) == WaitEnd::stuck);
  CHECK(manual.now() == start);
}

TEST_CASE("tasks nest 32 deep on a manual executor, then a wait is stuck", "[testing]") {
  constexpr std::size_t cap = 32;
  Event never;
  const ManualExecutor manual;
  std::vector<WaitEnd> ends;
  Probes tasks;
  for (std::size_t i = 0; i < cap + 1; ++i) {
    tasks.push_back(std::make_unique<TaskProbe>(
        [&] { ends.push_back(Executor(manual).wait(never, Instant())); }));
    Executor(manual).post(*tasks.back());
  }
  CHECK(manual.run_one());
  // The 32nd was stuck first; when it had ended its waiter could run the 33rd.
  CHECK(ends == std::vector<WaitEnd>(cap + 1, WaitEnd::stuck));
  CHECK(manual.pending() == 0);
  for (const auto& task : tasks) CHECK(task->ended_once());
}

TEST_CASE("two manual executors on one thread help each other while they wait", "[testing]") {
  Event event;
  WaitEnd end = WaitEnd::stuck;
  const ManualExecutor one;
  const ManualExecutor two;
  TaskProbe last([&] { event.set(); });
  TaskProbe back([&] { Executor(two).post(last); });
  TaskProbe there([&] { Executor(one).post(back); });
  TaskProbe first([&] {
    Executor(two).post(there);
    end = Executor(two).wait(event, Instant());
  });
  Executor(one).post(first);
  CHECK(one.run_one());
  CHECK(end == WaitEnd::done);
  CHECK(last.ended_once());
}

TEST_CASE("its worker reads versions while a task runs and is parked otherwise", "[testing]") {
  std::shared_ptr<galley::EpochDomain> domain;
  std::uint64_t epoch = 0;
  bool passed = true;
  const ManualExecutor manual;
  TaskProbe task([&] {
    domain = Worker::current()->epochs();
    epoch = domain->advance();
    passed = domain->passed(epoch);
  });
  Executor(manual).post(task);
  manual.run_one();
  CHECK_FALSE(passed);
  CHECK(domain->passed(epoch));
  CHECK(Worker::current() == nullptr);
}

TEST_CASE("shutting down inside a task tells it that it is overdue before it finishes",
          "[testing]") {
  const ManualExecutor manual;
  std::vector<std::string> said;
  TaskProbe outer([&] {
    manual.shutdown();
    said.push_back("shut down");
  });
  outer.on_overdue = [&] { said.push_back("overdue"); };
  TaskProbe queued;
  Executor(manual).post(outer);
  Executor(manual).post(queued);
  CHECK(manual.run_ready() == 1);
  CHECK(said == std::vector<std::string>{"overdue", "shut down"});
  CHECK(outer.ended_once());
  CHECK(outer.overdues() == 1);
  CHECK(queued.abandons() == 1);
}

TEST_CASE("a manual executor takes tasks from other threads", "[testing]") {
  const ManualExecutor manual;
  Probes tasks;
  for (int i = 0; i < 400; ++i) tasks.push_back(std::make_unique<TaskProbe>());
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = t; i < tasks.size(); i += 4) Executor(manual).post(*tasks[i]);
    });
  }
  std::size_t ran = 0;
  while (ran < tasks.size()) ran += manual.run_ready();
  for (std::thread& thread : threads) thread.join();
  for (const auto& task : tasks) CHECK(task->ended_once());
}

TEST_CASE("a thread that waits while another drives the executor only waits", "[testing]") {
  Event inside;
  Event event;
  Event waited;
  const ManualExecutor manual;
  std::thread::id other_ran;
  TaskProbe other([&] { other_ran = std::this_thread::get_id(); });
  TaskProbe driving([&] {
    inside.set();
    event.set();
    waited.wait();
  });
  Executor(manual).post(driving);
  Executor(manual).post(other);
  WaitEnd end = WaitEnd::stuck;
  bool ran = true;
  Status each = Status::ok;
  std::thread waiter([&] {
    inside.wait();
    ran = manual.run_one();
    each = Executor(manual).each_worker([](Worker&) {}).status();
    end = Executor(manual).wait(event, Instant());
    waited.set();
  });
  CHECK(manual.run_ready() == 2);
  waiter.join();
  CHECK(end == WaitEnd::done);
  CHECK_FALSE(ran);
  CHECK(each == Status::failed_precondition);
  CHECK(other_ran == std::this_thread::get_id());
}
