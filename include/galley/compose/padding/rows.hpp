// How rows are filled up into a block, and their answers cut back.
#pragma once

#include <galley/core/dtype.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/result.hpp>
#include <galley/core/shape.hpp>
#include <galley/core/strided.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/core/text.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace galley::inline v1::detail {

/// The bytes of one element.
using ElementBytes = std::array<std::byte, 8>;

template <class T>
std::optional<ElementBytes> bytes_of(T value) {
  ElementBytes bytes{};
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

template <class T>
std::optional<ElementBytes> integer_bytes(double value) {
  constexpr double least = static_cast<double>(std::numeric_limits<T>::min());
  constexpr double beyond = 2.0 * static_cast<double>(T{1} << (std::numeric_limits<T>::digits - 1));
  if (!(value >= least && value < beyond) || value != std::trunc(value)) return std::nullopt;
  return bytes_of(static_cast<T>(value));
}

/// `value` with that many bits of exponent and fraction, to nearest, ties to even (IEEE 754).
inline std::uint16_t to_16_bits(double value, int exponent_bits, int fraction_bits) {
  const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000U : 0U);
  const unsigned inf = ((1U << exponent_bits) - 1) << fraction_bits;
  const double size = std::fabs(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | inf | 1U << (fraction_bits - 1));
  if (std::isinf(value)) return static_cast<std::uint16_t>(sign | inf);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = size == 0 ? 1 - bias : std::max(std::ilogb(size), 1 - bias);
  // Of a number that is not subnormal the leading one counts into the exponent, as does a carry.
  const double fraction = std::nearbyint(std::ldexp(size, fraction_bits - exponent));
  const double bits = fraction + std::ldexp(exponent + bias - 1, fraction_bits);
  return static_cast<std::uint16_t>(sign | static_cast<unsigned>(std::min<double>(bits, inf)));
}

/// The number that those bits are.
inline double from_16_bits(std::uint16_t bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1);
  const int fraction = bits & ((1 << fraction_bits) - 1);
  double size = 0;
  if (exponent == (1 << exponent_bits) - 1) {
    size = fraction == 0 ? std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  } else {
    const int leading = exponent == 0 ? 0 : 1 << fraction_bits;
    size = std::ldexp(leading + fraction, std::max(exponent, 1) - bias - fraction_bits);
  }
  return (bits & 0x8000U) != 0 ? -size : size;
}

/// The element of `dtype` that is `value`; none where there is no such element.
inline std::optional<ElementBytes> element_of(DType dtype, double value) {
  switch (dtype) {
    case DType::f32:
      return bytes_of(static_cast<float>(value));
    case DType::f64:
      return bytes_of(value);
    case DType::f16:
      return bytes_of(to_16_bits(value, 5, 10));
    case DType::bf16:
      return bytes_of(to_16_bits(value, 8, 7));
    case DType::i8:
      return integer_bytes<std::int8_t>(value);
    case DType::i16:
      return integer_bytes<std::int16_t>(value);
    case DType::i32:
      return integer_bytes<std::int32_t>(value);
    case DType::i64:
      return integer_bytes<std::int64_t>(value);
    case DType::u8:
      return integer_bytes<std::uint8_t>(value);
    case DType::boolean:
      return value == 0 || value == 1 ? bytes_of(value == 1) : std::nullopt;
  }
  return std::nullopt;
}

