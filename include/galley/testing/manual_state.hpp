// What the handles of a ManualExecutor share.
#pragma once

#include <galley/core/executor.hpp>
#include <galley/core/result.hpp>
#include <galley/core/time.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// What the handles of a `ManualExecutor` share. No task, event or clock is called under the lock.
class ManualState : public std::enable_shared_from_this<ManualState> {
 public:
  /// Shuffles what is ready where there is a seed.
  explicit ManualState(std::optional<std::uint64_t> seed)
      : shuffled_(seed.has_value()), random_(seed.value_or(0)), worker_(this, epochs_, 0, help) {}

  // ---- ExecutorImpl
  Instant now() const { return Instant{time(), clock()}; }

  bool post(Task& task) {
    const std::lock_guard lock(mutex_);
    if (shut_down_) return false;
    push(task);
    return true;
  }

  bool post_at(TimedTask& task, TimePoint at) {
    const std::lock_guard lock(mutex_);
    if (shut_down_) return false;
    task.due = at;
    const auto later = [](TimePoint due, const TimedTask* other) { return due < other->due; };
    timers_.insert(std::upper_bound(timers_.begin(), timers_.end(), at, later), &task);
    ready_timers();
    return true;
  }

  bool cancel(TimedTask& task) {
    const std::lock_guard lock(mutex_);
    return std::erase(timers_, &task) != 0;
  }

  void yield() {
    const std::lock_guard lock(mutex_);
    ++yields_;
  }

  std::size_t concurrency() const { return 1; }

  Result<void> each_worker(FunctionRef<void(Worker&)> f) {
    {
      const std::lock_guard lock(mutex_);
      if (shut_down_) return Error(Status::unavailable, "the manual executor is shut down");
      if (!may_run()) {
        return Error(Status::failed_precondition, "another thread drives the manual executor");
      }
      begin(nullptr);
    }
    {
      const Worker::Scope scope(worker_);
      f(worker_);
    }
    end();
    return {};
  }

  WaitEnd wait(Event& event, const Instant& deadline) {
    for (;;) {
      if (event.is_set()) return WaitEnd::done;
      if (deadline.has_passed()) return WaitEnd::late;
      if (run_one()) continue;
      if (elsewhere()) return wait_elsewhere(event, deadline);
      if (Worker* outer = Worker::current(); outer != nullptr && outer != &worker_) {
        const WaitEnd end = outer->help(event, deadline);
        if (end != WaitEnd::stuck) return end;
        if (can_run()) continue;
      }
      if (!pass_to_next(deadline)) return WaitEnd::stuck;
    }
  }

  // ---- driving
  bool run_one() {
    Task* task = nullptr;
    std::size_t depth = 0;
    {
      const std::lock_guard lock(mutex_);
      if (!may_run() || depth_ >= max_depth || queued_ == 0) return false;
      task = take();
      depth = depth_;
      begin(task);
    }
    {
      const Worker::Scope scope(worker_);
      (*task)(Task::Call::run);
      {
        std::unique_lock lock(mutex_);
        told_.wait(lock, [&] { return running_[depth].call != RunningTask::Call::telling; });
        running_[depth].task = nullptr;
      }
      (*task)(Task::Call::finish);
    }
    end();
    return true;
  }

  std::size_t run_ready(std::size_t limit) {
    std::size_t ran = 0;
    while (ran < limit && run_one()) ++ran;
    return ran;
  }

  std::size_t advance(Duration by) {
    const TimePoint target = after(by);
    std::size_t ran = run_ready(unlimited);
    while (move_to_timer(target)) ran += run_ready(unlimited);
    move_to(target);
    return ran + run_ready(unlimited);
  }

  void pass(Duration by) { move_to(after(by)); }

  std::size_t run_all(std::size_t limit) {
    std::size_t ran = run_ready(limit);
    while (ran < limit && move_to_timer(TimePoint::max())) ran += run_ready(limit - ran);
    return ran;
  }

