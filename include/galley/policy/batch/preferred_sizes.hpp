// PreferredSizes: the batch policy of those who know which sizes are fast.
#pragma once

#include <galley/policy/batch.hpp>

#include <array>
#include <chrono>
#include <initializer_list>
#include <span>

namespace galley::inline v1 {

/// Closes a batch with the largest preferred size that there are rows for; with fewer rows than the
/// smallest of them it waits until the first row has waited `max_delay`, and then takes them all.
///
/// Units   max_delay: time on the executor's clock; zero takes what is there
/// Errors  none
/// Cost    O(sizes)
/// Source  Triton Inference Server, dynamic batcher, `preferred_batch_size` with
///         `max_queue_delay_microseconds`. Differs: a deadline closes the batch early, and rows
///         beyond the largest preferred size never go along.
/// Example tests/policy/batch/preferred_sizes_test.cpp
class PreferredSizes {
 public:
  static constexpr std::size_t max_sizes = 16;

  /// Any number of sizes up to 16, in any order; those of 0 are left out.
  PreferredSizes(std::initializer_list<std::size_t> sizes, Duration max_delay = {})
      : PreferredSizes(std::span(sizes.begin(), sizes.size()), max_delay) {}
  explicit PreferredSizes(std::span<const std::size_t> sizes, Duration max_delay = {})
      : max_delay_(max_delay) {
    for (const std::size_t size : sizes) {
      if (size != 0 && count_ < max_sizes) sizes_[count_++] = size;
    }
    std::sort(sizes_.begin(), sizes_.begin() + count_);
  }

  std::span<const std::size_t> sizes() const noexcept { return {sizes_.data(), count_}; }
  Duration max_wait() const { return max_delay_; }

  BatchDecision decide(const BatchView& view) const {
    const std::size_t most = std::min(view.rows, view.limit);
    std::size_t reached = 0;
    for (const std::size_t size : sizes()) {
      if (size <= most) reached = size;
    }
    if (reached != 0) return BatchDecision::close(reached, CloseReason::full);
    if (view.rows >= view.limit) return BatchDecision::close(most, CloseReason::full);
    if (view.oldest >= max_delay_) return BatchDecision::close(most, CloseReason::delay);
    Duration wait = max_delay_ - view.oldest;
    if (view.slack != Duration::max()) {
      const Duration spare = view.slack - view.costs->p95(most);
      if (spare <= Duration::zero()) return BatchDecision::close(most, CloseReason::deadline);
      wait = std::min(wait, spare);
    }
    return BatchDecision::wait_for(wait);
  }

 private:
  std::array<std::size_t, max_sizes> sizes_{};
  std::size_t count_ = 0;
  Duration max_delay_;
};

}  // namespace galley::inline v1
