// WaitPlan: how a thread waits for what it submitted.
#pragma once

#include <galley/core/executor.hpp>
#include <galley/core/time.hpp>

#include <optional>

namespace galley::inline v1 {

namespace detail {

/// Waits on a thread that may or may not belong to an executor.
inline WaitEnd wait_anywhere(Event& event, const Instant& deadline) {
  if (Worker* worker = Worker::current(); worker != nullptr) return worker->help(event, deadline);
  if (deadline.is_never()) {
    event.wait();
    return WaitEnd::done;
  }
  return event.wait_until(deadline) ? WaitEnd::done : WaitEnd::late;
}

}  // namespace detail

/// Whether, and how, one thread can wait for several servables that it submits to at once: an
/// executor may run on the very thread that waits, and then it has to be the one that is waited on.
/// Nodes with an executor add it (`NodeTable::plan_wait`).
class WaitPlan {
 public:
  /// What is submitted may wait for tasks of `executor`.
  void add(const Executor& executor) {
    if (!executor_.has_value()) {
      executor_ = executor;
    } else if (!(*executor_ == executor)) {
      possible_ = false;
    }
  }
  /// This thread must not wait for it.
  void refuse() noexcept { possible_ = false; }

  /// True while all is waited for on one executor, or on none.
  bool possible() const noexcept { return possible_; }

  /// Blocks until what was submitted has set `event`. Needs `possible()`.
  WaitEnd wait(Event& event, const Instant& deadline) const {
    return executor_.has_value() ? executor_->wait(event, deadline)
                                 : detail::wait_anywhere(event, deadline);
  }

 private:
  std::optional<Executor> executor_;
  bool possible_ = true;
};

}  // namespace galley::inline v1
