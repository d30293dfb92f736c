// Paired, interleaved timing.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace bench {

/// The middle of repeated measurements and how far they spread.
struct Spread {
  double median = 0;
  double p25 = 0;
  double p75 = 0;
  std::size_t pairs = 0;  ///< How many measurements, or pairs of them.

  /// The same in another unit, or per part: every figure times `factor`, which is positive.
  Spread times(double factor) const {
    return {.median = median * factor, .p25 = p25 * factor, .p75 = p75 * factor, .pairs = pairs};
  }
};

/// The quartiles of `values`, interpolated; all 0 of none.
inline Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto at = [&](double quantile) {
    const double place = quantile * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (values[above] - values[below]) * (place - static_cast<double>(below));
  };
  return {.median = at(0.5), .p25 = at(0.25), .p75 = at(0.75), .pairs = values.size()};
}

/// Makes the compiler believe that `value` is read and written here.
template <class T>
inline void do_not_optimise(T& value) {
  if constexpr (std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(void*)) {
    asm volatile("" : "+r"(value) : : "memory");
  } else {
    asm volatile("" : : "r"(&value) : "memory");
  }
}

/// How a comparison is made.
struct Rounds {
  /// How many pairs of slices are kept; 30 at least.
  std::size_t pairs = 400;
  /// How long one side runs before it is the other's turn.
  std::chrono::nanoseconds slice = std::chrono::microseconds(50);
};

/// What a comparison of A and B found, all per operation.
struct Paired {
  Spread a;           ///< ns
  Spread b;           ///< ns
  Spread difference;  ///< A − B of each pair, ns
  Spread ratio;       ///< A / B of each pair
};

/// How long `count` calls of `operation` take, in ns.
template <class Operation>
double time_slice(Operation& operation, std::size_t count) {
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < count; ++i) operation();
  const auto end = std::chrono::steady_clock::now();
  return std::chrono::duration<double, std::nano>(end - start).count();
}

/// How many calls of `operation` fill `slice`; warms it up on the way.
template <class Operation>
std::size_t calls_per_slice(Operation& operation, std::chrono::nanoseconds slice) {
  const auto wanted = static_cast<double>(slice.count());
  std::size_t count = 1;
  for (;;) {
    const double took = std::min(time_slice(operation, count), time_slice(operation, count));
    if (took >= wanted / 2) {
      return std::max<std::size_t>(
          1, static_cast<std::size_t>(static_cast<double>(count) * wanted / took));
    }
    count *= 2;
  }
}

/// Compares two operations in alternating slices; who goes first alternates too.
///
/// Each side is a callable without arguments. A slice holds as many calls as fill it, at least one,
/// the same number on both sides in every round.
template <class A, class B>
Paired compare(A&& a, B&& b, const Rounds& rounds = {}) {
  const std::size_t calls_a = calls_per_slice(a, rounds.slice);
  const std::size_t calls_b = calls_per_slice(b, rounds.slice);
  std::vector<double> of_a, of_b, differences, ratios;
  const std::size_t warm_up = std::min<std::size_t>(rounds.pairs / 10 + 1, 20);
  for (std::size_t round = 0; round < warm_up + rounds.pairs; ++round) {
    double time_a = 0;
    double time_b = 0;
    if (round % 2 == 0) time_a = time_slice(a, calls_a);
    time_b = time_slice(b, calls_b);
    if (round % 2 == 1) time_a = time_slice(a, calls_a);
    if (round < warm_up) continue;
    time_a /= static_cast<double>(calls_a);
    time_b /= static_cast<double>(calls_b);
    of_a.push_back(time_a);
    of_b.push_back(time_b);
    differences.push_back(time_a - time_b);
    ratios.push_back(time_a / time_b);
  }
  return {.a = spread_of(std::move(of_a)),
          .b = spread_of(std::move(of_b)),
          .difference = spread_of(std::move(differences)),
          .ratio = spread_of(std::move(ratios))};
}

/// ns per call of `operation`, without what an empty loop costs.
template <class Operation>
Spread measure(Operation&& operation, const Rounds& rounds = {}) {
  const auto nothing = [] { asm volatile("" : : : "memory"); };
  return compare(std::forward<Operation>(operation), nothing, rounds).difference;
}

}  // namespace bench
