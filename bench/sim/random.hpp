// Random numbers that are the same on every machine: integers only, no distribution of std.
#pragma once

#include <galley/core/time.hpp>

#include <cstdint>

namespace bench::sim {

using galley::Duration;

/// One of the well-mixed numbers that belong to `at`.
///
/// Source  splitmix64: G. Steele, D. Lea, C. Flood, Fast Splittable Pseudorandom Number Generators,
///         OOPSLA 2014
constexpr std::uint64_t mixed(std::uint64_t at) noexcept {
  at += 0x9e3779b97f4a7c15U;
  at = (at ^ (at >> 30)) * 0xbf58476d1ce4e5b9U;
  at = (at ^ (at >> 27)) * 0x94d049bb133111ebU;
  return at ^ (at >> 31);
}

/// A stream of random numbers.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(mixed(seed)) {}

  std::uint64_t next() noexcept {
    const std::uint64_t drawn = mixed(state_);
    state_ += 0x9e3779b97f4a7c15U;
    return drawn;
  }

  /// A number below `bound`, which is small against 2⁶⁴.
  std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }

  /// Exponentially distributed; `mean` is below 0.1 s.
  ///
  /// Source  J. von Neumann, Various Techniques Used in Connection with Random Digits, 1951: only
  ///         comparisons, so that no machine's logarithm has a say
  Duration exponential(Duration mean) noexcept {
    for (std::uint64_t whole = 0;; ++whole) {
      const std::uint64_t first = next();
      std::uint64_t last = first;
      unsigned falling = 1;
      for (std::uint64_t drawn = next(); drawn < last; drawn = next()) {
        last = drawn;
        ++falling;
      }
      if (falling % 2 == 0) continue;
      const std::uint64_t value = (whole << 32) | (first >> 32);  // in 2⁻³²
      return Duration(
          static_cast<std::int64_t>((static_cast<std::uint64_t>(mean.count()) * value) >> 32));
    }
  }

  /// Nearly normally distributed with a variance of 1, within 6; in 65536ths.
  std::int64_t normal() noexcept {
    std::int64_t sum = -6 * 65536;  // twelve uniform numbers have a variance of 1
    for (int i = 0; i < 3; ++i) {
      std::uint64_t four = next();
      for (int j = 0; j < 4; ++j, four >>= 16) sum += static_cast<std::int64_t>(four & 0xffff);
    }
    return sum;
  }

 private:
  std::uint64_t state_;
};

}  // namespace bench::sim
