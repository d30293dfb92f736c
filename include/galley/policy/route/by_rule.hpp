// Route rules: what may say by the row itself which arm it goes to.
#pragma once

#include <galley/core/result.hpp>
#include <galley/policy/route.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

namespace detail {

/// The number of the arm called so, or an error that names those there are.
inline Result<std::size_t> arm_labelled(std::string_view label,
                                        std::span<const std::string> labels) {
  std::string known;
  for (std::size_t arm = 0; arm < labels.size(); ++arm) {
    if (labels[arm] == label) return arm;
  }
  for (const std::string& one : labels) {
    known.append(known.empty() ? "\"" : ", \"").append(one).append("\"");
  }
  return Error(Status::internal,
               "the rule answered \"" + std::string(label) + "\", expected one of " + known);
}

template <class A>
inline constexpr bool is_arm = std::integral<A> || std::is_enum_v<A>;
template <class A>
inline constexpr bool is_arm_answer = is_arm<A> || std::convertible_to<A, std::string_view>;
template <class A>
inline constexpr bool is_arm_answer<Result<A>> = is_arm_answer<A>;

/// What a rule answered, as the number of an arm.
template <class A>
Result<std::size_t> arm_of(A&& answer, std::span<const std::string> labels) {
  if constexpr (is_arm<std::remove_cvref_t<A>>) {
    return static_cast<std::size_t>(answer);
  } else if constexpr (std::convertible_to<A, std::string_view>) {
    return arm_labelled(std::string_view(answer), labels);
  } else {
    if (!answer.has_value()) return std::forward<A>(answer).error();
    return arm_of(*std::forward<A>(answer), labels);
  }
}

template <class F, class In>
concept RuleOfRow = requires(const F& rule, const In& row) {
  requires is_arm_answer<std::remove_cvref_t<decltype(rule(row))>>;
};
template <class F, class In>
concept RuleOfRowAndView = requires(const F& rule, const In& row, const RouteView& view) {
  requires is_arm_answer<std::remove_cvref_t<decltype(rule(row, view))>>;
};

}  // namespace detail

/// `arm f(const In&)`, or `arm f(const In&, const RouteView&)`. An arm is its number (an integer,
/// an enumerator, or a `bool`: the second arm where it is true), its label (anything that converts
/// to `std::string_view`), or a `Result` of either.
///
/// Must be callable through const, from any thread. It may throw: that is the row's error.
template <class F, class In>
concept RouteRule =
    std::move_constructible<F> && (detail::RuleOfRow<F, In> || detail::RuleOfRowAndView<F, In>);

}  // namespace galley::inline v1
