// The contract suite for executors.
#pragma once

#include <galley/core/executor.hpp>
#include <galley/testing/contracts/failure.hpp>
#include <galley/testing/task_probe.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace galley::inline v1 {

/// What owns an executor's threads: it converts to `Executor`, its `shutdown()` takes no more tasks
/// and abandons those that wait, and after its destructor nothing runs.
template <class H>
concept ExecutorHost = std::convertible_to<H&, Executor> && requires(H& host) { host.shutdown(); };

/// A function that makes a new `ExecutorHost`.
template <class M>
concept MakesExecutor = requires(M& make) {
  { make() } -> ExecutorHost;
};

/// Checks that the executors that `make` makes keep the obligations of `ExecutorImpl` and make the
/// calls that `Task` allows. Empty when they do.
///
/// Waits with deadlines of half a minute on the executor's own clock where a defect would hang.
///
/// Example  tests/runtime/thread_pool_test.cpp
template <MakesExecutor Make>
std::vector<ContractFailure> check_executor(Make make);

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

/// A host whose tasks have all ended when it goes; declare it after what they touch.
template <class Make>
struct ExecutorStage {
  explicit ExecutorStage(Make& make) : host(make()), executor(host) {}
  ~ExecutorStage() { host.shutdown(); }
  ExecutorStage(const ExecutorStage&) = delete;
  ExecutorStage& operator=(const ExecutorStage&) = delete;

  Instant soon() const { return executor.now() + std::chrono::milliseconds(1); }
  Instant never() const { return executor.now() + std::chrono::hours(1); }
  Instant past() const { return executor.now() - std::chrono::milliseconds(1); }
  bool reaches(Event& event) const {
    return executor.wait(event, executor.now() + std::chrono::seconds(30)) == WaitEnd::done;
  }
  /// Posts the task and waits for its end.
  bool runs(TaskProbe& task) const { return executor.post(task) && reaches(task.ended); }

  decltype(std::declval<Make&>()()) host;
  Executor executor;
};

template <class Make>
struct ExecutorContract {
  using Stage = ExecutorStage<Make>;
  using Timers = std::vector<std::unique_ptr<TimedTaskProbe>>;

  static void time(Make& make, ContractReport& report) {
    const Stage stage(make);
    const Instant first = stage.executor.now();
    const Instant second = stage.executor.now();
    report.expect(!first.is_never(), "now() was never");
    report.expect(first.at <= second.at, "now() went back");
    report.expect(first.clock == second.clock, "now() changed its clock");
    stage.executor.yield();
  }

  static void protocol(Make& make, ContractReport& report) {
    TaskProbe task;
    const Stage stage(make);
    if (!report.expect(stage.runs(task), "the task did not end")) return;
    report.expect(task.ended_once() && task.runs() == 1, "not one run and one finish");
    report.expect(task.ran_on_one_worker(), "run and finish not in order on one worker's thread");
    report.expect(task.overdues() == 0, "overdue without a shutdown");
  }

  /// A task may destroy itself in `finish`: an executor that touches it later fails under a
  /// sanitizer.
  static void task_goes(Make& make, ContractReport& report) {
    struct Fleeting : Task {
      explicit Fleeting(Event& gone) : Task(dispatch), ended(gone) {}
      static void dispatch(Task& task, Call call) noexcept {
        if (call == Call::run || call == Call::overdue) return;
        const std::unique_ptr<Fleeting> self(static_cast<Fleeting*>(&task));
        self->ended.set();
      }
      Event& ended;
    };
    Event gone;
    const Stage stage(make);
    auto task = std::make_unique<Fleeting>(gone);
    if (!report.expect(stage.executor.post(*task), "post was refused")) return;
    static_cast<void>(task.release());
    report.expect(stage.reaches(gone), "the task did not end");
  }

  static void never_inside_post(Make& make, ContractReport& report) {
    std::atomic<bool> inside{false};
    // Written by the poster before and after post; the child compares its own thread with it.
    std::atomic<std::thread::id> poster{};
    TaskProbe child([&] { inside = poster.load() == std::this_thread::get_id(); });
    std::optional<Executor> executor;
    bool accepted = false;
    TaskProbe parent([&] {
      poster = std::this_thread::get_id();
      accepted = executor->post(child);
      poster = std::thread::id();
    });
    const Stage stage(make);
    executor = stage.executor;
    report.expect(stage.runs(parent) && accepted && stage.reaches(child.ended),
                  "a task posted by a task did not end");
    report.expect(!inside, "the task ran inside of post");
  }

