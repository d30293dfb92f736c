// ByKey: a route policy that takes the key from the row itself.
#pragma once

#include <galley/policy/route.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

/// Routes by `then`, as if `part` of each row were its key: for rows that say themselves whose they
/// are. The keys beside the rows stay what they are.
template <class Part, RoutePolicy Then>
struct ByKey {
  static constexpr const char* name = "by_key";
  Part part;
  Then then;

  RouteTexts about() const {
    RouteTexts texts;
    if (!route_name(then).empty()) texts.emplace_back("then", route_name(then));
    if constexpr (requires { then.about(); }) {
      for (auto& text : then.about()) texts.push_back(std::move(text));
    }
    return texts;
  }
  constexpr RouteWeights weights() const { return weights_of(then); }
  constexpr RouteInput input() const {
    return then.input() == RouteInput::chance ? RouteInput::chance : RouteInput::request;
  }

  template <class In>
    requires(std::convertible_to<
             decltype(std::invoke(std::declval<const Part&>(), std::declval<In>())), Key>)
  Result<std::size_t> operator()(const In& row, const RouteView& view) const {
    RouteView keyed = view;
    keyed.key = static_cast<Key>(std::invoke(part, row));
    return then.route(keyed);
  }
};

/// The key is `part` of the row, a member pointer or a function of it.
///
/// Example  by_key(&Order::user, sticky({0.95, 0.05}))
template <class Part, RoutePolicy Then>
ByKey<Part, Then> by_key(Part part, Then then) {
  return {std::move(part), std::move(then)};
}

}  // namespace galley::inline v1
