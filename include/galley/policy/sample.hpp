// Sample: whether something is among a share of all.
#pragma once

#include <galley/policy/hash.hpp>

#include <cstdint>

namespace galley::inline v1 {

/// True for `share` (0 to 1) of all numbers: hashed counters give a sample of requests, keys one
/// that a key is always or never in. Another `seed` gives another sample; a larger share contains a
/// smaller one.
constexpr bool is_sampled(std::uint64_t number, double share, std::uint64_t seed) noexcept {
  return unit_interval(mix64(number ^ mix64(seed))) < share;
}

}  // namespace galley::inline v1
