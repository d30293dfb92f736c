// Always: the route policy that has made up its mind.
#pragma once

#include <galley/policy/route.hpp>

#include <cstddef>
#include <string>

namespace galley::inline v1 {

/// Sends every row to one arm.
///
/// Errors  internal (the route's): there is no such arm
struct Always {
  static constexpr const char* name = "always";
  std::size_t arm = 0;

  RouteTexts about() const { return {{"arm", std::to_string(arm)}}; }
  constexpr RouteInput input() const { return RouteInput::weights; }
  constexpr std::size_t route(const RouteView&) const { return arm; }
};

/// Every row to arm `arm`.
constexpr Always always(std::size_t arm) {
  return {arm};
}

}  // namespace galley::inline v1
