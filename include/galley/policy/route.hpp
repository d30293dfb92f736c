// Route policies: which arm a row goes to.
#pragma once

#include <galley/core/context.hpp>
#include <galley/core/result.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// How much of the rows each arm is to get; only their ratios count.
///
/// Cost  held inline, for up to 16 arms
class RouteWeights {
 public:
  static constexpr std::size_t max_arms = 16;

  /// None: for a policy that needs none.
  constexpr RouteWeights() = default;
  /// One for each arm, in order.
  constexpr RouteWeights(std::initializer_list<double> weights)
      : RouteWeights(std::span<const double>(weights.begin(), weights.size())) {}
  constexpr explicit RouteWeights(std::span<const double> weights) : count_(weights.size()) {
    for (std::size_t i = 0; i < std::min(count_, max_arms); ++i) weights_[i] = weights[i];
  }

  constexpr bool empty() const noexcept { return count_ == 0; }
  /// How many were given; those beyond `max_arms` are not kept, and `check` says so.
  constexpr std::size_t size() const noexcept { return count_; }
  constexpr std::span<const double> span() const noexcept {
    return {weights_.data(), std::min(count_, max_arms)};
  }

  /// Ok where these are weights of `arms` arms.
  ///
  /// Errors  invalid_argument: another number of them, one that is negative or not finite, or none
  ///         above zero
  Result<void> check(std::size_t arms) const {
    if (count_ != arms || arms > max_arms) {
      return Error(Status::invalid_argument,
                   "weights: expected one for each of " + std::to_string(arms) + " arms, at most " +
                       std::to_string(max_arms) + ", got " + std::to_string(count_));
    }
    bool above_zero = false;
    for (std::size_t i = 0; i < arms; ++i) {
      if (!(weights_[i] >= 0 && weights_[i] <= std::numeric_limits<double>::max() / max_arms)) {
        return Error(Status::invalid_argument, "weights: expected a finite number from 0 for arm " +
                                                   std::to_string(i) + ", got " +
                                                   std::to_string(weights_[i]));
      }
      above_zero = above_zero || weights_[i] > 0;
    }
    if (!above_zero)
      return Error(Status::invalid_argument, "weights: expected one above 0, got none");
    return {};
  }

 private:
  std::array<double, max_arms> weights_{};
  std::size_t count_ = 0;
};

/// What a route policy sees: one row that is to go to one of several arms.
struct RouteView {
  /// How many arms there are, at least one.
  std::size_t arms = 0;
  /// What the row belongs to, where its request says so.
  std::optional<Key> key = {};
  /// Of the row's request.
  std::int32_t priority = 0;
  std::uint64_t request_id = 0;
  /// How many rows the route has sent before this one, and a number drawn for the row; both 0
  /// where the policy does not say `RouteInput::chance`.
  std::uint64_t number = 0;
  std::uint64_t random = 0;
  /// The weights as they are now, one for each arm; empty where the policy began with none.
  std::span<const double> weights = {};
};

/// What of its view the answer of a route policy may depend on: each includes those before it.
enum class RouteInput : std::uint8_t {
  weights,  ///< Nothing of the row: all rows go one way until the weights change.
  request,  ///< The row's key, and the priority and the number of its request.
  chance,   ///< `number` and `random` too.
};

/// What a policy says of its options: names and texts.
using RouteTexts = std::vector<std::pair<std::string, std::string>>;

/// The name of what it depends on, such as "chance".
constexpr const char* to_string(RouteInput input) noexcept {
  constexpr const char* names[] = {"weights", "request", "chance"};
  return names[static_cast<std::size_t>(input)];
}

/// Which arm each row goes to. Shipped: `policy/route/always.hpp`, `by_weight.hpp`, `sticky.hpp`,
/// `by_context.hpp`; copy the second to write your own. What looks at the row itself is no policy
/// but a rule: any function of it (`policy/route/by_rule.hpp`).
///
/// 1. `route` is pure: no clock, no lock, no state. It is called once for each row, from any
///    thread, or once for rows whose views are the same in all that `input` names.
/// 2. It answers the number of an arm, below `view.arms`, or the row's error.
/// 3. `input()` names what the answer depends on.
/// 4. `name` (a static string, or `std::string_view name()`) and `about()`, where they are there,
///    are for descriptions.
/// 5. `weights()`, where it is there, is what `view.weights` begins with: the route then lets them
///    be changed while it serves. A weight of 0 gets no rows.
///
/// The contract suite is `testing/contracts/route_policy.hpp`.
template <class P>
concept RoutePolicy = requires(const P& policy, const RouteView& view) {
  { policy.route(view) } -> std::convertible_to<Result<std::size_t>>;
  { policy.input() } -> std::same_as<RouteInput>;
} && std::copy_constructible<P>;  // last: what converts to an AnyRoute would ask about itself

/// What a policy or a rule is called; empty where it does not say.
template <class P>
constexpr std::string_view route_name(const P& policy) {
  if constexpr (requires { std::string_view(policy.name()); }) {
    return policy.name();
  } else if constexpr (requires { std::string_view(P::name); }) {
    return P::name;
  } else {
    return {};
  }
}

/// The weights that a policy begins with; none where it has none.
template <RoutePolicy P>
constexpr RouteWeights weights_of(const P& policy) {
  if constexpr (requires {
                  { policy.weights() } -> std::same_as<RouteWeights>;
                }) {
    return policy.weights();
  } else {
    return {};
  }
}

}  // namespace galley::inline v1
