// What the schedulers of other systems look at, beyond what a galley::BatchPolicy does.
#pragma once

#include <galley/policy/batch.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace bench::rivals {

using galley::BatchDecision;
using galley::BatchView;
using galley::CloseReason;
using galley::Duration;

/// A request of one row that waits.
struct Waiting {
  Duration arrived;
  /// When its answer is due; the longest time for never.
  Duration due;
};

/// A queue when an executor is free.
///
/// A scheduler has `decide(const QueueView&)`, for which a `galley::BatchPolicy` will do. It may
/// have `drop(const QueueView&)`, how many of the first rows to give up before it decides, and
/// `observe(const BatchDone&)`.
struct QueueView : BatchView {
  Duration now = {};
  /// In order of arrival; `rows` of them.
  std::span<const Waiting> waiting;
  /// Batches that run on other executors.
  std::size_t in_flight = 0;
};

/// A batch that has run.
struct BatchDone {
  std::size_t rows = 0;
  Duration started = {};
  Duration took = {};
  /// How long its rows waited to be started, in the mean.
  Duration waited = {};
};

/// ℓ(b) as measured offline, at b; nothing at 0.
using Profile = std::vector<Duration>;

/// The largest batch that costs half the objective: while one runs, the next may gather.
inline std::size_t largest_within_half(const Profile& profile, Duration objective) {
  std::size_t largest = 1;
  for (std::size_t rows = 2; rows < profile.size(); ++rows) {
    if (2 * profile[rows] <= objective) largest = rows;
  }
  return largest;
}

/// How many of the first rows would be late in the batch of all that are there, up to `maximum`.
inline std::size_t late_rows(const QueueView& view, const Profile& profile, std::size_t maximum) {
  std::size_t late = 0;
  for (; late < view.rows; ++late) {
    const std::size_t rows = std::min({view.rows - late, view.limit, maximum});
    if (view.waiting[late].due - view.now >= profile[rows]) break;
  }
  return late;
}

}  // namespace bench::rivals
