// Symphony's deferred batching.
#pragma once

#include <rivals/queue_view.hpp>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace bench::rivals {

/// Holds the longest batch that ends in time for its first row back until one more row would make
/// it late, or until it is full; gives up the first rows that would be late in the batch of all
/// that are there.
///
/// Source  Symphony: Optimized DNN Model Serving using Deferred Batch Scheduling (Chen et al.).
///         Differs: rows that have no deadline are due one objective after they arrived and are
///         never given up; a batch is full at half the objective, and rows are given up, as in
///         Nexus.
class SymphonyDeferred {
 public:
  SymphonyDeferred(Profile profile, Duration objective)
      : profile_(std::move(profile)),
        objective_(objective),
        full_(largest_within_half(profile_, objective)) {}

  std::size_t drop(const QueueView& view) const { return late_rows(view, profile_, full_); }

  BatchDecision decide(const QueueView& view) const {
    const std::size_t full = std::min(view.limit, full_);
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
  std::size_t full_;
};

}  // namespace bench::rivals
