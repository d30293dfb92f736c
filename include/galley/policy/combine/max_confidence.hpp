// MaxConfidence: the combiner that takes the answer of the member that is surest.
#pragma once

#include <galley/policy/combine.hpp>
#include <galley/policy/combine/numbers.hpp>
#include <galley/policy/combine/softmax.hpp>
#include <galley/policy/scores.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

/// How sure a classifier is: the largest of its probabilities; of logits, of their softmax. All of
/// a row's numbers are one distribution.
///
/// Errors  internal: a tensor of other than float32 or float64 in host memory
struct TopScore {
  Scores scores = Scores::logits;

  template <Numbers Mid>
  Result<double> operator()(const Mid& numbers) const {
    double sure = 0;
    GALLEY_TRY(detail::visit_numbers("max_confidence", 0, numbers, [&](auto all, std::size_t) {
      sure = scores == Scores::logits ? detail::highest_softmax(all)
                                      : static_cast<double>(detail::highest(all));
    }));
    return sure;
  }
};

/// The whole answer of the member that is surest; of equally sure ones, the earliest. Who says NaN
/// is less sure than anyone.
///
/// `confidence` gives a number or a `Result` of one for a member's answer: by default `TopScore`,
/// else a function of yours, as `[](const Prediction& p) { return p.confidence; }`.
///
/// Errors  internal: no member has answered; what `confidence` says
/// Cost    `confidence` once for each member, one copy of the answer
template <class Confidence = TopScore>
struct MaxConfidence {
  static constexpr const char* name = "max_confidence";
  static constexpr bool keeps_only_vote = true;

  Confidence confidence = {};

  template <std::copy_constructible Mid>
    requires(
        std::convertible_to<std::invoke_result_t<const Confidence&, const Mid&>, Result<double>>)
  Result<Mid> combine(const Votes<Mid>& votes) const {
    const Mid* best = nullptr;
    double most = 0;
    for (const Vote<Mid>& vote : votes) {
      if (!vote.has_value()) continue;
      const Result<double> sure = confidence(*vote.value);
      if (!sure.has_value()) return sure.error();
      const bool more = *sure > most || (std::isnan(most) && !std::isnan(*sure));
      if (best != nullptr && !more) continue;
      best = vote.value;
      most = *sure;
    }
    if (best == nullptr) return detail::nobody_voted(name);
    return *best;
  }

  OptionTexts options() const {
    if constexpr (std::same_as<Confidence, TopScore>) {
      return {{"scores", std::string(to_string(confidence.scores))}};
    } else {
      return {{"confidence", "a function"}};
    }
  }
};

MaxConfidence() -> MaxConfidence<>;
template <class F>
MaxConfidence(F) -> MaxConfidence<F>;

}  // namespace galley::inline v1
