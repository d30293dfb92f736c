// SizeOrDelay: the batch policy with a maximum and a delay.
#pragma once

#include <galley/policy/batch.hpp>

#include <chrono>

namespace galley::inline v1 {

/// Closes a batch when it has `max_rows` rows or its first row has waited `max_delay`, or when a
/// row's deadline leaves no more time to wait.
///
/// Units   max_delay: time on the executor's clock
/// Errors  none
/// Cost    O(log sizes seen)
/// Source  Crankshaw et al., Clipper, NSDI 2017, delayed batching; MLServer's adaptive batching.
///         Differs: a deadline closes the batch early.
/// Example tests/policy/batch/size_or_delay_test.cpp
struct SizeOrDelay {
  std::size_t max_rows = 32;
  Duration max_delay = std::chrono::milliseconds(2);

  constexpr Duration max_wait() const { return max_delay; }

  BatchDecision decide(const BatchView& view) const {
    const std::size_t most = std::max<std::size_t>(1, std::min(max_rows, view.limit));
    if (view.rows >= most) return BatchDecision::close(most, CloseReason::full);
    if (view.oldest >= max_delay) return BatchDecision::close(view.rows, CloseReason::delay);
    Duration wait = max_delay - view.oldest;
    if (view.slack != Duration::max()) {
      const Duration spare = view.slack - view.costs->p95(view.rows);
      if (spare <= Duration::zero()) return BatchDecision::close(view.rows, CloseReason::deadline);
      wait = std::min(wait, spare);
    }
    return BatchDecision::wait_for(wait);
  }
};

}  // namespace galley::inline v1
