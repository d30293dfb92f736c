// Retry: which failed rows are tried again, and when.
#pragma once

#include <galley/core/status_set.hpp>
#include <galley/core/time.hpp>
#include <galley/policy/budget.hpp>
#include <galley/policy/hash.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace galley::inline v1 {

/// How `retry` tries again.
struct RetryOptions {
  /// The most attempts for a row, the first among them: 1 to `most_attempts`.
  unsigned attempts = 3;
  /// What is tried again. Not worth it: what fails again (`invalid_argument`), and what nobody
  /// waits for any more (`cancelled`, `deadline_exceeded`).
  StatusSet statuses = {Status::unavailable, Status::resource_exhausted};
  /// How many rows may be tried again, in proportion to those that were asked for.
  BudgetOptions budget = {};
  /// The longest pause before the second attempt; twice as long before each one after it, up to
  /// `max_backoff`. Without an executor there is no pause.
  Duration backoff = std::chrono::milliseconds(10);
  Duration max_backoff = std::chrono::seconds(1);
  /// What pauses are drawn from.
  std::uint64_t seed = 1;

  static constexpr unsigned most_attempts = 64;

  friend bool operator==(const RetryOptions&, const RetryOptions&) = default;
};

/// A row that failed, as the decision to try it again sees it.
struct RetryView {
  Status status = Status::ok;            ///< What it answered.
  unsigned attempts = 1;                 ///< That it had.
  Duration pause = {};                   ///< Before the next one.
  Duration time_left = Duration::max();  ///< Until its request's deadline.
};

/// What becomes of a row that failed.
enum class RetryDecision : std::uint8_t {
  again,     ///< Tried again, if the budget allows it.
  too_late,  ///< It would be, but the attempt would begin after its deadline.
  stays,     ///< Its answer is its answer.
};

/// Decides about one row.
constexpr RetryDecision decide(const RetryView& row, const RetryOptions& options) noexcept {
  if (row.attempts >= options.attempts || !options.statuses.contains(row.status)) {
    return RetryDecision::stays;
  }
  return row.time_left > row.pause ? RetryDecision::again : RetryDecision::too_late;
}

/// The pause after so many attempts: anything from nothing to an exponentially growing limit, so
/// that those that failed together do not come again together. `random` decides.
///
/// Source  "full jitter": M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015
constexpr Duration pause_after(unsigned attempts, const RetryOptions& options,
                               std::uint64_t random) noexcept {
  Duration limit = std::min(options.backoff, options.max_backoff);
  for (unsigned i = 1; i < attempts && limit < options.max_backoff; ++i) {
    limit = limit > options.max_backoff / 2 ? options.max_backoff : 2 * limit;
  }
  return Duration(static_cast<Duration::rep>(static_cast<double>(limit.count()) *
                                             unit_interval(mix64(random))));
}

}  // namespace galley::inline v1
