// Schedules: when an open loop sends its requests, decided before the first is sent.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/time.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace galley::inline v1::load {

/// How requests arrive.
enum class Arrivals : std::uint8_t {
  poisson,   ///< Independent of one another, as many users are.
  constant,  ///< At equal distances, as a camera is.
  bursty,    ///< Poisson at 1.5 and 0.5 times the rate, 50 ms each in turn, the faster first.
};

/// The enumerator's own name.
std::string_view to_string(Arrivals arrivals) noexcept;

struct ScheduleOptions {
  /// Requests per second, in the mean.
  double rate = 0;
  std::size_t requests = 0;
  Arrivals arrivals = Arrivals::poisson;
  std::uint64_t seed = 1;
};

/// The intended send times, ascending, counted from the start.
///
/// Equal options give equal times on every machine: the numbers of `std::mt19937_64` are turned
/// into gaps by comparisons and integer arithmetic, and are scaled by one multiplication each.
///
/// Errors  `invalid_argument`: a rate that is not positive, no requests or more than 100 million, a
///         schedule of more than a year
/// Source  von Neumann, Various techniques used in connection with random digits, 1951: exponential
///         numbers from comparisons. The standard library's distributions differ by library, and
///         the inverse transform by the last digit of `log`.
Result<std::vector<Duration>> make_schedule(const ScheduleOptions& options);

}  // namespace galley::inline v1::load
