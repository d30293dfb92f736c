// First: the combiner that takes the earliest answer in the members' order.
#pragma once

#include <galley/policy/combine.hpp>

#include <concepts>

namespace galley::inline v1 {

/// The answer of the earliest member, in their order, that has one: the later ones stand in.
///
/// Errors  internal: no member has answered
/// Cost    one copy of the answer
struct First {
  static constexpr const char* name = "first";
  static constexpr bool keeps_only_vote = true;

  template <std::copy_constructible Mid>
  Result<Mid> combine(const Votes<Mid>& votes) const {
    if (const Mid* value = votes.first()) return *value;
    return detail::nobody_voted(name);
  }

  /// Those before it have failed.
  template <class Mid>
  bool decided(const Votes<Mid>& votes) const {
    for (const Vote<Mid>& vote : votes) {
      if (vote.has_value()) return true;
      if (vote.is_open()) return false;
    }
    return false;
  }
};

}  // namespace galley::inline v1
