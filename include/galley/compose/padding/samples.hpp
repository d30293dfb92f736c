// Where two answers differ: what padding is checked by.
#pragma once

#include <galley/compose/padding/rows.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/result.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tolerance.hpp>

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>

namespace galley::inline v1 {

/// Compares answers by `==`; where they are tensors, or named tensors, elements of floating types
/// may lie apart by what `Padding::tolerance` says.
struct EqualAnswers {
  template <std::equality_comparable T>
  bool operator()(const T& a, const T& b) const {
    return a == b;
  }
};

namespace detail {

/// The indices of an element, by its number in row-major order: "[2, 0]".
inline std::string element_text(const Shape& shape, std::int64_t element) {
  std::array<std::int64_t, Shape::max_rank> at{};
  for (std::size_t d = shape.rank(); d-- > 0;) {
    at[d] = element % shape[d];
    element /= shape[d];
  }
  return to_string(Shape(Unchecked{}, std::span(at.data(), shape.rank())));
}

inline bool is_near(double a, double b, const Tolerance& tolerance) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return true;
  if (!std::isfinite(a) || !std::isfinite(b)) return false;
  return std::fabs(a - b) <= tolerance.absolute + tolerance.relative * std::fabs(b);
}

/// How `got`, of a padded row, differs from `wanted`, of the row itself; empty where it does not.
inline std::string difference(const Tensor& got, const Tensor& wanted, const Tolerance& tolerance) {
  if (got.is_defined() != wanted.is_defined() || got.dtype() != wanted.dtype() ||
      got.shape() != wanted.shape() || !(got.device() == wanted.device())) {
    return text({"got ", to_string(got), ", unpadded ", to_string(wanted)});
  }
  if (!got.is_defined()) return {};
  const Result<Tensor> a = got.contiguous();
  const Result<Tensor> b = wanted.contiguous();
  if (!got.device().is_cpu() || !a.has_value() || !b.has_value()) {
    return text({"got ", to_string(got), ", whose elements cannot be compared here"});
  }
  const std::size_t size = size_of(got.dtype());
  const auto* at_a = static_cast<const std::byte*>(a->data());
  const auto* at_b = static_cast<const std::byte*>(b->data());
  for (std::int64_t i = 0; i < got.numel(); ++i, at_a += size, at_b += size) {
    if (std::memcmp(at_a, at_b, size) == 0) continue;
    const double x = number_at(got.dtype(), at_a), y = number_at(got.dtype(), at_b);
    if (is_floating(got.dtype()) && is_near(x, y, tolerance)) continue;
    return text({"element ", element_text(got.shape(), i), " is ", number_text(x), ", unpadded ",
                 number_text(y)});
  }
  return {};
}

inline std::string difference(const NamedTensors& got, const NamedTensors& wanted,
                              const Tolerance& tolerance) {
  for (const NamedTensor& one : wanted) {
    const Tensor* same = got.find(one.name);
    const std::string where =
        same == nullptr ? "is not there" : difference(*same, one.tensor, tolerance);
    if (!where.empty()) return text({"\"", one.name, "\": ", where});
  }
  return got.size() == wanted.size() ? std::string() : "it has names that the unpadded has not";
}

/// The same of answers of any type; `same` may throw.
template <class Mode, class Out, class Same>
std::string difference(const Out& got, const Out& wanted, const Tolerance& tolerance,
                       const Same& same) {
  if constexpr (std::same_as<Same, EqualAnswers> &&
                (std::same_as<Out, Tensor> || std::same_as<Out, NamedTensors>)) {
    return difference(got, wanted, tolerance);
  } else {
    const Result<bool> equal = Mode::template call<bool>(
        [&]() -> Result<bool> { return static_cast<bool>(same(got, wanted)); });
    if (!equal.has_value()) return "comparing it " + equal.error().detail;
    return *equal ? std::string() : "got another answer than unpadded";
  }
}

}  // namespace detail

}  // namespace galley::inline v1
