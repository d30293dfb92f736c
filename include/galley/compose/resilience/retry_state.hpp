// What the calls of a retry share: the budget and what is counted.
#pragma once

#include <galley/core/context.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/policy/budget.hpp>
#include <galley/policy/retry.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// What a retry counts: `servable.control(path, statistics)` fills it in.
struct RetryStatistics {
  std::uint64_t rows = 0;       ///< Asked for.
  std::uint64_t retried = 0;    ///< Tried again; a row counts each time.
  std::uint64_t recovered = 0;  ///< Of these, those that got a value.
  std::uint64_t refused = 0;    ///< Not tried again: the budget was used up.
  std::uint64_t too_late = 0;   ///< Not tried again: the attempt would begin after the deadline.
};

namespace detail {

/// Threads  thread-safe: a lock, taken only where rows have failed
class RetryState {
 public:
  RetryState(const RetryOptions& options, Clock clock)
      : options_(options), clock_(std::move(clock)), budget_(options.budget) {}

  const RetryOptions& options() const noexcept { return options_; }

  void count(std::size_t rows) noexcept { rows_.fetch_add(rows, std::memory_order_relaxed); }

  /// A pause after so many attempts.
  Duration pause(unsigned attempts) noexcept {
    const std::uint64_t draw = draws_.fetch_add(1, std::memory_order_relaxed);
    return pause_after(attempts, options_, options_.seed ^ mix64(draw));
  }

  /// Which of the rows that failed after so many attempts are tried again after `pause`.
  std::vector<RowIndex> again(const Casualties& failed, const BatchContext& context,
                              unsigned attempts, Duration pause) {
    std::vector<RowIndex> rows;
    std::size_t late = 0;
    for (const Casualty& casualty : failed) {
      const Context& own = context.context_of(casualty.row);
      const RetryDecision decision = decide({.status = casualty.error.status,
                                             .attempts = attempts,
                                             .pause = pause,
                                             .time_left = time_left(own)},
                                            options_);
      if (decision == RetryDecision::again && !own.stop.stop_requested()) {
        rows.push_back(casualty.row);
      }
      if (decision == RetryDecision::too_late) ++late;
    }
    if (rows.empty() && late == 0) return rows;
    const TimePoint now = clock_.now();
    const std::lock_guard lock(mutex_);
    const std::size_t granted =
        budget_.take(rows.size(), rows_.load(std::memory_order_relaxed), now);
    counts_.retried += granted;
    counts_.refused += rows.size() - granted;
    counts_.too_late += late;
    rows.resize(granted);
    return rows;
  }

  void recovered(std::size_t rows) {
    const std::lock_guard lock(mutex_);
    counts_.recovered += rows;
  }

  RetryStatistics statistics() const {
    const std::lock_guard lock(mutex_);
    RetryStatistics now = counts_;
    now.rows = rows_.load(std::memory_order_relaxed);
    return now;
  }

 private:
  static Duration time_left(const Context& context) {
    const Instant& deadline = context.deadline;
    return deadline.is_never() ? Duration::max() : deadline.at - deadline.clock.now();
  }

  const RetryOptions options_;
  const Clock clock_;
  std::atomic<std::uint64_t> rows_{0};  // relaxed: only counts
  std::atomic<std::uint64_t> draws_{0};
  mutable std::mutex mutex_;
  Budget budget_;
  RetryStatistics counts_;
};

}  // namespace detail

}  // namespace galley::inline v1
