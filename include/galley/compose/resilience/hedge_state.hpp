// What the calls of a hedge share: what was learned of delays, the budget, and what is counted.
#pragma once

#include <galley/core/time.hpp>
#include <galley/policy/budget.hpp>
#include <galley/policy/hedge.hpp>

#include <cstddef>
#include <cstdint>
#include <mutex>

namespace galley::inline v1 {

/// What a hedge counts, in requests: `servable.control(path, statistics)` fills it in.
struct HedgeStatistics {
  std::uint64_t requests = 0;
  std::uint64_t hedged = 0;   ///< Sent a second time.
  std::uint64_t won = 0;      ///< Of these, where the second answer was used.
  std::uint64_t refused = 0;  ///< Late, and not sent again: the share was used up.
  Duration delay = {};        ///< Of a request of one row, now; the longest while it is not known.
};

namespace detail {

/// Threads  thread-safe: one lock
class HedgeState {
 public:
  explicit HedgeState(const HedgeOptions& options)
      : options_(options),
        delays_(options),
        budget_({.ratio = options.share, .per_second = 0, .burst = options.burst}) {}

  const HedgeOptions& options() const noexcept { return options_; }

  /// Counts a request, and says how long it has.
  Duration begin(std::size_t rows) {
    const std::lock_guard lock(mutex_);
    ++counts_.requests;
    return delays_.delay(rows);
  }
  void observe(std::size_t rows, Duration took) {
    const std::lock_guard lock(mutex_);
    delays_.observe(rows, took);
  }
  /// True where a request that is late may be sent again.
  bool take() {
    const std::lock_guard lock(mutex_);
    const bool granted = budget_.take(1, counts_.requests, TimePoint()) == 1;
    ++(granted ? counts_.hedged : counts_.refused);
    return granted;
  }
  void count_won() {
    const std::lock_guard lock(mutex_);
    ++counts_.won;
  }
  HedgeStatistics statistics() const {
    const std::lock_guard lock(mutex_);
    HedgeStatistics now = counts_;
    now.delay = delays_.delay(1);
    return now;
  }

 private:
  const HedgeOptions options_;
  mutable std::mutex mutex_;
  HedgeDelays delays_;
  Budget budget_;
  HedgeStatistics counts_;
};

}  // namespace detail

}  // namespace galley::inline v1
