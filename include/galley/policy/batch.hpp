// Batch policies: when a batch is closed, and with how many rows.
#pragma once

#include <galley/core/time.hpp>
#include <galley/policy/cost_table.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace galley::inline v1 {

/// Why a batch was closed.
enum class CloseReason : std::uint8_t {
  full,      ///< It had as many rows as a batch may have.
  cap,       ///< More rows would make it slower per row.
  idle,      ///< These were all there were, and the model was free.
  deadline,  ///< A row could wait no longer.
  delay,     ///< The first row had waited as long as the policy lets it.
  probe,     ///< To learn what this size costs.
  flush,     ///< Someone asked for it.
};
inline constexpr std::size_t close_reasons = 7;

/// What a batch policy sees: the rows that could go together now, when the model is free.
struct BatchView {
  /// How many there are, at least one.
  std::size_t rows = 0;
  /// The most rows a batch may have.
  std::size_t limit = 0;
  /// How long the first of them has waited.
  Duration oldest = {};
  /// How long the most urgent of them may still wait to be answered; the longest time for ever.
  Duration slack = Duration::max();
  /// How often the policy has yielded for this batch, and how many rows there were before the last.
  unsigned yields = 0;
  std::size_t rows_before = 0;
  /// True while yielding was measured to pay (`policy/batch_mode.hpp`).
  bool yielding_pays = false;
  /// The number of this batch, counted from 0: for what a policy does once in a while.
  std::uint64_t number = 0;
  /// What batches of these rows cost.
  const CostTable* costs = nullptr;
};

/// What to do with them.
struct BatchDecision {
  enum class Act : std::uint8_t {
    close,  ///< Run the first `rows` of them now.
    yield,  ///< Let other threads go first, then look again.
    wait,   ///< Look again when more rows have come, or after `wait` at the latest.
  };

  Act act = Act::close;
  std::size_t rows = 0;
  CloseReason reason = CloseReason::idle;
  Duration wait = {};

  static constexpr BatchDecision close(std::size_t rows, CloseReason reason) {
    return {.act = Act::close, .rows = rows, .reason = reason, .wait = {}};
  }
  static constexpr BatchDecision yield_first() { return {.act = Act::yield}; }
  static constexpr BatchDecision wait_for(Duration time) {
    return {.act = Act::wait, .wait = time};
  }

  friend bool operator==(const BatchDecision&, const BatchDecision&) = default;
};

/// When a batch is closed. Shipped: `policy/batch/learned_cap.hpp`, `size_or_delay.hpp`,
/// `preferred_sizes.hpp`; copy the second to write your own.
///
/// 1. `decide` is pure: no clock, no lock, no allocation, no state; it is called under the batcher's
///    lock.
/// 2. It closes with 1 … min(rows, limit) rows, waits for a positive time, or yields; while rows
///    stay as they are it yields at most 64 times and waits no longer than until the first row has
///    waited `max_wait()`.
/// 3. `max_wait()` is the longest it holds a row back; zero for one that never waits.
///
/// The contract suite is `testing/contracts/batch_policy.hpp`.
template <class P>
concept BatchPolicy = std::copyable<P> && requires(const P& policy, const BatchView& view) {
  { policy.decide(view) } -> std::same_as<BatchDecision>;
  { policy.max_wait() } -> std::same_as<Duration>;
};

}  // namespace galley::inline v1
