// Checks: whether a row is fit for a servable.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

namespace detail {

/// What a check says of a row: its member `check`, or itself where it is a function.
template <class C, class In>
decltype(auto) ask_check(const C& check, const In& row) {
  if constexpr (requires { check.check(row); }) {
    return check.check(row);
  } else {
    return check(row);
  }
}

template <class A>
concept CheckAnswer = std::same_as<std::remove_cvref_t<A>, bool> ||
                      std::same_as<std::remove_cvref_t<A>, Result<void>>;

template <class C, class In>
concept AsksCheck = requires(const C& check, const In& row) { check.check(row); } ||
                    requires(const C& check, const In& row) { check(row); };

/// What a check is called in a description; empty where it does not say.
template <class C>
std::string check_text(const C& check) {
  if constexpr (requires {
                  { check.text() } -> std::convertible_to<std::string>;
                }) {
    return check.text();
  } else {
    return {};
  }
}

}  // namespace detail

/// Whether a row is fit: a function `f(const In&)`, or a struct whose member `check` is that,
/// answering `Result<void>` or `bool`. Shipped: `policy/check/finite.hpp`, `in_range.hpp`,
/// `shape_is.hpp`, `all_of.hpp`, `field.hpp`.
///
/// 1. It is pure, and callable through const from any thread. It may throw: that is the row's
///    `internal` error.
/// 2. Its error says what is wrong with the row and not where the row is: "element 17 is nan".
/// 3. `passes(const Rows<In>&)`, where it is there, is true only where all these rows are fit: a
///    quick look at a batch in one piece. Where it is false the rows are asked one by one.
/// 4. `text()`, where it is there, is a word for descriptions.
template <class C, class In>
concept RowCheck = std::move_constructible<C> && detail::AsksCheck<C, In> &&
                   requires(const C& check, const In& row) {
                     requires detail::CheckAnswer<decltype(detail::ask_check(check, row))>;
                   };

/// What `check` says of `row`: a `false` becomes an error.
template <class In, RowCheck<In> C>
Result<void> check_row(const C& check, const In& row) {
  if constexpr (std::same_as<std::remove_cvref_t<decltype(detail::ask_check(check, row))>, bool>) {
    if (detail::ask_check(check, row)) return {};
    const std::string what = detail::check_text(check);
    return Error(Status::invalid_argument, what.empty() ? "refused" : "expected " + what);
  } else {
    return detail::ask_check(check, row);
  }
}

/// True where `check` can say at one look that all of `rows` are fit.
template <class In, RowCheck<In> C>
bool passes_rows(const C& check, const Rows<In>& rows) {
  if constexpr (requires {
                  { check.passes(rows) } -> std::same_as<bool>;
                }) {
    return check.passes(rows);
  } else {
    return false;
  }
}

}  // namespace galley::inline v1
