// How a batch is brought to one of the sizes that a model allows.
#pragma once

#include <galley/policy/cost_table.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

namespace galley::inline v1 {

/// How many rows go, and as a batch of how many: what is missing is filled up.
struct SizedBatch {
  std::size_t rows = 0;
  std::size_t size = 0;
  friend bool operator==(const SizedBatch&, const SizedBatch&) = default;
};

/// A batch of one of the `sizes` for `rows` rows: filled up to the next larger size, or cut down to
/// the next smaller one, so that the rest goes later; whichever costs less for each row that
/// goes. While the cost of either is not known, it is filled up.
///
/// `sizes` ascend; `rows` is from 1 to the last of them. Without sizes every number is one.
///
/// Cost    O(log sizes)
/// Source  TensorFlow Serving, tensorflow core/kernels/batching_util/batch_scheduler_utils, policy
///         MINIMIZE_TPU_COST_PER_REQUEST, with costs measured while serving
inline SizedBatch sized_batch(std::size_t rows, std::span<const std::size_t> sizes,
                              const CostTable& costs) noexcept {
  if (sizes.empty()) return {rows, rows};
  const auto above = std::upper_bound(sizes.begin(), sizes.end(), rows);
  const std::size_t down = above == sizes.begin() ? 0 : *(above - 1);
  if (down == rows || above == sizes.end()) return {down, down};
  const std::size_t up = *above;
  const SizedBatch filled{rows, up};
  if (down == 0 || costs.seen(down) == 0 || costs.seen(up) == 0) return filled;
  // ℓ(up)/rows against ℓ(down)/down
  const auto each = [](Duration cost, std::size_t n) {
    return static_cast<double>(cost.count()) / static_cast<double>(n);
  };
  if (each(costs.mean(up), rows) <= each(costs.mean(down), down)) return filled;
  return {down, down};
}

}  // namespace galley::inline v1
