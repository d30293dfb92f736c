#include <galley/load/summary.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace galley::inline v1::load {

Duration nearest_rank(std::span<const Duration> sorted, double quantile) {
  if (sorted.empty()) return Duration::zero();
  const double rank = std::ceil(quantile * static_cast<double>(sorted.size()));
  const auto index = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
  return sorted[std::min(index, sorted.size() - 1)];
}

Summary summarise(std::vector<Duration> samples) {
  Summary summary{.samples = samples.size()};
  if (samples.empty()) return summary;
  std::ranges::sort(samples);
  const auto percentile = [&](double quantile, std::size_t enough) {
    return samples.size() < enough ? std::optional<Duration>() : nearest_rank(samples, quantile);
  };
  summary.mean = std::accumulate(samples.begin(), samples.end(), Duration::zero()) /
                 static_cast<Duration::rep>(samples.size());
  summary.p50 = percentile(0.5, 1);
  summary.p90 = percentile(0.9, 100);
  summary.p99 = percentile(0.99, 1'000);
  summary.p999 = percentile(0.999, 1'000'000);
  summary.max = samples.back();
  return summary;
}

}  // namespace galley::inline v1::load
