// CostTable: what a batch of each size costs, learned while serving.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/time.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace galley::inline v1 {

/// What is known of batches of one size.
struct BatchCost {
  std::size_t rows = 0;
  Duration mean = {};
  Duration p95 = {};
  std::uint64_t seen = 0;
  /// How long all batches had taken together when this size was last seen.
  Duration last = {};
  friend bool operator==(const BatchCost&, const BatchCost&) = default;
};

/// A cost table as data, by ascending size: what is saved, and loaded at the next start.
using CostProfile = std::vector<BatchCost>;

/// How long a batch of n rows takes, ℓ(n): one table for each model, shape, device and dtype.
///
/// Of each size the mean follows the latest runs (the least of the first three, then an average
/// whose weights in the end halve every eleven runs; a single run counts at most three times the
/// mean, so that a thread put aside by the system is no news of the model), and the p95 is followed
/// by stochastic approximation. Between sizes that were seen a size is interpolated, beyond them
/// extrapolated.
///
/// Threads  thread-compatible: the batcher holds it under its lock
/// Cost     observe: O(sizes seen) every eighth time; a look-up: O(log sizes seen)
/// Source   p95: H. Robbins, S. Monro, A Stochastic Approximation Method, 1951, with steps in
///          proportion to the mean
class CostTable {
 public:
  /// How much faster per row a size has to be for its being larger: within this a smaller batch is
  /// as good and answers sooner.
  static constexpr double worth_while = 1.03;
  /// Of a size seen fewer times than this the mean may be luck: it is taken for `luck` times slower
  /// when sizes are compared.
  static constexpr std::uint64_t few = 12;
  static constexpr double luck = 1.1;

  /// What takes `took` as a batch of `rows`, at least one.
  void observe(std::size_t rows, Duration took);

  /// How often a batch of this size was seen.
  std::uint64_t seen(std::size_t rows) const noexcept {
    const BatchCost* cost = find(rows);
    return cost == nullptr ? 0 : cost->seen;
  }
  bool empty() const noexcept { return costs_.empty(); }

  /// The largest size that was seen, or 0.
  std::size_t largest_seen() const noexcept { return costs_.empty() ? 0 : costs_.back().rows; }

  /// ℓ(rows); zero while nothing was seen, and of no rows.
  Duration mean(std::size_t rows) const noexcept { return of(rows, &BatchCost::mean); }
  /// What 95 of 100 batches of this size stay within.
  Duration p95(std::size_t rows) const noexcept { return of(rows, &BatchCost::p95); }

  /// The size with the most rows a second among those seen, of at most `limit` rows; 0 where none
  /// was. The smallest of those that are as good.
  std::size_t best_size(std::size_t limit) const noexcept {
    return best_ != 0 && best_ <= limit ? best_ : find_best(limit);
  }

  /// How long other batches have taken since this size was last seen; the longest time if it never
  /// was.
  Duration unseen_for(std::size_t rows) const noexcept {
    const BatchCost* cost = find(rows);
    return cost == nullptr ? Duration::max() : spent_ - cost->last;
  }

  /// What it knows, by ascending size.
  const CostProfile& profile() const noexcept { return costs_; }

  /// A table that begins with what another learned.
  ///
  /// Errors  invalid_argument: sizes that do not ascend from 1, or a cost that is not positive or
  ///         more than an hour
  static Result<CostTable> of_profile(CostProfile profile);

 private:
  const BatchCost* find(std::size_t rows) const noexcept {
    const auto at = lower(rows);
    return at != costs_.end() && at->rows == rows ? &*at : nullptr;
  }
  CostProfile::const_iterator lower(std::size_t rows) const noexcept {
    return std::lower_bound(costs_.begin(), costs_.end(), rows,
                            [](const BatchCost& cost, std::size_t n) { return cost.rows < n; });
  }
  Duration of(std::size_t rows, Duration BatchCost::*figure) const noexcept;
  std::size_t find_best(std::size_t limit) const noexcept;

  CostProfile costs_;
  std::size_t best_ = 0;
  std::uint64_t observations_ = 0;
  Duration spent_ = {};  // by all batches
};

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

