// Sticky: the route policy that sends rows of one key one way.
#pragma once

#include <galley/policy/hash.hpp>
#include <galley/policy/route.hpp>
#include <galley/policy/route/by_weight.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

namespace galley::inline v1 {

/// What becomes of rows without a key.
enum class Keyless : std::uint8_t {
  refused,  ///< They answer `invalid_argument`.
  random,   ///< They are split at random by the same weights.
};

struct StickyOptions {
  /// Names the experiment (`hash_of` makes a number of its name): splits with different salts have
  /// nothing to do with each other, those with the same agree.
  std::uint64_t salt = 0;
  Keyless keyless = Keyless::refused;
};

/// Sends all rows of a key to one arm, and of all keys to each arm the share of its weight.
///
/// Raising an arm's weight moves keys to that arm only, and none away from it; an arm put behind
/// the others likewise. So a canary is widened without a user ever going back. A key's arm depends
/// on the salt, the key, the arm's place and the ratios of the weights, nothing else: every process
/// with the same answers the same.
///
/// Errors  invalid_argument: a row without a key, unless `Keyless::random`
/// Cost    O(arms), a logarithm each
/// Source  weighted rendezvous hashing: arm with the greatest -w / ln(u), u drawn from (0, 1) by
///         hashing key and arm (D. Thaler, C. Ravishankar, IEEE/ACM ToN 6(1), 1998; weights: J.
///         Schindler, SNIA SDC 2015)
/// Example tests/policy/route/sticky_test.cpp
struct Sticky {
  static constexpr const char* name = "sticky";
  RouteWeights begin = {};
  StickyOptions options = {};

  RouteTexts about() const {
    return {{"salt", std::to_string(options.salt)},
            {"keyless", options.keyless == Keyless::random ? "random" : "refused"}};
  }
  constexpr RouteWeights weights() const { return begin; }
  constexpr RouteInput input() const {
    return options.keyless == Keyless::random ? RouteInput::chance : RouteInput::request;
  }

  Result<std::size_t> route(const RouteView& view) const {
    if (!view.key.has_value()) {
      if (options.keyless == Keyless::random) return ByWeight{}.route(view);
      return Error(Status::invalid_argument,
                   "a sticky route needs a key with each row (CallOptions::keys), got none");
    }
    const std::uint64_t start = mix64(*view.key ^ mix64(options.salt));
    std::size_t best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t arm = 0; arm < view.weights.size(); ++arm) {
      if (!(view.weights[arm] > 0)) continue;
      // Greatest -w / ln(u) is least -ln(u) / w. Half a step up, so that u is neither 0 nor 1.
      const double u = unit_interval(mix64(start + arm * 0x9e3779b97f4a7c15U)) + 0x1p-54;
      const double score = -std::log(u) / view.weights[arm];
      if (score < least) {
        least = score;
        best = arm;
      }
    }
    return best;
  }
};

/// A split by key with these weights, one for each arm.
constexpr Sticky sticky(RouteWeights weights, StickyOptions options = {}) {
  return {weights, options};
}

}  // namespace galley::inline v1
