// How checks of numbers look through a row: a number, a range of numbers, or a tensor.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/strided.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/core/text.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

/// A row of numbers that checks can look through: a number, a contiguous range of them, or a
/// tensor.
template <class In>
concept NumericRow = Element<In> || std::same_as<In, Tensor> || ElementRange<const In>;

namespace detail {

/// The bits of a float16 and of a bfloat16, which C++20 has no types for.
struct F16 {
  std::uint16_t bits;
};
struct BF16 {
  std::uint16_t bits;
};

inline std::string element_value_text(double number) {
  char digits[32];
  const int length = std::snprintf(digits, sizeof digits, "%.9g", number);
  return std::string(digits, static_cast<std::size_t>(length));
}

// A test of elements has `bool all(const T*, std::size_t)`, quick, and
// `std::optional<Error> fault(T)`, which is why one is not fit.

template <class T, class Test>
Result<void> check_run(const Test& test, const T* at, std::int64_t count, std::int64_t stride,
                       std::int64_t first) {
  if (stride == 1 && test.all(at, static_cast<std::size_t>(count))) return {};
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::optional<Error> wrong = test.fault(at[i * stride]); wrong.has_value()) {
      return within("element " + std::to_string(first + i), *std::move(wrong));
    }
  }
  return {};
}

template <class T, class Test>
Result<void> check_elements_of(const Test& test, const Tensor& row) {
  Result<void> good;
  std::int64_t first = 0;
  Strides strides{};
  std::ranges::copy(row.strides(), strides.begin());
  for_each_run(row.shape().extents(), strides, [&](const Run& run) {
    good = check_run(test, static_cast<const T*>(row.data()) + run.offset, run.count, run.stride,
                     first);
    first += run.count;
    return good.has_value();
  });
  return good;
}

template <class Test>
Result<void> check_elements(const Test& test, const Tensor& row) {
  if (!row.is_defined() || !row.device().is_cpu()) {
    return Error(Status::invalid_argument,
                 "expected elements in host memory, got " + to_string(row));
  }
  switch (row.dtype()) {
    case DType::f32:
      return check_elements_of<float>(test, row);
    case DType::f64:
      return check_elements_of<double>(test, row);
    case DType::f16:
      return check_elements_of<F16>(test, row);
    case DType::bf16:
      return check_elements_of<BF16>(test, row);
    case DType::i8:
      return check_elements_of<std::int8_t>(test, row);
    case DType::i16:
      return check_elements_of<std::int16_t>(test, row);
    case DType::i32:
      return check_elements_of<std::int32_t>(test, row);
    case DType::i64:
      return check_elements_of<std::int64_t>(test, row);
    default:
      return check_elements_of<std::uint8_t>(test, row);  // bool is a byte, 0 or 1
  }
}

template <class Test, Element T>
Result<void> check_elements(const Test& test, const T& row) {
  if (std::optional<Error> wrong = test.fault(row); wrong.has_value()) return *std::move(wrong);
  return {};
}

template <class Test, ElementRange R>
Result<void> check_elements(const Test& test, const R& row) {
  return check_run(test, std::data(row), static_cast<std::int64_t>(std::size(row)), 1, 0);
}

/// True where `rows` lie in one piece and are all fit.
template <class Test, class In>
bool all_elements_pass(const Test& test, const Rows<In>& rows) {
  if constexpr (std::same_as<In, Tensor>) {
    return rows.block() != nullptr && check_elements(test, *rows.block()).has_value();
  } else if constexpr (Element<In> && requires { rows.span(); }) {
    return test.all(rows.span().data(), rows.size());
  } else {
    return false;
  }
}

/// True when `is_bad` is of no element: in steps of as many as vector instructions take at once, so
/// that the compiler uses them, and that a bad element ends it early.
template <class T, class IsBad>
bool none_of(const T* at, std::size_t count, IsBad&& is_bad) {
  constexpr std::size_t step = 64;
  std::size_t i = 0;
  for (; i + step <= count; i += step) {
    unsigned bad = 0;
    for (std::size_t k = 0; k < step; ++k) bad |= static_cast<unsigned>(is_bad(at[i + k]));
    if (bad != 0) return false;
  }
  unsigned bad = 0;
  for (; i < count; ++i) bad |= static_cast<unsigned>(is_bad(at[i]));
  return bad == 0;
}

}  // namespace detail
}  // namespace galley::inline v1
