// Hedge: when a request is sent a second time because the first is late.
#pragma once

#include <galley/core/time.hpp>
#include <galley/policy/quantile.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>

namespace galley::inline v1 {

/// When `hedge` sends a second request.
struct HedgeOptions {
  /// It is sent once the first has lasted longer than this share of those before it.
  double quantile = 0.95;
  /// Never sooner than this.
  Duration least_delay = {};
  /// The most requests that are sent twice, as a share of all, and how many of those that were not
  /// may be saved up.
  double share = 0.05;
  double burst = 10;

  friend bool operator==(const HedgeOptions&, const HedgeOptions&) = default;
};

/// How long a request has before another is sent, learned from how long requests took; larger
/// requests take longer, and are looked at by powers of two.
///
/// Threads  thread-compatible
/// Cost     O(1); 5 kB
/// Source   hedged requests: J. Dean, L. A. Barroso, The Tail at Scale, CACM 56(2), 2013, with
///          their delay, the 95th percentile. Differs: it is learned while serving
class HedgeDelays {
 public:
  explicit HedgeDelays(const HedgeOptions& options) noexcept : least_(options.least_delay) {
    sizes_.fill(QuantileEstimate(options.quantile));
  }

  /// A request of so many rows took this long, or longer where it is not over.
  void observe(std::size_t rows, Duration took) noexcept { of(rows).observe(took); }

  /// The longest time while too little is known.
  Duration delay(std::size_t rows) const noexcept {
    const QuantileEstimate& size = sizes_[place(rows)];
    return size.is_known() ? std::max(size.value(), least_) : Duration::max();
  }

 private:
  static constexpr std::size_t places = 33;  // a batch holds fewer than 2³² rows
  static std::size_t place(std::size_t rows) noexcept {
    return std::min(static_cast<std::size_t>(std::bit_width(rows)), places - 1);
  }
  QuantileEstimate& of(std::size_t rows) noexcept { return sizes_[place(rows)]; }

  Duration least_;
  std::array<QuantileEstimate, places> sizes_;
};

}  // namespace galley::inline v1
