// What waits for a batch: requests in lanes of one priority, lanes in buckets of one kind of row.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/rows.hpp>
#include <galley/core/time.hpp>
#include <galley/policy/batch.hpp>
#include <galley/policy/cost_table.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

struct Lane;

/// A request that waits: the part of it that the queue goes by. Under the batcher's lock.
struct Queued {
  Queued* next = nullptr;
  Queued* before = nullptr;
  Lane* lane = nullptr;  ///< Null when it does not wait.
  RowIndex rows = 0;     ///< In all.
  RowIndex taken = 0;    ///< Of these, in batches already.
  std::size_t row_bytes = 0;
  std::uint64_t number = 0;  ///< In the order of arrival.
  Instant deadline = {};
  TimePoint since = {};  ///< When it came, where anybody asks for that.
  bool flushed = false;  ///< It waits for nothing but its turn.

  std::size_t left() const noexcept { return rows - taken; }
};

/// Requests of one priority: those with a deadline, by deadline, or those without, as they came.
/// Apart, since the first of a lane stands for it, and one without a deadline is to age too.
struct Lane {
  std::int32_t priority = 0;
  bool dated = false;
  Queued* first = nullptr;
  Queued* last = nullptr;

  void insert(Queued& request) noexcept {
    Queued* after = last;
    while (after != nullptr && request.deadline < after->deadline) after = after->before;
    request.before = after;
    request.next = after != nullptr ? after->next : first;
    (request.next != nullptr ? request.next->before : last) = &request;
    (after != nullptr ? after->next : first) = &request;
    request.lane = this;
  }

  void remove(Queued& request) noexcept {
    GALLEY_ASSERT(request.lane == this);
    (request.next != nullptr ? request.next->before : last) = request.before;
    (request.before != nullptr ? request.before->next : first) = request.next;
    request.next = request.before = nullptr;
    request.lane = nullptr;
  }
};

/// Rows that may share a batch, and what such batches cost.
struct BucketBase {
  std::vector<std::unique_ptr<Lane>> lanes;
  std::size_t rows = 0;     ///< That wait.
  std::size_t flushed = 0;  ///< Requests that were.
  CostTable costs = {};
  std::uint64_t used = 0;  ///< The number of the last request that came here.

  Lane& lane_of(std::int32_t priority, bool dated) {
    for (const auto& lane : lanes) {
      if (lane->priority == priority && lane->dated == dated) return *lane;
    }
    constexpr std::size_t many = 16;
    if (lanes.size() >= many) forget_lanes();
    return *lanes.emplace_back(std::make_unique<Lane>(Lane{.priority = priority, .dated = dated}));
  }

  /// Lets go of the lanes in which nobody waits, but for the first.
  void forget_lanes() {
    if (lanes.size() < 2) return;
    lanes.erase(std::remove_if(lanes.begin() + 1, lanes.end(),
                               [](const auto& lane) { return lane->first == nullptr; }),
                lanes.end());
  }
};

/// How urgent a request is beside others: its priority, raised by one for every `ageing` it has
/// waited, then its deadline, then its arrival.
struct Urgency {
  std::int64_t priority = 0;
  TimePoint deadline = TimePoint::max();
  std::uint64_t number = 0;

  static Urgency of(const Queued& request, TimePoint now, Duration ageing) noexcept {
    const std::int64_t waited =
        request.since == TimePoint() || ageing <= Duration::zero()
            ? 0
            : (now - request.since).count() / std::max<std::int64_t>(ageing.count(), 1);
    return {request.lane->priority + std::max<std::int64_t>(waited, 0), request.deadline.at,
            request.number};
  }

  bool before(const Urgency& other) const noexcept {
    if (priority != other.priority) return priority > other.priority;
    if (deadline != other.deadline) return deadline < other.deadline;
    return number < other.number;
  }
};

/// The first request of a bucket to go: the most urgent of its lanes' first ones. Null when it is
/// empty.
inline Queued* most_urgent(const BucketBase& bucket, TimePoint now, Duration ageing) noexcept {
  Queued* best = nullptr;
  Urgency best_urgency;
  for (const auto& lane : bucket.lanes) {
    if (lane->first == nullptr) continue;
    const Urgency urgency = Urgency::of(*lane->first, now, ageing);
    if (best != nullptr && !urgency.before(best_urgency)) continue;
    best = lane->first;
    best_urgency = urgency;
  }
  return best;
}

}  // namespace galley::inline v1::detail