template <class T>
T element_at(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// The element at `at`, as near as a double comes.
inline double number_at(DType dtype, const std::byte* at) {
  switch (dtype) {
    case DType::f32:
      return static_cast<double>(element_at<float>(at));
    case DType::f64:
      return element_at<double>(at);
    case DType::f16:
      return from_16_bits(element_at<std::uint16_t>(at), 5, 10);
    case DType::bf16:
      return from_16_bits(element_at<std::uint16_t>(at), 8, 7);
    case DType::i8:
      return element_at<std::int8_t>(at);
    case DType::i16:
      return element_at<std::int16_t>(at);
    case DType::i32:
      return element_at<std::int32_t>(at);
    case DType::i64:
      return static_cast<double>(element_at<std::int64_t>(at));
    default:
      return element_at<std::uint8_t>(at);
  }
}

inline std::string number_text(double number) {
  char digits[32];
  const int length = std::snprintf(digits, sizeof digits, "%.9g", number);
  return std::string(digits, static_cast<std::size_t>(length));
}

/// `shape` with that extent along `axis`.
inline Shape with_length(const Shape& shape, std::size_t axis, std::int64_t length) {
  std::array<std::int64_t, Shape::max_rank> extents{};
  std::copy_n(shape.extents().begin(), shape.rank(), extents.begin());
  extents[axis] = length;
  return Shape(Unchecked{}, std::span(extents.data(), shape.rank()));
}

inline void fill(std::byte* to, std::size_t bytes, std::size_t element, const ElementBytes& value) {
  if (value == ElementBytes{}) {
    std::memset(to, 0, bytes);
    return;
  }
  for (std::size_t i = 0; i < bytes; i += element) std::memcpy(to + i, value.data(), element);
}

/// Writes `row`, in host memory, as a dense row that is `length` long along `axis`, not less than
/// it is; what lies beyond its own length is `value`.
inline void write_padded(std::byte* to, const Tensor& row, std::size_t axis, std::int64_t length,
                         const ElementBytes& value) {
  if (row.numel() == 0) return;  // and so is what is written: its length is not 0
  const std::size_t element = size_of(row.dtype());
  const std::span<const std::int64_t> extents = row.shape().extents();
  const std::span<const std::int64_t> strides = row.strides();
  std::int64_t outer = 1;  // pieces that are dense in what is written
  for (const std::int64_t extent : extents.first(axis)) outer *= extent;
  const std::size_t whole =
      static_cast<std::size_t>(row.numel() / extents[axis] / outer * length) * element;
  const std::size_t real = static_cast<std::size_t>(row.numel() / outer) * element;
  Strides inner{};
  std::copy(strides.begin() + static_cast<std::ptrdiff_t>(axis), strides.end(), inner.begin());
  const auto* from = static_cast<const std::byte*>(row.data());
  std::array<std::int64_t, Shape::max_rank> at{};
  std::int64_t offset = 0;
  for (std::int64_t piece = 0; piece < outer; ++piece, to += whole) {
    copy_strided(to, from + offset * static_cast<std::int64_t>(element), element,
                 extents.subspan(axis), inner);
    fill(to + real, whole - real, element, value);
    for (std::size_t d = axis; d-- > 0;) {
      offset += strides[d];
      if (++at[d] < extents[d]) break;
      offset -= strides[d] * extents[d];
      at[d] = 0;
    }
  }
}

/// The first `length` of `answer`'s `padded` along `axis`, sharing its memory.
///
/// Errors  internal: it is not that long
inline Result<Tensor> cut_back(const Tensor& answer, std::size_t axis, std::int64_t padded,
                               std::int64_t length) {
  if (!answer.is_defined() || answer.rank() <= axis || answer.shape()[axis] != padded) {
    return Error(Status::internal,
                 text({"an answer: expected ", std::to_string(padded), " along axis ",
                       std::to_string(axis), ", as the padded row, got ", to_string(answer)}));
  }
  if (length == padded) return answer;
  const Shape shape = with_length(answer.shape(), axis, length);
  if (answer.is_read_only()) {
    return Tensor::adopt(answer.data(), answer.dtype(), shape, answer.strides(), answer.device(),
                         answer.owner());
  }
  Tensor same = answer;
  return Tensor::adopt(same.mutable_data(), same.dtype(), shape, same.strides(), same.device(),
                       same.owner());
}

/// The same for each answer of a batch by `model`; `length_of(i)` is how long row i was.
template <class LengthOf>
Outcomes<Tensor> cut_back(std::string_view model, Outcomes<Tensor> padded, std::size_t axis,
                          std::int64_t length, LengthOf&& length_of, Workspace* workspace) {
  const std::size_t rows = padded.size();
  Rows<Tensor> values(rows, workspace);
  Casualties casualties;
  for (std::size_t i = 0; i < rows; ++i) {
    const auto one = padded[i];
    if (!one.has_value()) {
      casualties.append(i, one.error());
      continue;
    }
    Result<Tensor> cut = cut_back(*one, axis, length, length_of(i));
    if (cut.has_value()) {
      values.push_back(*std::move(cut));
    } else {
      casualties.append(i, within(model, std::move(cut).error()));
    }
  }
  return Outcomes<Tensor>(std::move(values), std::move(casualties));
}

}  // namespace galley::inline v1::detail
