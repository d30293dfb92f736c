// Mean: the combiner that averages.
#pragma once

#include <galley/policy/combine.hpp>
#include <galley/policy/combine/numbers.hpp>

#include <cstddef>
#include <optional>
#include <span>

namespace galley::inline v1 {

namespace detail {

/// Sums, and divides by how many there were.
struct MeanFold {
  std::size_t votes = 0;

  template <class T>
  void add(std::span<T> to, std::span<const T> numbers, std::size_t, std::size_t) const {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += numbers[i];
  }
  template <class T>
  void finish(std::span<T> to) const {
    const T count = static_cast<T>(votes);
    for (T& number : to) number /= count;
  }
};

}  // namespace detail

/// The mean of the members that answered, number by number. A NaN makes a NaN.
///
/// Shapes  k members' [*F] -> [*F], float32 or float64; or a number, a vector or an array of them
/// Errors  internal: no member has answered, or their answers are of unlike shapes or dtypes
/// Cost    one pass for each member; blocks without a tensor for each row
struct Mean {
  static constexpr const char* name = "mean";

  template <NumberRow Mid>
  Result<Mid> combine(const Votes<Mid>& votes) const {
    return detail::fold_votes(name, votes, detail::MeanFold{votes.answered()});
  }

  template <NumberRow Mid>
  std::optional<Rows<Mid>> combine_rows(const BatchVotes<Mid>& votes) const {
    std::size_t answered = 0;
    for (const Rows<Mid>* member : votes.members) answered += member != nullptr ? 1 : 0;
    return detail::fold_batch(votes, detail::MeanFold{answered});
  }
};

}  // namespace galley::inline v1
