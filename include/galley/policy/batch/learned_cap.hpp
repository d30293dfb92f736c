// LearnedCap: the default batch policy.
#pragma once

#include <galley/policy/batch.hpp>

#include <bit>

namespace galley::inline v1 {

/// Takes what is there, up to the size that is fastest per row; before it takes less, it yields to
/// other threads where that pays. Never waits for time to pass, and has nothing to tune.
///
/// *Cap.* b* = argmax b/ℓ(b) over the sizes seen. Sizes are learned from real rows: when the
/// next power of two beyond all that were run is queued, it is tried, twice. Afterwards one
/// batch in 128 takes another power of two, so that the table does not age; but none that would
/// make a row late, and none whose last run is not 4096 times as long ago as what a run wastes. Of
/// a size that was seen less than four times the runs may have been slow for reasons of their own
/// (memory that was touched for the first time): one batch in 16, and 768 times as long.
/// A smaller size that would be the best, but was seen too seldom to be believed, has a fifth of
/// the time until it is.
///
/// *Yield.* While that is measured to pay, a batch that is not full lets the other threads run, and
/// again as long as each time rows come.
///
/// Units   none: all from the cost table
/// Errors  none
/// Cost    O(log sizes seen)
/// Source  The cap is Triton's and TensorFlow Serving's hand-set maximum, found instead of set
///         (Crankshaw et al., Clipper, NSDI 2017, search for it by trial of latency). Gathering by
///         yielding is our own.
/// Example tests/policy/batch/learned_cap_test.cpp
struct LearnedCap {
  /// How often one batch may yield; 0 is plain work-conserving batching.
  unsigned max_yields = 8;
  /// One batch in this many tries a size to learn its cost; 0 never.
  unsigned probe_every = 128;

  constexpr Duration max_wait() const { return Duration::zero(); }

  BatchDecision decide(const BatchView& view) const {
    const std::size_t most = std::min(view.rows, view.limit);
    if (const std::size_t size = size_to_probe(view, most); size != 0) {
      return BatchDecision::close(size, CloseReason::probe);
    }
    const std::size_t best = view.costs->best_size(view.limit);
    const std::size_t cap = best == 0 ? view.limit : best;
    if (most >= cap) {
      return BatchDecision::close(cap, cap == view.limit ? CloseReason::full : CloseReason::cap);
    }
    if (yields_first(view)) return BatchDecision::yield_first();
    return BatchDecision::close(most, CloseReason::idle);
  }

 private:
  static constexpr std::uint64_t tries = 2;
  static constexpr std::uint64_t first_runs = 4;

  std::size_t size_to_probe(const BatchView& view, std::size_t most) const {
    if (probe_every == 0) return 0;
    const std::size_t largest = view.costs->largest_seen();
    if (largest != 0 && most >= largest) {
      if (view.costs->seen(largest) < tries) return largest;
      const std::size_t next = std::min(std::bit_ceil(largest + 1), view.limit);
      if (next > largest && most >= next) return next;
    }
    if (const std::size_t rival = rival_to_probe(view, most); rival != 0) return rival;
    // Another power of two each time, in turn, among those there are rows for.
    std::size_t powers = 1;
    while (std::size_t{1} << powers <= most) ++powers;
    const auto in_turn = [&](unsigned every) -> std::size_t {
      if (view.number % every != every - 1) return 0;
      return std::size_t{1} << (view.number / every % powers);
    };
    const std::size_t little_known = in_turn(std::min(probe_every, 16U));
    if (little_known != 0 && view.costs->seen(little_known) < first_runs &&
        is_due(view, little_known, 768)) {
      return little_known;
    }
    const std::size_t size = in_turn(probe_every);
    return size != 0 && is_due(view, size, 4096) ? size : 0;
  }

  /// A size below the best that was seen too seldom to be believed, and would be the best if
  /// its mean were. A fifth of the time goes to such ones: little is wasted even where the mean was
  /// luck, and soon it is known. (A larger one would make rows wait longer: no hurry.)
  static std::size_t rival_to_probe(const BatchView& view, std::size_t most) {
    constexpr std::int64_t sparing = 4;
    const CostTable& costs = *view.costs;
    const std::size_t best = costs.best_size(view.limit);
    if (best == 0) return 0;
    for (std::size_t size = 1; size <= most && size < best; size *= 2) {
      const std::uint64_t seen = costs.seen(size);
      if (seen < tries || seen >= CostTable::few) continue;
      const bool slower = costs.mean(size) * static_cast<std::int64_t>(best) >=
                          costs.mean(best) * static_cast<std::int64_t>(size);
      const bool due = costs.unseen_for(size) >= sparing * costs.mean(size);
      if (!slower && due && costs.p95(size) <= view.slack) return size;
    }
    return 0;
  }

  /// Was the last run of `size` `sparing` times as long ago as what another wastes?
  static bool is_due(const BatchView& view, std::size_t size, std::int64_t sparing) {
    const CostTable& costs = *view.costs;
    if (costs.seen(size) < tries) return true;
    if (costs.p95(size) > view.slack) return false;
    const std::size_t best = costs.best_size(view.limit);
    const Duration wasted = costs.mean(size) - costs.mean(best) * static_cast<std::int64_t>(size) /
                                                   static_cast<std::int64_t>(best);
    return wasted <= costs.unseen_for(size) / sparing;
  }

  bool yields_first(const BatchView& view) const {
    if (!view.yielding_pays || view.yields >= max_yields) return false;
    return view.yields == 0 || view.rows > view.rows_before;
  }
};

}  // namespace galley::inline v1
