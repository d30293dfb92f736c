// AllOf: several checks as one.
#pragma once

#include <galley/policy/check.hpp>

#include <cstddef>
#include <string>
#include <tuple>
#include <utility>

namespace galley::inline v1 {

/// Every one of the checks finds the row fit; the error is the first's that does not.
template <class... Checks>
struct AllOf {
  std::tuple<Checks...> checks;

  template <class In>
    requires((RowCheck<Checks, In> && ...))
  Result<void> check(const In& row) const {
    Result<void> good;
    const auto ask = [&](const auto& one) {
      good = check_row(one, row);
      return good.has_value();
    };
    std::apply([&](const auto&... each) { return (ask(each) && ...); }, checks);
    return good;
  }
  template <class In>
    requires((RowCheck<Checks, In> && ...))
  bool passes(const Rows<In>& rows) const {
    return std::apply([&](const auto&... each) { return (passes_rows(each, rows) && ...); },
                      checks);
  }
  std::string text() const {
    std::string all;
    const auto add = [&](const std::string& one) {
      all.append(all.empty() ? "" : ", ").append(one.empty() ? "a function" : one);
    };
    std::apply([&](const auto&... each) { (add(detail::check_text(each)), ...); }, checks);
    return all;
  }
};

/// All of `checks`, in this order.
///
/// Example  all_of(dtype_is(f32), shape_is({1, 8, 8}), finite())
template <class... Checks>
AllOf<Checks...> all_of(Checks... checks) {
  return {{std::move(checks)...}};
}

}  // namespace galley::inline v1
