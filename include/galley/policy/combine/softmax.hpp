// Softmax, for combiners of scores.
#pragma once

#include <galley/policy/scores.hpp>

#include <algorithm>
#include <array>
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
  std::array<T, 64> kept;
  const bool keep = logits.size() <= kept.size();
  double sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const T e = std::exp(logits[i] - most);
    if (keep) kept[i] = e;
    sum += static_cast<double>(e);
  }
  const T whole = static_cast<T>(sum);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    to[i] += (keep ? kept[i] : std::exp(logits[i] - most)) / whole;
  }
}

/// The largest of their softmax.
template <class T>
double highest_softmax(std::span<const T> logits) {
  const T most = highest(logits);
  double sum = 0;
  for (const T logit : logits) sum += static_cast<double>(std::exp(logit - most));
  return 1 / sum;
}

}  // namespace detail

}  // namespace galley::inline v1
