// Margin: an answer whose highest score is well above the second stays.
#pragma once

#include <galley/policy/accept.hpp>
#include <galley/policy/scores.hpp>

namespace galley::inline v1 {

/// Accepts a row of scores whose two highest, as probabilities, lie at least `threshold` apart;
/// never one with NaN. One score alone lies its own value apart.
///
/// Errors  as `top_scores`
/// Source  T. Scheffer, C. Decomain, S. Wrobel, Active Hidden Markov Models for Information
///         Extraction, IDA 2001: the margin as a measure of certainty
struct Margin {
  double threshold = 0.5;
  Scores scores = Scores::logits;

  template <class Row>
  Result<bool> operator()(const Row& row) const
    requires(requires { top_scores(row, scores); })
  {
    GALLEY_TRY(const TopScores top, top_scores(row, scores));
    return top.first - top.second >= threshold;
  }
};

/// The same, as it reads in a cascade: `cascade({small, large}, margin(0.5))`.
constexpr Margin margin(double threshold, Scores scores = Scores::logits) {
  return {threshold, scores};
}

}  // namespace galley::inline v1
