// QuantileEstimate: what a share of the times stays within, in a few words of memory.
#pragma once

#include <galley/core/time.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace galley::inline v1 {

/// Follows a quantile of times: that of the first ones exactly, then by small steps, so that it
/// also follows a change.
///
/// Only whether a time is above the estimate counts, so that of a time that is not over yet it is
/// enough to know that it has lasted longer.
///
/// Threads  thread-compatible
/// Cost     O(1)
/// Source   stochastic approximation, as in `CostTable`: H. Robbins, S. Monro, 1951, with steps in
///          proportion to the estimate
class QuantileEstimate {
 public:
  /// How many times are seen before it is known.
  static constexpr std::size_t first_times = 16;

  /// Of the `quantile`, between 0 and 1.
  explicit QuantileEstimate(double quantile = 0.95) noexcept : quantile_(quantile) {}

  void observe(Duration took) noexcept {
    if (seen_ < first_times) {
      first_[seen_++] = took;
      if (seen_ == first_times) begin();
      return;
    }
    ++seen_;
    const double step = std::max(value_ / 20, 20.0);
    const bool above = static_cast<double>(took.count()) > value_;
    value_ = std::max(value_ + (above ? quantile_ : quantile_ - 1) * step, 1.0);
  }

  bool is_known() const noexcept { return seen_ >= first_times; }
  /// Zero while it is not known.
  Duration value() const noexcept { return Duration(static_cast<Duration::rep>(value_)); }

 private:
  void begin() noexcept {
    std::sort(first_.begin(), first_.end());
    const auto rank = static_cast<std::size_t>(quantile_ * first_times);
    value_ = std::max(static_cast<double>(first_[std::min(rank, first_times - 1)].count()), 1.0);
  }

  double quantile_;
  double value_ = 0;
  std::uint64_t seen_ = 0;
  std::array<Duration, first_times> first_{};
};

}  // namespace galley::inline v1
