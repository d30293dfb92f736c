// When requests arrive.
#pragma once

#include <sim/random.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bench::sim {

enum class Process : std::uint8_t {
  poisson,   ///< Independent of each other.
  bursty,    ///< Poisson, by turns 50 ms at 1.5 times and 50 ms at half the rate.
  constant,  ///< One after each gap.
};

constexpr std::string_view name_of(Process process) {
  constexpr std::string_view names[] = {"Poisson", "bursty", "constant"};
  return names[static_cast<std::size_t>(process)];
}

/// `count` times of arrival from 0 on, `gap` apart in the mean.
std::vector<Duration> arrivals(Process process, Duration gap, std::size_t count,
                               std::uint64_t seed);

}  // namespace bench::sim
