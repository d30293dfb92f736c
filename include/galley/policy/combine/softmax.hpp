// Softmax, for combiners of scores.
#pragma once

#include <galley/policy/exponential.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

namespace galley::inline v1 {

namespace detail {

/// The largest, or NaN where one is; the least there is of none.
template <class T>
T highest(std::span<const T> numbers) {
  T most = -std::numeric_limits<T>::infinity();
  for (const T number : numbers) {
    if (std::isnan(number)) return number;
    most = std::max(most, number);
  }
  return most;
}

/// to += softmax(logits), each less the largest, so that nothing overflows.
template <class T>
void add_softmax(std::span<T> to, std::span<const T> logits) {
  const T most = highest(logits);
  const T whole = static_cast<T>(sum_of_exponentials(logits, most));
  // A second time, which is faster than keeping them.
  for (std::size_t i = 0; i < logits.size(); ++i) {
    to[i] += exp_below_zero(logits[i] - most) / whole;
  }
}

/// The largest of their softmax.
template <class T>
double highest_softmax(std::span<const T> logits) {
  return 1 / sum_of_exponentials(logits, highest(logits));
}

}  // namespace detail

}  // namespace galley::inline v1
