// Confident: an answer whose highest score is high enough stays.
#pragma once

#include <galley/policy/accept.hpp>
#include <galley/policy/scores.hpp>

namespace galley::inline v1 {

/// Accepts a row of scores whose highest, as a probability, is at least `threshold`; never one with
/// NaN.
///
/// Errors  as `top_scores`
/// Source  P. Viola, M. Jones, Rapid Object Detection using a Boosted Cascade, CVPR 2001, for
///         cascades; the maximum of the softmax as confidence: D. Hendrycks, K. Gimpel, A Baseline
///         for Detecting Misclassified and Out-of-Distribution Examples, ICLR 2017
struct Confident {
  double threshold = 0.9;
  Scores scores = Scores::logits;

  template <class Row>
  Result<bool> operator()(const Row& row) const
    requires(requires { top_scores(row, scores); })
  {
    GALLEY_TRY(const TopScores top, top_scores(row, scores));
    return top.first >= threshold;
  }
};

/// The same, as it reads in a cascade: `cascade({small, large}, confident(0.9))`.
constexpr Confident confident(double threshold, Scores scores = Scores::logits) {
  return {threshold, scores};
}

}  // namespace galley::inline v1