inline void learn(BatchCost& cost, Duration took) noexcept {
  constexpr std::uint64_t first_runs = 3;
  constexpr std::uint64_t runs = 16;  // that the mean is over, in the end
  constexpr std::int64_t steps = 20;  // of the p95, to the mean
  took = std::max(took, Duration(1));
  ++cost.seen;
  if (cost.seen <= first_runs) {
    cost.mean = cost.seen == 1 ? took : std::min(cost.mean, took);
    cost.p95 = cost.mean;  // a slow first run is no news of the next
    return;
  }
  const Duration step = std::max(cost.mean / steps, Duration(20));
  cost.p95 += took > cost.p95 ? step * 19 / 20 : -(step / 20);
  const std::uint64_t counted = std::min(cost.seen - first_runs + 1, runs);
  cost.mean += (std::min(took, 3 * cost.mean) - cost.mean) / static_cast<std::int64_t>(counted);
  cost.mean = std::max(cost.mean, Duration(1));
  cost.p95 = std::max(cost.p95, cost.mean);
}

/// Between two known costs, or in line with them beyond; never below `least`.
inline Duration in_line(std::size_t rows, std::size_t low, Duration at_low, std::size_t high,
                        Duration at_high, Duration least) noexcept {
  const auto part =
      static_cast<double>(static_cast<std::int64_t>(rows - low)) / static_cast<double>(high - low);
  const double ns =
      static_cast<double>(at_low.count()) +
      part * (static_cast<double>(at_high.count()) - static_cast<double>(at_low.count()));
  return std::max(Duration(static_cast<std::int64_t>(ns)), least);
}

}  // namespace detail

inline void CostTable::observe(std::size_t rows, Duration took) {
  if (rows == 0) return;
  auto at = costs_.begin() + (lower(rows) - costs_.begin());
  const bool is_new = at == costs_.end() || at->rows != rows;
  if (is_new) {
    constexpr std::size_t usual = 64;  // sizes: so that a later one allocates nothing
    const auto place = at - costs_.begin();
    if (costs_.capacity() == 0) costs_.reserve(usual);
    at = costs_.insert(costs_.begin() + place, BatchCost{.rows = rows});
  }
  detail::learn(*at, took);
  spent_ += std::max(took, Duration(1));
  at->last = spent_;
  if (is_new || ++observations_ % 8 == 0) best_ = find_best(SIZE_MAX);
}

inline Duration CostTable::of(std::size_t rows, Duration BatchCost::*figure) const noexcept {
  if (rows == 0 || costs_.empty()) return Duration::zero();
  const auto at = lower(rows);
  if (at != costs_.end() && at->rows == rows) return (*at).*figure;
  if (at == costs_.begin()) return costs_.front().*figure;  // fewer rows: no more than these
  if (at != costs_.end()) {
    const BatchCost& low = *(at - 1);
    return detail::in_line(rows, low.rows, low.*figure, at->rows, (*at).*figure, Duration(1));
  }
  const BatchCost& low = costs_.front();
  const BatchCost& high = costs_.back();
  if (costs_.size() > 1) {
    return detail::in_line(rows, low.rows, low.*figure, high.rows, high.*figure, high.*figure);
  }
  return (high.*figure) * static_cast<std::int64_t>(rows) / static_cast<std::int64_t>(high.rows);
}

inline std::size_t CostTable::find_best(std::size_t limit) const noexcept {
  const auto rate = [](const BatchCost& cost) {
    const double known = static_cast<double>(cost.rows) / static_cast<double>(cost.mean.count());
    return cost.seen < few ? known / luck : known;
  };
  double highest = 0;
  for (const BatchCost& cost : costs_) {
    if (cost.rows <= limit) highest = std::max(highest, rate(cost));
  }
  for (const BatchCost& cost : costs_) {
    if (cost.rows <= limit && rate(cost) * worth_while >= highest) return cost.rows;
  }
  return 0;
}

inline Result<CostTable> CostTable::of_profile(CostProfile profile) {
  CostTable table;
  std::size_t before = 0;
  for (BatchCost& cost : profile) {
    constexpr Duration most = std::chrono::hours(1);  // far from what overflows
    constexpr Duration most_spent = std::chrono::hours(24 * 365 * 20);
    if (cost.rows <= before || cost.mean <= Duration::zero() || cost.p95 < cost.mean ||
        cost.p95 > most || cost.last < Duration::zero() || cost.last > most_spent) {
      return Error(Status::invalid_argument,
                   "cost profile: expected ascending sizes from 1, means above 0, p95s not below "
                   "them, at most an hour, got " +
                       std::to_string(cost.rows) + " rows in " + std::to_string(cost.mean.count()) +
                       " ns, p95 " + std::to_string(cost.p95.count()) + " ns");
    }
    before = cost.rows;
    cost.seen = std::max<std::uint64_t>(cost.seen, 1);
    table.spent_ = std::max(table.spent_, cost.last);
  }
  table.costs_ = std::move(profile);
  table.best_ = table.find_best(SIZE_MAX);
  return table;
}

}  // namespace galley::inline v1
