// Field: a check of one part of a row.
#pragma once

#include <galley/policy/check.hpp>

#include <concepts>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

/// What `part` gives of the row is fit; errors name it.
template <class Part, class C>
struct Field {
  std::string name;
  Part part;
  C inner;

  template <class In>
    requires(std::invocable<const Part&, const In&> &&
             RowCheck<C, std::remove_cvref_t<std::invoke_result_t<const Part&, const In&>>>)
  Result<void> check(const In& row) const {
    Result<void> good = check_row(inner, std::invoke(part, row));
    if (!good.has_value()) return within(name, std::move(good).error());
    return good;
  }
  std::string text() const {
    const std::string what = detail::check_text(inner);
    return name + ": " + (what.empty() ? "a function" : what);
  }
};

/// The tensor of that name in a row of named tensors is fit; where there is none, the row is not.
template <class C>
struct NamedField {
  std::string name;
  C inner;

  template <class In>
    requires(requires(const In& row, const std::string& called) { *row.find(called); })
  Result<void> check(const In& row) const {
    const auto* const found = row.find(name);
    if (found == nullptr) {
      return Error(Status::invalid_argument, "expected \"" + name + "\", got none of that name");
    }
    Result<void> good = check_row(inner, *found);
    if (!good.has_value()) return within("\"" + name + "\"", std::move(good).error());
    return good;
  }
  std::string text() const {
    const std::string what = detail::check_text(inner);
    return "\"" + name + "\": " + (what.empty() ? "a function" : what);
  }
};

/// A check of one part of the row, a member pointer or a function of it, called `name` in errors.
///
/// Example  field("age", &Person::age, in_range(0, 150))
template <class Part, class C>
Field<Part, C> field(std::string name, Part part, C check) {
  return {std::move(name), std::move(part), std::move(check)};
}

/// A check of the tensor of that name in a row of named tensors.
///
/// Example  field("pixels", all_of(shape_is({1, 8, 8}), finite()))
template <class C>
NamedField<C> field(std::string name, C check) {
  return {std::move(name), std::move(check)};
}

}  // namespace galley::inline v1
