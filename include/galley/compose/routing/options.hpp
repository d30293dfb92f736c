// What may be said about a route, and asked of it.
#pragma once

#include <galley/policy/route.hpp>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace galley::inline v1 {

/// How a route is called and drawn for.
struct RouteOptions {
  /// What the route is called; empty for "route(a, b)", after its arms.
  std::string name = {};
  /// What its arms are called, by rules that answer a label and in statistics; empty for the arms'
  /// own names.
  std::vector<std::string> labels = {};
  /// What random splits are drawn from: the same seed and order of rows draw the same.
  std::uint64_t seed = 1;
};

/// Told to a route by `control`: from now on these are its weights, one for each arm. Requests that
/// are already on their way are not moved, none is dropped, and a batch sees the old or the new.
///
/// Errors  invalid_argument: as `RouteWeights::check`; failed_precondition: a route without weights
struct SetWeights {
  RouteWeights weights = {};
};

/// Answered by a route to `control`: how many rows went where since it was made.
struct RouteStatistics {
  std::vector<std::string> labels = {};  ///< Of the arms, in order.
  std::vector<std::uint64_t> rows = {};  ///< By arm.
  std::uint64_t refused = 0;             ///< Rows that no arm was found for.
};

namespace detail {

inline std::string plain_number(double number) {
  char digits[32];
  const int length = std::snprintf(digits, sizeof digits, "%.9g", number);
  return std::string(digits, static_cast<std::size_t>(length));
}

}  // namespace detail
}  // namespace galley::inline v1
