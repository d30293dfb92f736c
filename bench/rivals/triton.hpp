// Triton Inference Server's dynamic batcher.
#pragma once

#include <rivals/queue_view.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace bench::rivals {

/// Sends the largest preferred size that is reached; or everything once the largest of them is, or
/// the oldest row has waited `max_queue_delay`, or when there is no delay.
///
/// Source  triton core, src/dynamic_batch_scheduler.cc. Differs: a batch is made when an instance
///         is free, not up to two ahead; there it may grow until it is started, which comes to the
///         same.
struct Triton {
  std::size_t max_batch_size = 64;
  std::vector<std::size_t> preferred = {};  // ascending
  Duration max_queue_delay = {};

  Duration max_wait() const { return max_queue_delay; }

  BatchDecision decide(const BatchView& view) const {
    const std::size_t most = std::min({view.rows, view.limit, max_batch_size});
    if (most == std::min(view.limit, max_batch_size)) {
      return BatchDecision::close(most, CloseReason::full);
    }
    std::size_t reached = 0;
    for (const std::size_t size : preferred) {
      if (size <= most) reached = size;
    }
    const bool late = max_queue_delay > Duration::zero() && view.oldest >= max_queue_delay;
    if (reached != 0 && !late) return BatchDecision::close(reached, CloseReason::full);
    if (late || max_queue_delay <= Duration::zero()) {
      return BatchDecision::close(most, late ? CloseReason::delay : CloseReason::idle);
    }
    return BatchDecision::wait_for(max_queue_delay - view.oldest);
  }
};

}  // namespace bench::rivals
