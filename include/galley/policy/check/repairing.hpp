// Repairing and Answering: checks that do more than refuse.
#pragma once

#include <galley/core/result.hpp>

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

namespace detail {

template <class A, class T>
inline constexpr bool is_repair =
    std::same_as<A, T> || std::same_as<A, std::optional<T>> || std::same_as<A, Result<T>> ||
    std::same_as<A, Result<std::optional<T>>>;
template <class A, class T>
inline constexpr bool is_early_answer =
    std::same_as<A, std::optional<T>> || std::same_as<A, Result<std::optional<T>>>;

/// Any answer of a repair or an early answer as the fullest of its forms.
template <class T>
Result<std::optional<T>> repaired(T&& row)
  requires(!std::is_lvalue_reference_v<T>)
{
  return std::optional<T>(std::forward<T>(row));
}
template <class T>
Result<std::optional<T>> repaired(std::optional<T>&& row) {
  return std::move(row);
}
template <class T>
Result<std::optional<T>> repaired(Result<T>&& row) {
  if (!row.has_value()) return std::move(row).error();
  return std::optional<T>(*std::move(row));
}
template <class T>
Result<std::optional<T>> repaired(Result<std::optional<T>>&& row) {
  return std::move(row);
}

}  // namespace detail

/// A check that mends: the servable gets what `repair` makes of the row.
template <class F>
struct Repairing {
  F repair;
};

/// A check that answers: the servable does not see rows that `answer` has an answer for.
template <class F>
struct Answering {
  F answer;
};

/// Mends rows by `f(const In&)`, which answers an In, or an optional one, with none for a row that
/// is fit as it is; or a `Result` of either, its error the row's.
///
/// Cost     while no row is mended, nothing but f; else the batch is written anew
template <class F>
Repairing<F> repairing(F f) {
  return {std::move(f)};
}

/// Answers rows by `f(const In&)`, which gives an optional Out, with none for a row that is to go
/// on; or a `Result` of that, its error the row's.
template <class F>
Answering<F> answering(F f) {
  return {std::move(f)};
}

/// A `Repairing` for rows of In.
template <class C, class In>
concept RowRepair = requires(const C& check, const In& row) {
  requires detail::is_repair<std::remove_cvref_t<decltype(check.repair(row))>, In>;
};

/// An `Answering` for rows of In that become Out.
template <class C, class In, class Out>
concept RowAnswer = requires(const C& check, const In& row) {
  requires detail::is_early_answer<std::remove_cvref_t<decltype(check.answer(row))>, Out>;
};

}  // namespace galley::inline v1
