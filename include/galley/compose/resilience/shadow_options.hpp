// What may be said of a shadow, asked of it, and what its sink is given.
#pragma once

#include <galley/compose/resilience/text.hpp>
#include <galley/core/batch.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>
#include <galley/core/time.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace galley::inline v1 {

/// What a shadow's sample is drawn from.
enum class ShadowBy : std::uint8_t {
  request,  ///< Requests, all rows of each.
  key,      ///< Keys: all rows of a key, or none. Rows without keys are drawn by request.
};

/// How `shadow` samples, and how much it may keep.
struct ShadowOptions {
  /// The share that is sampled, 0 to 1.
  double share = 0.1;
  ShadowBy by = ShadowBy::request;
  /// The most requests, and rows of requests, that wait or are compared at once; more are dropped.
  std::size_t max_requests = 64;
  std::size_t max_rows = 1024;
  /// How many may be at the other servable at once.
  std::size_t max_running = 1;
  /// How long a copy has from the primary's answer on, in place of its caller's deadline.
  Duration deadline = std::chrono::seconds(1);
  /// In place of its caller's.
  std::int32_t priority = -1000;
  /// What the sample is drawn with.
  std::uint64_t seed = 1;

  friend bool operator==(const ShadowOptions&, const ShadowOptions&) = default;
};

/// What a shadow counts, in rows: `servable.control(path, statistics)` fills it in.
struct ShadowStatistics {
  std::uint64_t sampled = 0;
  std::uint64_t dropped = 0;     ///< Of these: no room, no time, no copy, or a shutdown.
  std::uint64_t compared = 0;    ///< Of these, those that both have answered.
  std::uint64_t mismatches = 0;  ///< Compared, both with a value, and not `equal`.
  std::uint64_t failed = 0;      ///< Compared, and only the primary has a value.
  std::uint64_t threw = 0;       ///< Calls of the sink or of `equal` that threw.
  std::size_t waiting = 0;       ///< Now, also those that are being compared.
};

/// A row and what the two servables made of it.
template <class In, class Out>
struct ShadowRow {
  typename Batch<In>::Reference row;
  typename Outcomes<Out>::Reference primary;
  typename Outcomes<Out>::Reference shadow;
  Duration primary_took;  ///< Of its whole batch.
  Duration shadow_took;   ///< The same; not the time it waited for its turn.
};

/// The same of the sampled rows of a batch, in order.
template <class In, class Out>
struct ShadowBatch {
  const Rows<In>& rows;
  const Outcomes<Out>& primary;
  const Outcomes<Out>& shadow;
  Duration primary_took;
  Duration shadow_took;
};

/// What hears of a comparison: a function of a `ShadowBatch` or of a `ShadowRow`.
template <class F, class In, class Out>
concept ShadowSink = std::invocable<F&, const ShadowBatch<In, Out>&> ||
                     std::invocable<F&, const ShadowRow<In, Out>&>;

/// Counts no mismatches.
struct NotCompared {};

/// How two values are compared: a predicate, or `NotCompared`.
template <class F, class Out>
concept ShadowEqual =
    std::same_as<F, NotCompared> || std::predicate<const F&, const Out&, const Out&>;

namespace detail {

inline Result<void> check_shadow(const ShadowOptions& options) {
  const auto refused = [](std::string why) {
    return Error(Status::invalid_argument, "options." + std::move(why));
  };
  if (!(options.share >= 0 && options.share <= 1)) {
    return refused("share: expected 0 to 1, got " + text_of(options.share));
  }
  if (options.max_requests == 0) return refused("max_requests: expected at least 1, got 0");
  if (options.max_rows == 0) return refused("max_rows: expected at least 1, got 0");
  if (options.max_running == 0) return refused("max_running: expected at least 1, got 0");
  if (options.deadline <= Duration::zero()) {
    return refused("deadline: expected more than 0, got " + text_of(options.deadline));
  }
  return {};
}

}  // namespace detail

}  // namespace galley::inline v1
