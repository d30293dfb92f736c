// Padding: to which length a row is filled up, and which lengths run together.
#pragma once

#include <galley/policy/cost_table.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace galley::inline v1 {

/// The most lengths that rows of one servable may be filled up to.
inline constexpr std::size_t max_padded_lengths = 64;

/// Lengths from `least` to `most`, each the one before times `ratio`, rounded up: with 1.5 less
/// than a third of a padded row is filling, but for rows shorter than `least`.
///
/// A ratio below 1.01 counts as that. Empty where `least` is 0 or above `most`.
inline std::vector<std::size_t> geometric_lengths(std::size_t least, std::size_t most,
                                                  double ratio = 1.5) {
  std::vector<std::size_t> lengths;
  if (least == 0 || least > most) return lengths;
  ratio = std::max(1.01, ratio);
  lengths.push_back(least);
  while (lengths.back() < most) {
    const double next = static_cast<double>(lengths.back()) * ratio;
    if (next >= static_cast<double>(most)) {
      lengths.push_back(most);
    } else {
      const auto down = static_cast<std::size_t>(next);
      lengths.push_back(static_cast<double>(down) < next ? down + 1 : down);
    }
  }
  return lengths;
}

/// The number of the least of `lengths`, which ascend, that a row of `length` fits; their count
/// where it fits none.
inline std::size_t padded_length_for(std::span<const std::size_t> lengths, std::size_t length) {
  const auto at = std::lower_bound(lengths.begin(), lengths.end(), length);
  return static_cast<std::size_t>(at - lengths.begin());
}

/// How many rows fit one length and none below it, and what batches of that length cost.
struct PaddedLoad {
  std::size_t rows = 0;
  /// Null or empty while it is not known.
  const CostTable* costs = nullptr;
};

/// By the number of a length: the number of the one that its rows run in.
using MergedLengths = std::array<std::uint8_t, max_padded_lengths>;

/// Which lengths run together: rows of some go along with a longer one's where ℓ of that, with all
/// of them, is measured to be less than what they take apart. The cheapest choice of neighbours
/// among the lengths that have rows; nothing is merged with a length whose costs are not known.
///
/// Cost    O(k²) look-ups for k lengths that have rows, at most `max_padded_lengths`
/// Source  buckets by length as in tf.data's `bucket_by_sequence_length`. Differs: which of them
///         share a batch follows from measured costs, by the least-cost partition of a sequence
///         (R. Bellman, Dynamic Programming, 1957)
inline MergedLengths merge_upward(std::span<const PaddedLoad> loads) {
  MergedLengths into{};
  std::array<std::uint8_t, max_padded_lengths> used{};
  std::size_t count = 0;
  for (std::size_t i = 0; i < std::min(loads.size(), into.size()); ++i) {
    into[i] = static_cast<std::uint8_t>(i);
    if (loads[i].rows != 0) used[count++] = static_cast<std::uint8_t>(i);
  }
  const auto is_known = [&](std::size_t k) {
    const CostTable* costs = loads[used[k]].costs;
    return costs != nullptr && !costs->empty();
  };
  std::array<Duration, max_padded_lengths + 1> least{};      // of the first k that have rows
  std::array<std::uint8_t, max_padded_lengths + 1> first{};  // of those that the k-th takes along
  for (std::size_t k = 0; k < count; ++k) {
    std::size_t rows = 0;
    least[k + 1] = Duration::max();
    for (std::size_t i = k + 1; i-- > 0;) {
      if (i < k && !(is_known(i) && is_known(k))) break;
      rows += loads[used[i]].rows;
      const Duration own = is_known(k) ? loads[used[k]].costs->mean(rows) : Duration::zero();
      if (least[i] + own >= least[k + 1]) continue;
      least[k + 1] = least[i] + own;
      first[k] = static_cast<std::uint8_t>(i);
    }
  }
  for (std::size_t end = count; end > 0;) {
    const std::size_t begin = first[end - 1];
    for (std::size_t i = begin; i < end; ++i) into[used[i]] = used[end - 1];
    end = begin;
  }
  return into;
}

}  // namespace galley::inline v1
