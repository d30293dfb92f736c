// TaskProbe: a task that counts the calls an executor makes on it.
#pragma once

#include <galley/core/executor.hpp>

#include <atomic>
#include <concepts>
#include <functional>
#include <thread>
#include <utility>

namespace galley::inline v1 {

/// A `Task` or `TimedTask` that runs a function and keeps count of its calls.
///
/// Threads  the counts may be read by any thread, the rest after `ended` is set
template <std::derived_from<Task> Base>
class BasicTaskProbe : public Base {
 public:
  explicit BasicTaskProbe(std::function<void()> body = {})
      : Base(dispatch), body_(std::move(body)) {}

  int runs() const noexcept { return runs_.load(); }
  int finishes() const noexcept { return finishes_.load(); }
  int abandons() const noexcept { return abandons_.load(); }
  int overdues() const noexcept { return overdues_.load(); }
  /// How many calls of any kind.
  int calls() const noexcept { return runs() + finishes() + abandons() + overdues(); }

  /// True when it got what the protocol owes every task that was posted: run and finish, or
  /// abandon.
  bool ended_once() const noexcept {
    const bool ran = runs() == 1 && finishes() == 1 && abandons() == 0;
    const bool left = runs() == 0 && finishes() == 0 && abandons() == 1;
    return (ran || left) && overdues() <= runs();
  }
  /// True when `run` and `finish` came in this order, on one worker and one thread.
  bool ran_on_one_worker() const noexcept {
    return in_order_ && run_worker_ != nullptr && run_worker_ == finish_worker_ &&
           run_thread_ == finish_thread_;
  }
  /// The worker it ran on.
  const Worker* worker() const noexcept { return run_worker_; }

  /// Set by `finish` and `abandon`.
  Event ended;
  /// Called by `overdue`.
  std::function<void()> on_overdue;

 private:
  static void dispatch(Task& task, Task::Call call) noexcept {
    auto& self = static_cast<BasicTaskProbe&>(task);
    switch (call) {
      case Task::Call::run:
        return self.run();
      case Task::Call::finish:
        return self.finish();
      case Task::Call::overdue:
        return self.overdue();
      case Task::Call::abandon:
        self.abandons_.fetch_add(1);
        return self.ended.set();
    }
  }
  void run() {
    run_worker_ = Worker::current();
    run_thread_ = std::this_thread::get_id();
    runs_.fetch_add(1);
    if (body_) body_();
  }
  void finish() {
    in_order_ = runs() == 1;
    finish_worker_ = Worker::current();
    finish_thread_ = std::this_thread::get_id();
    finishes_.fetch_add(1);
    ended.set();
  }
  void overdue() {
    if (on_overdue) on_overdue();
    overdues_.fetch_add(1);
  }

  std::function<void()> body_;
  // Sequentially consistent counts; the rest is handed over by `ended`.
  std::atomic<int> runs_{0};
  std::atomic<int> finishes_{0};
  std::atomic<int> abandons_{0};
  std::atomic<int> overdues_{0};
  bool in_order_ = false;
  const Worker* run_worker_ = nullptr;
  const Worker* finish_worker_ = nullptr;
  std::thread::id run_thread_;
  std::thread::id finish_thread_;
};

using TaskProbe = BasicTaskProbe<Task>;
using TimedTaskProbe = BasicTaskProbe<TimedTask>;

}  // namespace galley::inline v1
