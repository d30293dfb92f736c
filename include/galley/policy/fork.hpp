// Fork: which of several independent computations run where.
#pragma once

#include <galley/core/time.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>

namespace galley::inline v1 {

/// What is known before several independent computations start.
struct ForkView {
  /// What each is predicted to cost; zero where that is not known yet.
  std::span<const Duration> costs;
  /// How many more threads than the first could take a share at once.
  std::size_t free_workers = 0;
  /// From handing a share to another thread until that runs it.
  Duration wake = {};
};

/// Which computation runs in which lane; lane 0 is the first thread's own.
struct ForkPlan {
  static constexpr std::size_t most = 256;  ///< Computations that a plan can hold.

  std::array<std::uint8_t, most> lane = {};
  std::size_t lanes = 1;
  /// When the last lane is predicted to end, from the start.
  Duration makespan = {};
};

namespace detail {

/// Lanes being filled: when each ends, and from when it may begin.
struct ForkLanes {
  std::array<Duration, ForkPlan::most> ends;
  Duration wake;

  /// The longest first, each to the lane that is free first.
  void fill(std::span<const Duration> costs, std::size_t lanes, ForkPlan& plan) {
    std::fill_n(ends.begin(), lanes, wake);
    ends[0] = Duration::zero();
    std::array<bool, ForkPlan::most> placed = {};
    for (std::size_t left = costs.size(); left > 0; --left) {
      std::size_t longest = costs.size();
      for (std::size_t i = 0; i < costs.size(); ++i) {
        if (placed[i]) continue;
        if (longest == costs.size() || costs[i] > costs[longest]) longest = i;
      }
      placed[longest] = true;
      const auto end = ends.begin() + static_cast<std::ptrdiff_t>(lanes);
      const auto lane =
          static_cast<std::size_t>(std::min_element(ends.begin(), end) - ends.begin());
      plan.lane[longest] = static_cast<std::uint8_t>(lane);
      plan.lanes = std::max(plan.lanes, lane + 1);
      ends[lane] += costs[longest];
      plan.makespan = std::max(plan.makespan, ends[lane]);
    }
  }

  /// Saves the wakes of lanes that others can take in without ending later.
  void merge(std::size_t n, ForkPlan& plan) {
    for (std::size_t lane = plan.lanes - 1; lane > 0; --lane) {
      for (std::size_t to = 0; to < lane; ++to) {
        if (ends[to] + ends[lane] - wake > plan.makespan) continue;
        ends[to] += ends[lane] - wake;
        const std::size_t last = --plan.lanes;
        ends[lane] = ends[last];
        for (std::size_t i = 0; i < n; ++i) {
          if (plan.lane[i] == lane) {
            plan.lane[i] = static_cast<std::uint8_t>(to);
          } else if (plan.lane[i] == last) {
            plan.lane[i] = static_cast<std::uint8_t>(lane);
          }
        }
        break;
      }
    }
  }
};

}  // namespace detail

/// Gives each computation a lane, so that all are done early; all lane 0 where handing shares over
/// saves no more than the wake costs, or a cost is not known.
///
/// The longest goes first, to the lane that is free first; a lane other than the first begins only
/// after the wake. Lanes that end the whole no earlier are saved. At most `ForkPlan::most`
/// computations are looked at.
///
/// Cost    O(n · (n + lanes)), no allocation
/// Source  R. L. Graham, Bounds on Multiprocessing Timing Anomalies, SIAM J. Appl. Math. 17, 1969:
///         longest processing time first, within 4/3 of the optimum. Differs: the first lane has a
///         head start.
inline ForkPlan plan_fork(const ForkView& view) {
  const std::size_t n = std::min(view.costs.size(), ForkPlan::most);
  const std::size_t lanes = std::min({n, view.free_workers + 1, std::size_t{255}});
  const auto costs = view.costs.first(n);
  ForkPlan one;
  one.makespan = std::accumulate(costs.begin(), costs.end(), Duration::zero());
  const bool unknown =
      std::ranges::any_of(costs, [](Duration cost) { return cost <= Duration::zero(); });
  if (unknown || lanes < 2 || one.makespan <= view.wake) return one;
  ForkPlan forked;
  detail::ForkLanes filled;
  filled.wake = std::max(view.wake, Duration::zero());
  filled.fill(costs, lanes, forked);
  if (forked.makespan >= one.makespan) return one;
  filled.merge(n, forked);
  return forked;
}

/// What it costs to have another thread begin, learned while serving.
///
/// Follows the latest wakes, each counting an eighth and at most four times what is known. While
/// nothing is handed over it is forgotten towards the least, so that a busy time does not end
/// forking for good.
///
/// Threads  thread-compatible
/// Cost     O(1)
class WakeCost {
 public:
  /// Before any was seen.
  static constexpr Duration unknown = std::chrono::microseconds(50);

  Duration value() const noexcept { return value_; }

  /// A share was handed over and began this much later.
  void observe(Duration took) noexcept {
    took = std::max(took, Duration::zero());
    least_ = std::min(least_, took);
    value_ = seen_ ? value_ + (std::min(took, 4 * value_ + Duration(1)) - value_) / 8 : took;
    seen_ = true;
  }

  /// Once more it was decided to hand nothing over.
  void forget() noexcept {
    if (value_ > least_) value_ -= std::max((value_ - least_) / 4, Duration(1));
  }

 private:
  Duration value_ = unknown;
  Duration least_ = unknown;
  bool seen_ = false;
};

}  // namespace galley::inline v1
