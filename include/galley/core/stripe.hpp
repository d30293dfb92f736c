// Stripes: several copies of a count, so that threads do not share its cache line.
#pragma once

#include <cstddef>
#include <cstdint>

namespace galley::inline v1::detail {

inline constinit thread_local char thread_mark = 0;

/// Spreads threads over n stripes by where their thread-local memory lies.
inline std::size_t this_thread_stripe(std::size_t n) noexcept {
  return (reinterpret_cast<std::uintptr_t>(&thread_mark) >> 12) % n;
}

}  // namespace galley::inline v1::detail