  static void all_run(Make& make, ContractReport& report) {
    constexpr int count = 500;
    std::atomic<int> live{0};
    std::atomic<int> most{0};
    std::atomic<int> left{count};
    Event all;
    std::vector<std::unique_ptr<TaskProbe>> tasks;
    tasks.reserve(count);
    for (int i = 0; i < count; ++i) {
      tasks.push_back(std::make_unique<TaskProbe>([&] {
        const int now = ++live;
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        --live;
        if (--left == 0) all.set();
      }));
    }
    const Stage stage(make);
    bool accepted = true;
    for (const auto& task : tasks) accepted = stage.executor.post(*task) && accepted;
    report.expect(accepted, "post was refused");
    if (!report.expect(stage.reaches(all), "some never ran")) return;
    bool once = true;
    for (const auto& task : tasks) once = stage.reaches(task->ended) && task->ended_once() && once;
    report.expect(once, "some did not get one run and one finish");
    const std::size_t width = stage.executor.concurrency();
    report.expect(width >= 1, "concurrency() was 0");
    report.expect(
        static_cast<std::size_t>(most.load()) <= width,
        std::to_string(most.load()) + " ran at once, concurrency() is " + std::to_string(width));
  }

  static void timers(Make& make, ContractReport& report) {
    using std::chrono::milliseconds;
    const std::array<milliseconds, 4> delays{milliseconds(3), milliseconds(1), milliseconds(-1),
                                             milliseconds(2)};
    std::atomic<int> early{0};
    std::optional<Executor> executor;
    Timers tasks;
    for (std::size_t i = 0; i < delays.size(); ++i) {
      tasks.push_back(std::make_unique<TimedTaskProbe>([&, i] {
        if (executor->now().at < tasks[i]->due) ++early;
      }));
    }
    const Stage stage(make);
    executor = stage.executor;
    const Instant start = stage.executor.now();
    for (std::size_t i = 0; i < delays.size(); ++i) {
      report.expect(stage.executor.post_at(*tasks[i], (start + delays[i]).at), "was refused");
    }
    for (const auto& task : tasks) {
      if (!report.expect(stage.reaches(task->ended), "a timed task did not end")) return;
      report.expect(task->ended_once() && task->ran_on_one_worker(),
                    "a timed task did not get one run and one finish on one worker");
    }
    report.expect(early == 0, std::to_string(early.load()) + " tasks ran before their time");
  }

  static void cancelling(Make& make, ContractReport& report) {
    TimedTaskProbe late;
    TimedTaskProbe other;
    {
      const Stage stage(make);
      const Executor& executor = stage.executor;
      if (!report.expect(executor.post_at(other, stage.soon().at), "was refused")) return;
      if (!report.expect(executor.post_at(late, stage.never().at), "was refused")) return;
      report.expect(executor.cancel(late), "a task that waits for its time was not given back");
      report.expect(!executor.cancel(late), "a task was given back twice");
      if (!report.expect(stage.reaches(other.ended), "cancel stopped another task")) return;
      report.expect(!executor.cancel(other), "a task that had run was given back");
    }
    if (!report.expect(late.calls() == 0, "a cancelled task was called")) return;
    const Stage stage(make);
    const Executor& executor = stage.executor;
    const bool back = executor.post_at(late, stage.never().at) && executor.cancel(late);
    report.expect(back && executor.post_at(late, stage.past().at) && stage.reaches(late.ended),
                  "a task that was given back could not be posted again");
    report.expect(late.ended_once(), "posted again, it did not get one run and one finish");
  }

  static void each_worker(Make& make, ContractReport& report) {
    std::optional<Executor> executor;
    Result<void> from_task;
    std::atomic<std::size_t> calls_from_task{0};
    TaskProbe task([&] { from_task = executor->each_worker([&](Worker&) { ++calls_from_task; }); });
    const Stage stage(make);
    executor = stage.executor;
    const std::size_t width = stage.executor.concurrency();
    std::vector<std::atomic<int>> calls(width);
    std::atomic<int> strangers{0};
    const Result<void> from_outside = stage.executor.each_worker([&](Worker& worker) {
      const bool known = worker.index() < width && Worker::current() == &worker;
      if (known) ++calls[worker.index()];
      if (!known) ++strangers;
    });
    report.expect(from_outside.has_value(), "it failed");
    report.expect(strangers == 0, "called with another worker than the current, or one too many");
    const bool once = std::all_of(calls.begin(), calls.end(), [](const auto& n) { return n == 1; });
    report.expect(once, "some worker was not called once");
    report.expect(stage.runs(task) && from_task.has_value() && calls_from_task == width,
                  "called by a task it did not reach each worker");
  }

  static void waits(Make& make, ContractReport& report) {
    Event set;
    Event unset;
    set.set();
    std::optional<Executor> executor;
    WaitEnd done = WaitEnd::stuck;
    WaitEnd late = WaitEnd::stuck;
    Instant past;
    TaskProbe task([&] {
      done = executor->wait(set, past);
      late = executor->wait(unset, past);
    });
    const Stage stage(make);
    executor = stage.executor;
    past = stage.past();
    report.expect(stage.executor.wait(set, past) == WaitEnd::done, "a set event was not done");
    report.expect(stage.executor.wait(unset, past) == WaitEnd::late,
                  "a past deadline was not late");
    report.expect(stage.executor.wait(unset, stage.soon()) == WaitEnd::late,
                  "a deadline that passes was not late");
    if (!report.expect(stage.runs(task), "waiting on a worker did not end")) return;
    report.expect(done == WaitEnd::done, "on a worker a set event was not done");
    report.expect(late == WaitEnd::late, "on a worker a past deadline was not late");
  }

