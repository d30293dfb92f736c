// SoftVote: the combiner that averages distributions over classes.
#pragma once

#include <galley/policy/combine.hpp>
#include <galley/policy/combine/mean.hpp>
#include <galley/policy/combine/numbers.hpp>
#include <galley/policy/combine/softmax.hpp>
#include <galley/policy/scores.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>

namespace galley::inline v1 {

namespace detail {

/// Adds the softmax along the last axis, or the numbers as they are.
struct SoftFold {
  MeanFold mean;
  Scores scores = Scores::logits;

  template <class T>
  void add(std::span<T> to, std::span<const T> numbers, std::size_t last,
           std::size_t member) const {
    if (scores == Scores::probabilities) return mean.add(to, numbers, last, member);
    for (std::size_t at = 0; at + last <= numbers.size() && last != 0; at += last) {
      add_softmax(to.subspan(at, last), numbers.subspan(at, last));
    }
  }
  template <class T>
  void finish(std::span<T> to) const {
    mean.finish(to);
  }
};

}  // namespace detail

/// The mean of the members' distributions over classes. Of logits it takes the softmax first. A
/// member that says NaN makes the distribution NaN.
///
/// Shapes  k members' [*F, classes] -> [*F, classes], float32 or float64; or a vector or an array
/// Errors  as `Mean`
/// Cost    an exponential for each number of a member's logits, two beyond 64 classes; blocks
///         without a tensor for each row
struct SoftVote {
  static constexpr const char* name = "soft_vote";
  Scores scores = Scores::logits;

  template <Numbers Mid>
  Result<Mid> combine(const Votes<Mid>& votes) const {
    return detail::fold_votes(name, votes, detail::SoftFold{{votes.answered()}, scores});
  }

  template <Numbers Mid>
  std::optional<Rows<Mid>> combine_rows(const BatchVotes<Mid>& votes) const {
    std::size_t answered = 0;
    for (const Rows<Mid>* member : votes.members) answered += member != nullptr ? 1 : 0;
    return detail::fold_batch(votes, detail::SoftFold{{answered}, scores});
  }

  OptionTexts options() const { return {{"scores", std::string(to_string(scores))}}; }
};

}  // namespace galley::inline v1
