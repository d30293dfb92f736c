// ByContext: the route policy whose weights depend on who asks.
#pragma once

#include <galley/policy/route.hpp>
#include <galley/policy/route/by_weight.hpp>

#include <concepts>
#include <cstddef>
#include <utility>

namespace galley::inline v1 {

/// Splits rows by the weights that `weights_for` has for them, as `then` does: at random, or by
/// key.
///
/// `weights_for` is a pure function of what a view says of the request: key, priority and number of
/// the request. It may throw, which is the row's `internal` error.
///
/// Errors  internal: weights that are none for so many arms, or all zero; else as `then`
/// Cost    `weights_for`'s and `then`'s
/// Example by_context([](const RouteView& row) {
///           return row.priority > 0 ? RouteWeights{0, 1} : RouteWeights{9, 1};
///         })
template <class F, RoutePolicy Then = ByWeight>
  requires(std::regular_invocable<const F&, const RouteView&>)
struct ByContext {
  static constexpr const char* name = "by_context";
  F weights_for;
  Then then = {};

  RouteTexts about() const {
    RouteTexts texts;
    if (!route_name(then).empty()) texts.emplace_back("then", route_name(then));
    if constexpr (requires { then.about(); }) {
      for (auto& text : then.about()) texts.push_back(std::move(text));
    }
    return texts;
  }
  constexpr RouteInput input() const {
    return then.input() == RouteInput::weights ? RouteInput::request : then.input();
  }

  Result<std::size_t> route(const RouteView& view) const {
    const RouteWeights weights = weights_for(view);
    if (Result<void> good = weights.check(view.arms); !good.has_value()) {
      return Error(Status::internal, std::move(good).error().detail);
    }
    RouteView weighted = view;
    weighted.weights = weights.span();
    return then.route(weighted);
  }
};

/// A split by weights that depend on the request: `weights_for(const RouteView&)` answers
/// `RouteWeights`.
template <class F, RoutePolicy Then = ByWeight>
  requires(std::regular_invocable<const F&, const RouteView&>)
ByContext<F, Then> by_context(F weights_for, Then then = {}) {
  return {std::move(weights_for), std::move(then)};
}

}  // namespace galley::inline v1
