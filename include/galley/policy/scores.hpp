// Scores: numbers for each class, as models answer them.
#pragma once

#include <galley/core/dtype.hpp>
#include <galley/core/result.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/text.hpp>
#include <galley/policy/exponential.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace galley::inline v1 {

/// What the numbers are.
enum class Scores : std::uint8_t {
  logits,         ///< What a softmax makes probabilities of.
  probabilities,  ///< Not negative, 1 together.
};

/// The enumerator's own name.
constexpr std::string_view to_string(Scores scores) noexcept {
  return scores == Scores::logits ? "logits" : "probabilities";
}

/// The two highest of a row's scores, as probabilities; the second is 0 of a single score.
struct TopScores {
  double first = 0;
  double second = 0;
};

namespace detail {

/// NaN among the scores makes both NaN, which no threshold accepts.
template <class T>
TopScores top_of(std::span<const T> scores, Scores kind) {
  T first = -std::numeric_limits<T>::infinity();
  T second = first;
  bool odd = scores.empty();
  for (const T score : scores) {
    odd = odd || std::isnan(score);
    second = std::max(second, std::min(first, score));
    first = std::max(first, score);
  }
  if (odd) return {std::nan(""), std::nan("")};
  const bool alone = scores.size() == 1;
  if (kind == Scores::probabilities) {
    return {static_cast<double>(first), alone ? 0 : static_cast<double>(second)};
  }
  const double sum = sum_of_exponentials(scores, first);
  return {1 / sum, alone ? 0 : static_cast<double>(exp_below_zero(second - first)) / sum};
}

}  // namespace detail

/// The two highest scores of a row: of a contiguous range of float or double, or a float32 or
/// float64 tensor of the host.
///
/// Errors  invalid_argument: a tensor of another dtype or device, or not contiguous
template <std::ranges::contiguous_range R>
  requires(std::floating_point<std::ranges::range_value_t<R>>)
Result<TopScores> top_scores(const R& scores, Scores kind) {
  using T = std::ranges::range_value_t<R>;
  return detail::top_of(std::span<const T>(std::ranges::data(scores), std::ranges::size(scores)),
                        kind);
}
inline Result<TopScores> top_scores(const Tensor& scores, Scores kind) {
  if (scores.dtype() == f32) {
    GALLEY_TRY(const std::span<const float> values, scores.span<float>());
    return detail::top_of(values, kind);
  }
  if (scores.dtype() == f64) {
    GALLEY_TRY(const std::span<const double> values, scores.span<double>());
    return detail::top_of(values, kind);
  }
  return Error(Status::invalid_argument, "scores: expected float32 or float64, got " +
                                             std::string(to_string(scores.dtype())));
}

}  // namespace galley::inline v1
