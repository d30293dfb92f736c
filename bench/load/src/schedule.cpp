#include <galley/load/schedule.hpp>

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <random>
#include <utility>

namespace galley::inline v1::load {

namespace {

/// Mean gaps, with 32 binary places.
using Gaps = std::uint64_t;
constexpr int places = 32;

/// A number of the exponential distribution of mean 1: the first of a run of falling numbers is
/// accepted when the run is of odd length; every run refused adds 1.
Gaps exponential(std::mt19937_64& random) {
  for (Gaps whole = 0;; ++whole) {
    const std::uint64_t first = random();
    std::uint64_t last = first;
    bool odd = true;
    for (std::uint64_t next = random(); next < last; next = random()) {
      last = next;
      odd = !odd;
    }
    if (odd) return (whole << places) | (first >> places);
  }
}

/// Turns time that flows evenly into time that flows faster and slower in turn, by the same mean.
Duration burst(Duration even) {
  constexpr Duration dwell = std::chrono::milliseconds(50);
  const Duration period = even / (2 * dwell) * (2 * dwell);
  const Duration rest = even - period;
  const Duration fast = dwell * 3 / 2;  // what of the mean's time the faster half uses up
  return period + (rest < fast ? rest * 2 / 3 : dwell + (rest - fast) * 2);
}

Result<void> check(const ScheduleOptions& options) {
  const auto refuse = [](std::string why) {
    return Error(Status::invalid_argument, std::move(why));
  };
  constexpr std::size_t most = 100'000'000;
  constexpr double year = 365.0 * 24 * 3600;
  if (!std::isfinite(options.rate) || options.rate <= 0) {
    return refuse(fmt::format("schedule: expected a positive rate, got {}", options.rate));
  }
  if (options.requests == 0 || options.requests > most) {
    return refuse(
        fmt::format("schedule: expected 1 to {} requests, got {}", most, options.requests));
  }
  if (static_cast<double>(options.requests) / options.rate > year) {
    return refuse(fmt::format("schedule: {} requests at {} a second are more than a year",
                              options.requests, options.rate));
  }
  return {};
}

}  // namespace

std::string_view to_string(Arrivals arrivals) noexcept {
  switch (arrivals) {
    case Arrivals::poisson:
      return "poisson";
    case Arrivals::constant:
      return "constant";
    case Arrivals::bursty:
      return "bursty";
  }
  return "unknown";
}

Result<std::vector<Duration>> make_schedule(const ScheduleOptions& options) {
  GALLEY_TRY(check(options));
  std::mt19937_64 random(options.seed);
  const double scale = 1e9 / options.rate / static_cast<double>(Gaps{1} << places);
  std::vector<Duration> times;
  times.reserve(options.requests);
  Gaps at = 0;
  for (std::size_t i = 0; i < options.requests; ++i) {
    at += options.arrivals == Arrivals::constant ? Gaps{1} << places : exponential(random);
    const Duration even(static_cast<Duration::rep>(static_cast<double>(at) * scale));
    times.push_back(options.arrivals == Arrivals::bursty ? burst(even) : even);
  }
  return times;
}

}  // namespace galley::inline v1::load