  void shutdown() {
    Task* task = nullptr;
    std::vector<TimedTask*> timers;
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(shut_down_, true)) return;
      task = std::exchange(first_, nullptr);
      queued_ = 0;
      timers = std::exchange(timers_, {});
    }
    while (task != nullptr) {
      Task* const next = task->next;
      (*task)(Task::Call::abandon);
      task = next;
    }
    for (TimedTask* timer : timers) (*timer)(Task::Call::abandon);
    for (RunningTask& running : running_) tell_overdue(running);
  }

  // ---- looking
  std::size_t pending() const {
    const std::lock_guard lock(mutex_);
    return queued_;
  }
  std::size_t timers() const {
    const std::lock_guard lock(mutex_);
    return timers_.size();
  }
  std::size_t yields() const {
    const std::lock_guard lock(mutex_);
    return yields_;
  }
  Instant next_due() const {
    const std::lock_guard lock(mutex_);
    return timers_.empty() ? Instant() : Instant{timers_.front()->due, clock()};
  }

 private:
  static constexpr std::size_t max_depth = 32;
  static constexpr std::size_t unlimited = static_cast<std::size_t>(-1);

  struct RunningTask {
    enum class Call : std::uint8_t { running, telling, told };
    Task* task = nullptr;
    Call call = Call::running;
  };

  static WaitEnd help(Worker& worker, Event& event, const Instant& deadline) {
    return static_cast<ManualState*>(const_cast<void*>(worker.executor()))->wait(event, deadline);
  }

  Clock clock() const {
    return Clock([](const void* state) { return static_cast<const ManualState*>(state)->time(); },
                 shared_from_this());
  }
  TimePoint time() const {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  TimePoint after(Duration by) const {
    const TimePoint from = time();
    return by < TimePoint::max() - from ? from + by : TimePoint::max();
  }

  WaitEnd wait_elsewhere(Event& event, const Instant& deadline) {
    if (Worker* outer = Worker::current(); outer != nullptr) return outer->help(event, deadline);
    return event.wait_until(deadline) ? WaitEnd::done : WaitEnd::late;
  }

  // Under the lock.
  bool may_run() const { return depth_ == 0 || driver_ == std::this_thread::get_id(); }
  void begin(Task* task) {
    driver_ = std::this_thread::get_id();
    if (depth_ == 0) epochs_->enter(0);
    if (depth_ < max_depth) running_[depth_] = {task, RunningTask::Call::running};
    ++depth_;
  }
  void push(Task& task) {
    task.next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = &task;
    last_ = &task;
    ++queued_;
  }
  Task* take() {
    std::size_t skip = shuffled_ ? draw() % queued_ : 0;
    Task* before = nullptr;
    Task* task = first_;
    for (; skip > 0; --skip) before = std::exchange(task, task->next);
    (before == nullptr ? first_ : before->next) = task->next;
    if (last_ == task) last_ = before;
    --queued_;
    return task;
  }
  /// splitmix64: the same numbers on every platform.
  std::uint64_t draw() {
    std::uint64_t z = (random_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }
  void ready_timers() {
    auto due = timers_.begin();
    for (; due != timers_.end() && (*due)->due <= now_; ++due) push(**due);
    timers_.erase(timers_.begin(), due);
  }
  void set_time(TimePoint to) {
    now_ = std::max(now_, to);
    ready_timers();
  }

  void end() {
    const std::lock_guard lock(mutex_);
    if (--depth_ == 0) epochs_->leave(0);
  }
  bool elsewhere() const {
    const std::lock_guard lock(mutex_);
    return !may_run();
  }
  bool can_run() const {
    const std::lock_guard lock(mutex_);
    return may_run() && depth_ < max_depth && queued_ > 0;
  }
  void move_to(TimePoint to) {
    const std::lock_guard lock(mutex_);
    set_time(to);
  }
  /// Moves to the next timer if it is due by `limit`.
  bool move_to_timer(TimePoint limit) {
    const std::lock_guard lock(mutex_);
    if (timers_.empty() || timers_.front()->due > limit) return false;
    set_time(timers_.front()->due);
    return true;
  }
  /// In a wait with nothing ready: moves to the next timer or to the deadline; false without
  /// either.
  bool pass_to_next(const Instant& deadline) {
    const bool own = !deadline.is_never() && deadline.clock == clock();
    const std::lock_guard lock(mutex_);
    if (depth_ >= max_depth) return false;
    TimePoint next = own ? deadline.at : TimePoint::max();
    if (!timers_.empty()) next = std::min(next, timers_.front()->due);
    if (next == TimePoint::max()) return false;
    set_time(next);
    return true;
  }
  void tell_overdue(RunningTask& running) {
    Task* task = nullptr;
    {
      const std::lock_guard lock(mutex_);
      task = std::exchange(running.task, nullptr);
      if (task == nullptr) return;
      running.call = RunningTask::Call::telling;
    }
    (*task)(Task::Call::overdue);
    const std::lock_guard lock(mutex_);
    running.call = RunningTask::Call::told;
    told_.notify_all();
  }

  const bool shuffled_;
  const std::shared_ptr<EpochDomain> epochs_ = std::make_shared<EpochDomain>(1);
  mutable std::mutex mutex_;
  std::condition_variable told_;
  TimePoint now_{std::chrono::hours(1)};
  Task* first_ = nullptr;
  Task* last_ = nullptr;
  std::size_t queued_ = 0;
  std::vector<TimedTask*> timers_;  // by when they are due, the first posted first
  std::size_t yields_ = 0;
  std::uint64_t random_;
  bool shut_down_ = false;
  std::thread::id driver_;
  std::size_t depth_ = 0;
  std::array<RunningTask, max_depth> running_;
  Worker worker_;
};

}  // namespace galley::inline v1::detail
