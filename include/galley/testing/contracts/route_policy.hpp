// The contract suite for route policies.
#pragma once

#include <galley/core/exceptions.hpp>
#include <galley/policy/hash.hpp>
#include <galley/policy/route.hpp>
#include <galley/testing/contracts/failure.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace galley::inline v1 {

/// Checks that `policy`, of a route of `arms` arms, keeps the obligations of `RoutePolicy` over
/// many views, drawn from `seed`. Empty when it does.
///
/// Example  tests/policy/route/sticky_test.cpp
template <RoutePolicy P, class Mode = detail::ExceptionMode>
std::vector<ContractFailure> check_route_policy(const P& policy, std::size_t arms,
                                                std::uint64_t seed = 1);

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

/// Draws views as a route might show them.
class RouteViewMaker {
 public:
  RouteViewMaker(std::uint64_t seed, std::size_t arms, RouteInput input, bool weighted)
      : state_(seed), arms_(arms), input_(input), weighted_(weighted) {}

  /// The view borrows the weights here, until the next is drawn.
  RouteView next() {
    RouteView view;
    view.arms = arms_;
    if (weighted_) view.weights = draw_weights();
    if (input_ == RouteInput::weights) return view;
    return with_other_request(view);
  }

  /// The same with all but the weights drawn anew.
  RouteView with_other_request(RouteView view) {
    view.key.reset();
    if (below(8) != 0) view.key = below(2) == 0 ? below(10) : draw();
    view.priority = static_cast<std::int32_t>(below(5)) - 2;
    view.request_id = below(2) == 0 ? 0 : draw();
    return input_ == RouteInput::chance ? with_other_chance(view) : view;
  }
  RouteView with_other_chance(RouteView view) {
    view.number = below(2) == 0 ? below(100) : draw();
    view.random = below(16) == 0 ? (below(2) == 0 ? 0 : ~std::uint64_t{0}) : draw();
    return view;
  }

 private:
  std::span<const double> draw_weights() {
    weights_.clear();
    for (std::size_t arm = 0; arm < arms_; ++arm) {
      weights_.push_back(below(3) == 0 ? 0 : static_cast<double>(1 + below(1000)) / 1000);
    }
    weights_[below(arms_)] = 1;
    return weights_;
  }
  std::uint64_t draw() noexcept { return mix64(state_++); }
  std::uint64_t below(std::size_t bound) { return draw() % bound; }

  std::uint64_t state_;
  std::size_t arms_;
  RouteInput input_;
  bool weighted_;
  std::vector<double> weights_;
};

inline std::string route_view_text(const RouteView& view) {
  return " for key " + (view.key.has_value() ? std::to_string(*view.key) : "none") + ", priority " +
         std::to_string(view.priority) + ", request " + std::to_string(view.request_id) +
         ", row number " + std::to_string(view.number) + ", random " + std::to_string(view.random);
}

}  // namespace detail

template <RoutePolicy P, class Mode>
std::vector<ContractFailure> check_route_policy(const P& policy, std::size_t arms,
                                                std::uint64_t seed) {
  constexpr int views = 20'000;
  std::vector<ContractFailure> failures;
  ContractReport begins(failures, "its weights are weights of its arms");
  ContractReport pure(failures, "it answers one view always alike");
  ContractReport bounded(failures, "it answers an arm that is there");
  ContractReport weighted(failures, "an arm of weight 0 gets no rows");
  ContractReport declared(failures, "it looks only at what input() names");
  const RouteWeights first = weights_of(policy);
  if (!first.empty()) {
    const Result<void> good = first.check(arms);
    if (!begins.expect(good.has_value(), good.has_value() ? "" : good.error().detail)) {
      return failures;
    }
  }
  const RouteInput input = policy.input();
  const auto ask = [&policy](const RouteView& view) {
    return Mode::template call<std::size_t>(
        [&]() -> Result<std::size_t> { return policy.route(view); });
  };
  detail::RouteViewMaker drawn(seed, arms, input, !first.empty());
  for (int i = 0; i < views && failures.size() < 8; ++i) {
    const RouteView view = drawn.next();
    const std::string where = detail::route_view_text(view);
    const Result<std::size_t> arm = ask(view);
    pure.expect(arm == ask(view), "two answers" + where);
    if (input == RouteInput::weights) {
      detail::RouteViewMaker other(mix64(seed) + static_cast<std::uint64_t>(i), arms,
                                   RouteInput::chance, false);
      declared.expect(arm == ask(other.with_other_request(view)), "another answer" + where);
    } else if (input == RouteInput::request) {
      declared.expect(arm == ask(drawn.with_other_chance(view)), "another answer" + where);
    }
    if (!arm.has_value()) continue;
    const bool is_there = bounded.expect(
        *arm < arms, "arm " + std::to_string(*arm) + " of " + std::to_string(arms) + where);
    if (is_there && !view.weights.empty()) {
      weighted.expect(view.weights[*arm] > 0, "arm " + std::to_string(*arm) + where);
    }
  }
  return failures;
}

}  // namespace galley::inline v1
