// Symphony's deferred batching.
#pragma once

#include <rivals/queue_view.hpp>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace bench::rivals {

/// Holds the longest batch that ends in time for its first row back until one more row would make
/// it late, or until it is full; gives up first rows that are late alone.
///
/// Source  Symphony: Optimized DNN Model Serving using Deferred Batch Scheduling (Chen et al.).
///         Differs: rows that have no deadline are due one objective after they arrived and are
///         never given up.
class SymphonyDeferred {
 public:
  SymphonyDeferred(Profile profile, Duration objective)
      : profile_(std::move(profile)), objective_(objective) {}

  std::size_t drop(const QueueView& view) const {
    std::size_t dropped = 0;
    while (dropped < view.rows && view.waiting[dropped].due - view.now < profile_[1]) ++dropped;
    return dropped;
  }

  BatchDecision decide(const QueueView& view) const {
    const std::size_t full = std::min(view.limit, profile_.size() - 1);
    const std::size_t most = std::min(view.rows, full);
    const Duration left = view.waiting.front().arrived + objective_ - view.now;
    std::size_t rows = most;
    while (rows > 0 && profile_[rows] > left) --rows;
    if (rows == 0) return BatchDecision::close(most, CloseReason::deadline);
    if (rows == full) return BatchDecision::close(rows, CloseReason::full);
    const Duration spare = left - profile_[rows + 1];
    if (spare > Duration::zero()) return BatchDecision::wait_for(spare);
    return BatchDecision::close(rows, CloseReason::deadline);
  }

 private:
  Profile profile_;
  Duration objective_;
};

}  // namespace bench::rivals
