// LearnedCap: the default batch policy.
#pragma once

#include <galley/policy/batch.hpp>

namespace galley::inline v1 {

/// Takes what is there, up to the size that is fastest per row; before it takes less, it yields to
/// other threads while that is measured to save more than it costs. Never waits for time to pass,
/// and has nothing to tune.
///
/// *Cap.* b* = argmax b/ℓ(b) over the sizes seen. Sizes are learned from real rows: while more rows
/// queue than were ever run together, each doubling is tried twice; afterwards one batch in 128
/// takes another power of two, so that the table does not age.
///
/// *Yield.* Of n rows now and m that a yield is expected to bring, one batch saves
/// ℓ(n) + ℓ(m) − ℓ(n + m) against two. Where cores are short a woken worker preempts the threads
/// that were about to submit: a single yield lets each of them go first. One batch in 64 yields
/// whatever is expected of it, to measure again.
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
    if (yields_first(view, most)) return BatchDecision::yield_first();
    return BatchDecision::close(most, CloseReason::idle);
  }

 private:
  std::size_t size_to_probe(const BatchView& view, std::size_t most) const {
    constexpr std::uint64_t tries = 2;
    if (probe_every == 0) return 0;
    const std::size_t largest = view.costs->largest_seen();
    if (largest != 0 && most > largest) {
      if (view.costs->seen(largest) < tries) return largest;
      return std::min(most, 2 * largest);
    }
    if (view.number % probe_every != probe_every - 1) return 0;
    // Another power of two each time, in turn, among those there are rows for.
    std::size_t powers = 1;
    while (std::size_t{1} << powers <= most) ++powers;
    return std::size_t{1} << (view.number / probe_every % powers);
  }

  bool yields_first(const BatchView& view, std::size_t rows) const {
    constexpr std::uint64_t measure_every = 64;
    if (view.yields >= max_yields) return false;
    if (view.yields > 0 && view.rows <= view.rows_before) return false;
    if (view.yields == 0 && view.number % measure_every == 0) return true;
    const std::size_t came =
        view.yields > 0 ? view.rows - view.rows_before : (view.yield.brought_16 + 8) / 16;
    if (came == 0) return false;
    const CostTable& costs = *view.costs;
    const Duration saved = costs.mean(rows) + costs.mean(came) - costs.mean(rows + came);
    return saved > view.yield.took;
  }
};

}  // namespace galley::inline v1
