// Shape: the extents of a tensor, some of which may be free.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/result.hpp>
#include <galley/core/text.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace galley::inline v1 {

/// A free dimension: in a pattern, any extent fits it.
inline constexpr std::int64_t any = -1;

namespace detail {
/// True when a * b is below 2⁶³; both are at least 0. Divides only for large numbers.
constexpr bool product_fits(std::int64_t a, std::int64_t b) noexcept {
  constexpr std::int64_t small = std::int64_t{1} << 31;
  return (a < small && b < small) || b == 0 || a <= std::numeric_limits<std::int64_t>::max() / b;
}
}  // namespace detail

/// Says that the caller vouches for what is otherwise checked. For backends, whose own tensors keep
/// the rules.
struct Unchecked {
  explicit Unchecked() = default;
};

/// Up to eight extents, outermost first, held inline; rank 0 is a scalar.
///
/// A shape with a free dimension (`any`) is a pattern; memory has a shape without one.
///
/// Threads  thread-compatible
/// Cost     nine words, trivially copied; never allocates
class Shape {
 public:
  static constexpr std::size_t max_rank = 8;

  /// A scalar's shape.
  constexpr Shape() = default;

  /// These extents; a negative one is free. More than `max_rank` of them do not compile.
  template <std::integral... Extents>
    requires(sizeof...(Extents) >= 1 && sizeof...(Extents) <= max_rank)
  constexpr Shape(Extents... extents) noexcept  // NOLINT: {1, 8, 8} is a shape
      : extents_{free_if_negative(static_cast<std::int64_t>(extents))...},
        rank_(sizeof...(Extents)) {}

  /// Extents that a backend vouches for: at most `max_rank`, each at least 0.
  constexpr Shape(Unchecked, std::span<const std::int64_t> extents) noexcept
      : rank_(static_cast<std::uint8_t>(extents.size())) {
    GALLEY_ASSERT(extents.size() <= max_rank);
    std::copy(extents.begin(), extents.end(), extents_.begin());
  }

  /// Extents known at run time, each at least 0 or `any`.
  ///
  /// Errors  invalid_argument: too many extents, or one below `any`
  static Result<Shape> of(std::span<const std::int64_t> extents);

  constexpr std::size_t rank() const noexcept { return rank_; }
  constexpr std::span<const std::int64_t> extents() const noexcept {
    return {extents_.data(), rank_};
  }
  constexpr std::int64_t operator[](std::size_t dimension) const noexcept {
    GALLEY_ASSERT(dimension < rank_);
    return extents_[dimension];
  }

  /// Becomes a scalar's, the cheapest way.
  constexpr void make_scalar() noexcept { rank_ = 0; }

  /// True when no dimension is free.
  constexpr bool is_fixed() const noexcept {
    for (const std::int64_t extent : extents()) {
      if (extent < 0) return false;
    }
    return true;
  }

  /// How many elements; none when a dimension is free or the count exceeds 2⁶³ - 1. The extents
  /// of an empty shape are bounded too, an extent of 0 counting as 1: strides never overflow.
  constexpr std::optional<std::int64_t> numel() const noexcept {
    std::int64_t product = 1;
    bool has_zero = false;
    for (std::int64_t extent : extents()) {
      if (extent < 0) return std::nullopt;
      if (extent == 0) {
        has_zero = true;
      } else if (detail::product_fits(product, extent)) {
        product *= extent;
      } else {
        return std::nullopt;
      }
    }
    return has_zero ? 0 : product;
  }

  /// True when the ranks agree and each extent equals that of `pattern` or is free there.
  constexpr bool matches(const Shape& pattern) const noexcept {
    if (rank_ != pattern.rank_) return false;
    for (std::size_t d = 0; d < rank_; ++d) {
      if (pattern.extents_[d] != any && pattern.extents_[d] != extents_[d]) return false;
    }
    return true;
  }

  /// True when this is the shape of a block whose rows match `pattern`: [n, *F] and [*F].
  constexpr bool rows_match(const Shape& pattern) const noexcept {
    if (rank_ != pattern.rank_ + 1) return false;
    for (std::size_t d = 0; d < pattern.rank_; ++d) {
      if (pattern.extents_[d] != any && pattern.extents_[d] != extents_[d + 1]) return false;
    }
    return true;
  }

  /// The shape of a block of `rows` such rows: [*F] -> [rows, *F].
  ///
  /// Errors  invalid_argument: this shape has `max_rank` already
  Result<Shape> batch_shape(std::int64_t rows = any) const;

  /// The shape of one row of such a block: [n, *F] -> [*F]; a scalar's is a scalar.
  constexpr Shape row_shape() const noexcept {
    Shape row;
    if (rank_ == 0) return row;
    for (std::size_t d = 1; d < rank_; ++d) row.extents_[d - 1] = extents_[d];
    row.rank_ = static_cast<std::uint8_t>(rank_ - 1);
    return row;
  }

  /// The shape of a block of the same rows, but `rows` of them: [m, *F] -> [rows, *F]; a scalar's
  /// is a scalar.
  constexpr Shape with_rows(std::int64_t rows) const noexcept {
    Shape other = *this;
    if (rank_ > 0) other.extents_[0] = free_if_negative(rows);
    return other;
  }

  friend constexpr bool operator==(const Shape& a, const Shape& b) noexcept {
    return a.rank() == b.rank() &&
           std::equal(a.extents().begin(), a.extents().end(), b.extents().begin());
  }

 private:
  static constexpr std::int64_t free_if_negative(std::int64_t extent) noexcept {
    return extent < 0 ? any : extent;
  }

  std::array<std::int64_t, max_rank> extents_{};
  std::uint8_t rank_ = 0;
};

/// "[1, 8, 8]", a free dimension as "?".
inline std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::int64_t extent : shape.extents()) {
    if (text.size() > 1) text.append(", ");
    if (extent == any) {
      text.append("?");
    } else {
      text.append(std::to_string(extent));
    }
  }
  return text.append("]");
}

// ---- implementation ----------------------------------------------------------------------------

inline Result<Shape> Shape::of(std::span<const std::int64_t> extents) {
  if (extents.size() > max_rank) {
    return Error(Status::invalid_argument, detail::text({"shape: expected at most 8 extents, got ",
                                                         std::to_string(extents.size())}));
  }
  Shape shape;
  for (std::int64_t extent : extents) {
    if (extent < any) {
      return Error(Status::invalid_argument,
                   detail::text({"shape: expected extents of 0 or more, or -1 for a free one, got ",
                                 std::to_string(extent)}));
    }
    shape.extents_[shape.rank_++] = extent;
  }
  return shape;
}

inline Result<Shape> Shape::batch_shape(std::int64_t rows) const {
  if (rank_ == max_rank) {
    return Error(Status::invalid_argument,
                 detail::text({"a row to be put in a block: expected at most 7 extents, got ",
                               to_string(*this)}));
  }
  Shape batch;
  batch.extents_[0] = free_if_negative(rows);
  std::copy_n(extents_.begin(), rank_, batch.extents_.begin() + 1);
  batch.rank_ = static_cast<std::uint8_t>(rank_ + 1);
  return batch;
}

}  // namespace galley::inline v1
