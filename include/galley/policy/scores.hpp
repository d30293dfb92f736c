// Scores: numbers for each class, as models answer them.
#pragma once

#include <galley/core/dtype.hpp>
#include <galley/core/result.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/text.hpp>

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
  double first = -std::numeric_limits<double>::infinity();
  double second = first;
  bool odd = scores.empty();
  for (const T score : scores) {
    const auto value = static_cast<double>(score);
    odd = odd || std::isnan(value);
    second = std::max(second, std::min(first, value));
    first = std::max(first, value);
  }
  if (odd) return {std::nan(""), std::nan("")};
  if (kind == Scores::probabilities) return {first, scores.size() == 1 ? 0 : second};
  double sum = 0;
  for (const T score : scores) sum += std::exp(static_cast<double>(score) - first);
  return {1 / sum, scores.size() == 1 ? 0 : std::exp(second - first) / sum};
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
