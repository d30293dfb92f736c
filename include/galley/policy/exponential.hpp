// Exponentials of many numbers at once, for softmax.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace galley::inline v1::detail {

/// e to the power of `x`, which is not above zero or NaN: within 2 units in the last place, and 0
/// below -87, where the result would be denormal. Without branches, so that a compiler does several
/// in one instruction; the C library's does not.
///
/// Source  S. L. Moshier, Cephes Mathematical Library, expf: the range reduction and its constants
inline float exp_below_zero(float x) {
  constexpr float least = -87.0F;
  constexpr float log2_of_e = 1.44269504F, ln2_high = 0.693359375F, ln2_low = -2.12194440e-4F;
  constexpr float rounds = 12582912.0F;  // 1.5 · 2²³: added to a float, its last bit is a one
  const std::uint32_t keep = 0U - static_cast<std::uint32_t>(!(x <= least));  // NaN too
  const float in_range = std::bit_cast<float>((std::bit_cast<std::uint32_t>(x) & keep) |
                                              (std::bit_cast<std::uint32_t>(least) & ~keep));
  const float rounded = in_range * log2_of_e + rounds;
  const std::uint32_t whole =
      std::bit_cast<std::uint32_t>(rounded) - std::bit_cast<std::uint32_t>(rounds);
  const float n = rounded - rounds;
  const float r = (in_range - n * ln2_high) - n * ln2_low;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const auto power = std::bit_cast<float>((whole + 127U) << 23U);  // 2 to that
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(p * power) & keep);
}
inline double exp_below_zero(double x) {
  return std::exp(x);
}

/// The sum of `f(numbers[i])`, in eight parts that do not wait for each other.
template <class T, class F>
double sum_of(std::span<const T> numbers, F&& f) {
  constexpr std::size_t parts = 8;
  std::array<double, parts> sums = {};
  std::size_t i = 0;
  for (; i + parts <= numbers.size(); i += parts) {
    std::array<T, parts> values;
    for (std::size_t k = 0; k < parts; ++k) values[k] = f(numbers[i + k]);
    for (std::size_t k = 0; k < parts; ++k) sums[k] += static_cast<double>(values[k]);
  }
  for (; i < numbers.size(); ++i) sums[0] += static_cast<double>(f(numbers[i]));
  for (std::size_t k = 1; k < parts; ++k) sums[0] += sums[k];
  return sums[0];
}

/// The sum of e to the power of each number less `most`, the largest of them.
template <class T>
double sum_of_exponentials(std::span<const T> numbers, T most) {
  return sum_of(numbers, [most](T number) { return exp_below_zero(number - most); });
}

}  // namespace galley::inline v1::detail
