// ByWeight: the route policy that splits rows at random.
#pragma once

#include <galley/policy/hash.hpp>
#include <galley/policy/route.hpp>

#include <cstddef>
#include <utility>

namespace galley::inline v1 {

/// Sends each row to an arm drawn with the probability of its weight, whatever became of others.
///
/// Errors  none
/// Cost    O(arms)
/// Example tests/policy/route/by_weight_test.cpp
struct ByWeight {
  static constexpr const char* name = "by_weight";
  RouteWeights begin = {};

  constexpr RouteWeights weights() const { return begin; }
  constexpr RouteInput input() const { return RouteInput::chance; }

  constexpr std::size_t route(const RouteView& view) const {
    double all = 0;
    for (const double weight : view.weights) all += weight;
    double left = unit_interval(view.random) * all;
    std::size_t last = 0;  // with a weight; rounding may leave something over
    for (std::size_t arm = 0; arm < view.weights.size(); ++arm) {
      if (!(view.weights[arm] > 0)) continue;
      last = arm;
      if (left < view.weights[arm]) break;
      left -= view.weights[arm];
    }
    return last;
  }
};

/// A random split by these weights, one for each arm.
constexpr ByWeight by_weight(RouteWeights weights) {
  return {weights};
}

}  // namespace galley::inline v1
