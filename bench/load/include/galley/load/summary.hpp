// Summary: the percentiles of a sample, where there are enough of it to have them.
#pragma once

#include <galley/core/time.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace galley::inline v1::load {

/// The smallest sample that at least the share `quantile` of all do not exceed (the nearest rank);
/// zero of none. `sorted` ascends.
Duration nearest_rank(std::span<const Duration> sorted, double quantile);

/// How durations spread. A percentile is exact, and absent where its tail is too thin to mean
/// anything: p99 needs 1 000 samples, p99.9 needs a million.
struct Summary {
  std::size_t samples = 0;
  Duration mean = {};
  std::optional<Duration> p50 = {};
  std::optional<Duration> p90 = {};
  std::optional<Duration> p99 = {};
  std::optional<Duration> p999 = {};
  Duration max = {};

  friend bool operator==(const Summary&, const Summary&) = default;
};

/// The summary of `samples`, in any order.
Summary summarise(std::vector<Duration> samples);

}  // namespace galley::inline v1::load
