// Strided: walks the elements of strided memory in row-major order.
#pragma once

#include <galley/core/shape.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>

namespace galley::inline v1 {

/// Steps from one element to the next along each dimension, counted in elements.
using Strides = std::array<std::int64_t, Shape::max_rank>;

namespace detail {

/// The strides of dense row-major memory; `shape` has a numel().
constexpr Strides row_major_strides(const Shape& shape) noexcept {
  Strides strides{};
  std::int64_t step = 1;
  for (std::size_t d = shape.rank(); d-- > 0;) {
    strides[d] = step;
    if (shape[d] > 1) step *= shape[d];
  }
  return strides;
}

/// True when row-major order visits the memory from front to back without a gap.
constexpr bool is_row_major(std::span<const std::int64_t> extents, const Strides& strides) {
  std::int64_t step = 1;
  for (std::size_t d = extents.size(); d-- > 0;) {
    if (extents[d] == 0) return true;
    if (extents[d] == 1) continue;
    if (strides[d] != step) return false;
    step *= extents[d];
  }
  return true;
}

/// How many elements the memory must hold for the last one to lie within; none beyond 2⁶³ - 1.
constexpr std::optional<std::int64_t> elements_spanned(const Shape& shape, const Strides& strides) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  std::int64_t last = 0;
  for (std::size_t d = 0; d < shape.rank(); ++d) {
    if (shape[d] == 0) return 0;
    const std::int64_t steps = shape[d] - 1;
    if (!product_fits(steps, strides[d]) || last > most - 1 - steps * strides[d]) {
      return std::nullopt;
    }
    last += steps * strides[d];
  }
  return last + 1;
}

/// A run of elements at equal steps: the innermost loop over strided memory.
struct Run {
  std::int64_t offset = 0;  // of the first, in elements
  std::int64_t count = 0;
  std::int64_t stride = 1;
};

/// Visits all elements in row-major order as the longest runs there are, until `visit(run)` is
/// false; dense memory is one run. True when all were visited.
template <class Visit>
bool for_each_run(std::span<const std::int64_t> extents, const Strides& strides, Visit&& visit) {
  for (std::int64_t extent : extents) {
    if (extent == 0) return true;
  }
  Run run{0, 1, 1};
  std::size_t outer = extents.size();
  for (; outer > 0; --outer) {
    const std::int64_t extent = extents[outer - 1];
    if (extent == 1) continue;
    if (run.count == 1) {
      run.stride = strides[outer - 1];
    } else if (strides[outer - 1] != run.stride * run.count) {
      break;
    }
    run.count *= extent;
  }
  std::array<std::int64_t, Shape::max_rank> at{};
  for (;;) {
    if (!visit(run)) return false;
    std::size_t d = outer;
    for (; d > 0; --d) {
      run.offset += strides[d - 1];
      if (++at[d - 1] < extents[d - 1]) break;
      run.offset -= strides[d - 1] * extents[d - 1];
      at[d - 1] = 0;
    }
    if (d == 0) return true;
  }
}

template <std::size_t element>
void copy_run(std::byte*& to, const std::byte* from, const Run& run) {
  for (std::int64_t i = 0; i < run.count; ++i, to += element) {
    std::memcpy(to, from + i * run.stride * static_cast<std::int64_t>(element), element);
  }
}

/// Copies strided elements to dense row-major memory.
inline void copy_strided(std::byte* to, const std::byte* from, std::size_t element,
                         std::span<const std::int64_t> extents, const Strides& strides) {
  for_each_run(extents, strides, [&](const Run& run) {
    const std::byte* first = from + run.offset * static_cast<std::int64_t>(element);
    if (run.stride == 1) {
      const std::size_t bytes = static_cast<std::size_t>(run.count) * element;
      std::memcpy(to, first, bytes);
      to += bytes;
    } else if (element == 1) {
      copy_run<1>(to, first, run);
    } else if (element == 2) {
      copy_run<2>(to, first, run);
    } else if (element == 4) {
      copy_run<4>(to, first, run);
    } else {
      copy_run<8>(to, first, run);
    }
    return true;
  });
}

/// True when two strided memories of the same extents hold the same bytes.
inline bool equal_strided(const std::byte* a, const Strides& a_strides, const std::byte* b,
                          const Strides& b_strides, std::size_t element,
                          std::span<const std::int64_t> extents) {
  for (std::int64_t extent : extents) {
    if (extent == 0) return true;
  }
  const auto bytes = static_cast<std::int64_t>(element);
  std::array<std::int64_t, Shape::max_rank> at{};
  std::int64_t in_a = 0;
  std::int64_t in_b = 0;
  for (;;) {
    if (std::memcmp(a + in_a * bytes, b + in_b * bytes, element) != 0) return false;
    std::size_t d = extents.size();
    for (; d > 0; --d) {
      in_a += a_strides[d - 1];
      in_b += b_strides[d - 1];
      if (++at[d - 1] < extents[d - 1]) break;
      in_a -= a_strides[d - 1] * extents[d - 1];
      in_b -= b_strides[d - 1] * extents[d - 1];
      at[d - 1] = 0;
    }
    if (d == 0) return true;
  }
}

}  // namespace detail
}  // namespace galley::inline v1
