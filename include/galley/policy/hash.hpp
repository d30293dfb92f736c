// Hashing of 64-bit numbers: where policies take their even spread and their chance from.
#pragma once

#include <cstdint>
#include <string_view>

namespace galley::inline v1 {

/// Mixes the bits of a number: one-to-one, and a change of any bit changes each other with
/// probability a half.
///
/// Cost    about a nanosecond
/// Source  the finaliser of SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014), with its step
constexpr std::uint64_t mix64(std::uint64_t number) noexcept {
  std::uint64_t z = number + 0x9e3779b97f4a7c15U;
  z = (z ^ z >> 30U) * 0xbf58476d1ce4e5b9U;
  z = (z ^ z >> 27U) * 0x94d049bb133111ebU;
  return z ^ z >> 31U;
}

/// The top 53 bits of `bits` as a number in [0, 1).
constexpr double unit_interval(std::uint64_t bits) noexcept {
  return static_cast<double>(bits >> 11U) * 0x1p-53;
}

/// A number for a text, such as the name of an experiment; the same everywhere and always.
///
/// Source  FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo), and `mix64`, because its high bits are weak
constexpr std::uint64_t hash_of(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  return mix64(hash);
}

}  // namespace galley::inline v1
