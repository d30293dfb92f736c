// AtOnce: servables that were submitted to at once, and a thread that waits for all of them.
#pragma once

#include <galley/core/completion.hpp>
#include <galley/core/context.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/wait_plan.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// The answers that a waiting thread is owed. Shared by it and the completions, because it may give
/// up at a deadline.
template <class Out>
class AtOnce : public std::enable_shared_from_this<AtOnce<Out>> {
 public:
  explicit AtOnce(std::size_t count) : answers_(count), left_(count) {}

  /// What answers in the place `i`.
  BatchCompletion<Out> owed(std::size_t i, std::size_t rows) {
    return BatchCompletion<Out>(
        rows,
        [self = this->shared_from_this(), i](Outcomes<Out>&& outcomes) {
          std::unique_lock lock(self->mutex_);
          self->answers_[i].emplace(std::move(outcomes));
          const bool last = --self->left_ == 0;
          lock.unlock();
          if (last) self->answered_.set();
        },
        NoExceptions());
  }

  /// Blocks until all have answered or the last deadline of the requests has passed.
  WaitEnd wait(const WaitPlan& plan, const BatchContext& context) {
    Instant deadline = context.context().deadline;
    for (const RequestRun& run : context.runs()) {
      deadline = std::max(deadline, run.context->deadline);
    }
    return plan.wait(answered_, deadline);
  }

  /// The answer in the place `i`, or what there is instead of it after a wait that ended so.
  Outcomes<Out> take(std::size_t i, std::size_t rows, WaitEnd end, std::string_view name) {
    const std::lock_guard lock(mutex_);
    if (answers_[i].has_value()) return *std::move(answers_[i]);
    Error why(Status::deadline_exceeded, "no answer in time");
    if (end == WaitEnd::stuck) {
      why = Error(Status::failed_precondition,
                  "every runner waits beneath this call, so that nobody is left to answer it");
    }
    return Outcomes<Out>::failed(rows, within(name, std::move(why)));
  }

 private:
  Event answered_{Event::Kept::by_setting};
  std::mutex mutex_;  // guards the rest
  std::vector<std::optional<Outcomes<Out>>> answers_;
  std::size_t left_;
};

}  // namespace galley::inline v1::detail
