// Finite: the check that no number is NaN or infinite.
#pragma once

#include <galley/policy/check.hpp>
#include <galley/policy/check/elements.hpp>

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

namespace galley::inline v1 {

namespace detail {

/// True of a NaN or an infinity: the exponent's bits are all set. By bits, whatever the compiler
/// was told of finite mathematics.
struct NotFinite {
  constexpr bool operator()(float x) const noexcept {
    return (std::bit_cast<std::uint32_t>(x) & 0x7f800000U) == 0x7f800000U;
  }
  constexpr bool operator()(double x) const noexcept {
    return (std::bit_cast<std::uint64_t>(x) & 0x7ff0000000000000U) == 0x7ff0000000000000U;
  }
  constexpr bool operator()(F16 x) const noexcept { return (x.bits & 0x7c00U) == 0x7c00U; }
  constexpr bool operator()(BF16 x) const noexcept { return (x.bits & 0x7f80U) == 0x7f80U; }
  template <class T>
    requires(std::integral<T>)
  constexpr bool operator()(T) const noexcept {
    return false;
  }
};

struct FiniteTest {
  template <class T>
  bool all(const T* at, std::size_t count) const {
    if constexpr (std::integral<T>) return true;
    return none_of(at, count, NotFinite{});
  }
  template <class T>
  std::optional<Error> fault(T x) const {
    if (!NotFinite{}(x)) return std::nullopt;
    return Error(Status::invalid_argument, std::string("expected a finite number, got ") + name(x));
  }

 private:
  static const char* name(bool negative, bool is_nan) {
    return is_nan ? "nan" : negative ? "-inf" : "inf";
  }
  static const char* name(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    return name((bits >> 31U) != 0, (bits & 0x7fffffU) != 0);
  }
  static const char* name(double x) {
    const auto bits = std::bit_cast<std::uint64_t>(x);
    return name((bits >> 63U) != 0, (bits & 0xfffffffffffffU) != 0);
  }
  static const char* name(F16 x) { return name((x.bits >> 15U) != 0, (x.bits & 0x3ffU) != 0); }
  static const char* name(BF16 x) { return name((x.bits >> 15U) != 0, (x.bits & 0x7fU) != 0); }
  template <class T>
    requires(std::integral<T>)
  static const char* name(T) {
    return "";
  }
};

}  // namespace detail

/// Every number of the row is finite; integers are.
///
/// Errors  invalid_argument: the first that is not, or a tensor not in host memory
/// Cost    one pass at the speed of vector instructions; over a block, one for all rows
struct Finite {
  template <NumericRow In>
  Result<void> check(const In& row) const {
    return detail::check_elements(detail::FiniteTest{}, row);
  }
  template <NumericRow In>
  bool passes(const Rows<In>& rows) const {
    return detail::all_elements_pass(detail::FiniteTest{}, rows);
  }
  std::string text() const { return "finite"; }
};

/// Every number is neither NaN nor infinite.
constexpr Finite finite() {
  return {};
}

}  // namespace galley::inline v1