  /// More tasks than workers, each waiting for one that it posts.
  static void helping(Make& make, ContractReport& report) {
    std::optional<Executor> executor;
    std::vector<std::unique_ptr<TaskProbe>> children;
    std::vector<std::unique_ptr<TaskProbe>> parents;
    std::atomic<int> unserved{0};
    const Stage stage(make);
    executor = stage.executor;
    for (std::size_t i = 0; i < stage.executor.concurrency() + 2; ++i) {
      children.push_back(std::make_unique<TaskProbe>());
      parents.push_back(std::make_unique<TaskProbe>([&, child = children.back().get()] {
        if (!executor->post(*child) || !stage.reaches(child->ended)) ++unserved;
      }));
    }
    for (const auto& parent : parents) stage.executor.post(*parent);
    for (const auto& parent : parents) {
      if (!report.expect(stage.reaches(parent->ended), "a task that waits did not end")) return;
    }
    report.expect(unserved == 0, "a worker that waits did not run the task it waited for");
  }

  static void epochs(Make& make, ContractReport& report) {
    std::shared_ptr<EpochDomain> domain;
    bool in_range = true;
    bool passed_inside = false;
    std::uint64_t epoch = 0;
    TaskProbe task([&] {
      const Worker* worker = Worker::current();
      if (worker != nullptr) domain = worker->epochs();
      if (domain == nullptr) return;
      in_range = worker->index() < domain->readers();
      epoch = domain->advance();
      passed_inside = domain->passed(epoch);
    });
    {
      const Stage stage(make);
      if (!report.expect(stage.runs(task), "the task did not end")) return;
    }
    if (domain == nullptr) return;
    report.expect(in_range, "a worker's index is not that of a reader");
    report.expect(!passed_inside, "an epoch passed while a task ran that could read the old one");
    report.expect(domain->passed(epoch), "an epoch did not pass although nothing runs any more");
  }

  static void shutting_down(Make& make, ContractReport& report) {
    TaskProbe before;
    TaskProbe after;
    TimedTaskProbe waiting;
    TimedTaskProbe timed;
    std::optional<Executor> left;
    {
      Stage stage(make);
      left = stage.executor;
      report.expect(stage.runs(before), "a task did not end");
      report.expect(stage.executor.post_at(waiting, stage.never().at), "was refused");
      stage.host.shutdown();
      report.expect(stage.reaches(waiting.ended) && waiting.abandons() == 1 && waiting.calls() == 1,
                    "a task that waits was not abandoned");
      report.expect(!left->cancel(waiting), "an abandoned task was given back");
      stage.host.shutdown();
      refuses(*left, after, timed, report);
    }
    refuses(*left, after, timed, report);
    report.expect(before.ended_once() && before.calls() == 2, "a task that had ended was called");
    report.expect(waiting.calls() == 1, "a task was abandoned twice");
  }
  static void refuses(const Executor& executor, TaskProbe& task, TimedTaskProbe& timed,
                      ContractReport& report) {
    report.expect(!executor.post(task), "post accepted a task after the shutdown");
    report.expect(!executor.post_at(timed, executor.now().at), "post_at accepted a task after it");
    report.expect(task.calls() + timed.calls() == 0, "a refused task was called");
    const Result<void> each = executor.each_worker([](Worker&) {});
    report.expect(each.status() == Status::unavailable, "each_worker was not unavailable after it");
  }
};

}  // namespace detail

template <MakesExecutor Make>
std::vector<ContractFailure> check_executor(Make make) {
  using Contract = detail::ExecutorContract<Make>;
  struct Obligation {
    const char* sentence;
    void (*check)(Make&, ContractReport&);
  };
  const Obligation obligations[] = {
      {"now() is the executor's time", Contract::time},
      {"a task gets run, then finish, on one worker", Contract::protocol},
      {"a task is not touched after finish", Contract::task_goes},
      {"a task never runs inside of post", Contract::never_inside_post},
      {"every task runs once, concurrency() of them at most at a time", Contract::all_run},
      {"a timed task runs at its time", Contract::timers},
      {"cancel takes a timed task back", Contract::cancelling},
      {"each_worker reaches each worker once", Contract::each_worker},
      {"wait ends with the event or the deadline", Contract::waits},
      {"a worker that waits runs other tasks", Contract::helping},
      {"a worker is quiescent between tasks only", Contract::epochs},
      {"shut down, it abandons what waits and takes nothing", Contract::shutting_down},
  };
  std::vector<ContractFailure> failures;
  for (const Obligation& obligation : obligations) {
    ContractReport report(failures, obligation.sentence);
    obligation.check(make, report);
  }
  return failures;
}

}  // namespace galley::inline v1
