// InRange: the check that every number lies between two others.
#pragma once

#include <galley/policy/check.hpp>
#include <galley/policy/check/elements.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>

namespace galley::inline v1 {

/// Every number of the row is from `least` to `most`, both included; a NaN is not.
///
/// Numbers are compared as doubles: an int64 beyond 2⁵³ is rounded first.
///
/// Errors  invalid_argument: the first that is not, or a tensor not in host memory; unimplemented:
///         float16 and bfloat16
/// Cost    one pass; over a block, one for all rows
struct InRange {
  double least = 0;
  double most = 1;

  template <NumericRow In>
  Result<void> check(const In& row) const {
    return detail::check_elements(*this, row);
  }
  template <NumericRow In>
  bool passes(const Rows<In>& rows) const {
    return detail::all_elements_pass(*this, rows);
  }
  std::string text() const { return "in " + range(); }

  /// For the look through elements.
  template <class T>
  bool all(const T* at, std::size_t count) const {
    if constexpr (Element<T>) {
      return detail::none_of(at, count, [this](T x) { return is_out(x); });
    } else {
      return false;
    }
  }
  template <class T>
  std::optional<Error> fault(T x) const {
    if constexpr (Element<T>) {
      if (!is_out(x)) return std::nullopt;
      return Error(Status::invalid_argument,
                   "expected a number in " + range() + ", got " +
                       detail::element_value_text(static_cast<double>(x)));
    } else {
      return Error(Status::unimplemented, "the range of 16-bit floating-point numbers");
    }
  }

 private:
  template <class T>
  bool is_out(T x) const {
    const auto wide = static_cast<double>(x);
    // Not &&: both are compared, so that no branch keeps vector instructions out.
    return !(static_cast<unsigned>(wide >= least) & static_cast<unsigned>(wide <= most));
  }
  std::string range() const {
    return "[" + detail::element_value_text(least) + ", " + detail::element_value_text(most) + "]";
  }
};

/// Every number is from `least` to `most`.
constexpr InRange in_range(double least, double most) {
  return {least, most};
}

}  // namespace galley::inline v1
