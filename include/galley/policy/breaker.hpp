// Breaker: when a servable that fails is left alone, and when it is tried again.
#pragma once

#include <galley/core/status_set.hpp>
#include <galley/core/time.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace galley::inline v1 {

/// Whether rows go through.
enum class BreakerState : std::uint8_t {
  closed,     ///< All do: the usual.
  open,       ///< None does.
  half_open,  ///< A few do, to see whether the servable is well again.
};

/// The enumerator's own name, such as "half_open".
constexpr std::string_view to_string(BreakerState state) noexcept {
  constexpr std::string_view names[] = {"closed", "open", "half_open"};
  const auto index = static_cast<std::size_t>(state);
  return index < std::size(names) ? names[index] : std::string_view("unknown");
}

/// When `breaker` opens and closes.
struct BreakerOptions {
  /// The share of failures at which it opens.
  double failure_rate = 0.5;
  /// How many of the latest rows the share is of.
  std::size_t window = 100;
  /// Fewer rows than this say nothing.
  std::size_t least_rows = 20;
  /// How long it stays open.
  Duration open_for = std::chrono::seconds(5);
  /// How many rows then try the servable.
  std::size_t probes = 10;
  /// What counts as a failure. `cancelled` counts neither way where it is not among them.
  StatusSet failures = {Status::internal, Status::unavailable, Status::deadline_exceeded,
                        Status::resource_exhausted};

  friend bool operator==(const BreakerOptions&, const BreakerOptions&) = default;
};

/// What the decision sees.
struct BreakerView {
  BreakerState state = BreakerState::closed;
  /// Rows that were answered, and those that failed of them: closed, within the window; half open,
  /// of the probes.
  std::uint64_t rows = 0;
  std::uint64_t failures = 0;
  /// Probes that were let through, answered or not.
  std::uint64_t probes = 0;
  /// How long it has been in this state; half open, since the last probe was let through.
  Duration waited = {};
};

/// The state that follows.
///
/// Source  the circuit breaker of M. Nygard, Release It!, 2007, with the count-based window and
///         the probes of Resilience4j. Differs: rows are counted, not calls; probes that are not
///         answered for `open_for` open it again
constexpr BreakerState next_state(const BreakerView& view, const BreakerOptions& options) noexcept {
  const auto reached = [&](std::uint64_t rows) {
    return view.failures > 0 &&
           static_cast<double>(view.failures) >= options.failure_rate * static_cast<double>(rows);
  };
  switch (view.state) {
    case BreakerState::closed: {
      const bool opens = view.rows >= options.least_rows && reached(view.rows);
      return opens ? BreakerState::open : BreakerState::closed;
    }
    case BreakerState::open:
      return view.waited >= options.open_for ? BreakerState::half_open : BreakerState::open;
    case BreakerState::half_open:
      break;
  }
  if (reached(options.probes)) return BreakerState::open;  // whatever the rest will answer
  if (view.rows >= options.probes) return BreakerState::closed;
  const bool lost = view.probes >= options.probes && view.waited >= options.open_for;
  return lost ? BreakerState::open : BreakerState::half_open;
}

/// How many of `rows` rows go through.
constexpr std::size_t admitted(const BreakerView& view, std::size_t rows,
                               const BreakerOptions& options) noexcept {
  if (view.state == BreakerState::closed) return rows;
  if (view.state == BreakerState::open || view.probes >= options.probes) return 0;
  return std::min<std::size_t>(rows, options.probes - static_cast<std::size_t>(view.probes));
}

}  // namespace galley::inline v1
