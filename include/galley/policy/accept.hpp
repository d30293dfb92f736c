// Acceptance: whether an answer is good enough to stay, or a better servable is asked.
#pragma once

#include <galley/core/result.hpp>

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

/// Says of an answer whether a cascade keeps it: a function of the answer, or of the level's
/// number, counted from 0, and the answer; gives a `bool` or a `Result<bool>`, whose error becomes
/// the row's. Shipped: `policy/accept/confident.hpp`, `policy/accept/margin.hpp`.
///
/// Pure: no clock, no lock, no state; called on whatever thread has the answer.
template <class A, class Out>
concept AcceptPolicy = std::move_constructible<A> &&
                       (
                           requires(const A& accept, const Out& answer) {
                             { accept(answer) } -> std::convertible_to<Result<bool>>;
                           } ||
                           requires(const A& accept, std::size_t level, const Out& answer) {
                             { accept(level, answer) } -> std::convertible_to<Result<bool>>;
                           });

}  // namespace galley::inline v1
