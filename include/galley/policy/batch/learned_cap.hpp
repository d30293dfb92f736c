// LearnedCap: the default batch policy.
#pragma once

#include <galley/policy/batch.hpp>

namespace galley::inline v1 {

/// Takes what is there, up to the size that is fastest per row; before it takes less, it yields to
/// other threads where that pays. Never waits for time to pass, and has nothing to tune.
///
/// *Cap.* b* = argmax b/ℓ(b) over the sizes seen. Sizes are learned from real rows: while more rows
/// queue than were ever run together, each doubling is tried twice; afterwards one batch in 128
/// takes another power of two, so that the table does not age.
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

  bool yields_first(const BatchView& view) const {
    if (!view.yielding_pays || view.yields >= max_yields) return false;
    return view.yields == 0 || view.rows > view.rows_before;
  }
};

}  // namespace galley::inline v1
