#include <galley/policy/route/always.hpp>
#include <galley/policy/route/by_context.hpp>
#include <galley/policy/route/by_weight.hpp>
#include <galley/testing/contracts/route_policy.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::always;
using galley::by_context;
using galley::by_weight;
using galley::check_route_policy;
using galley::Result;
using galley::RouteInput;
using galley::RouteView;
using galley::RouteWeights;
using galley::Status;

TEST_CASE("the shipped policies keep the obligations of a route policy",
          "[route_policy][contract]") {
  CHECK(check_route_policy(always(0), 1).empty());
  CHECK(check_route_policy(always(2), 3).empty());
  CHECK(check_route_policy(by_weight({1}), 1).empty());
  CHECK(check_route_policy(by_weight({0.2, 0.8}), 2).empty());
  CHECK(check_route_policy(by_weight({0, 0, 3, 1}), 4, 7).empty());
  const auto urgent = [](const RouteView& row) {
    return row.priority > 0 ? RouteWeights{0, 1} : RouteWeights{9, 1};
  };
  CHECK(check_route_policy(by_context(urgent), 2).empty());
  CHECK(check_route_policy(by_context(urgent, always(1)), 2).empty());
}

namespace {

struct Wrong {
  std::size_t by = 0;  // which obligation it breaks
  RouteInput input() const { return RouteInput::request; }
  RouteWeights weights() const {
    return by == 2 ? RouteWeights{1, -1} : by == 3 ? RouteWeights{1, 1} : RouteWeights{};
  }
  std::size_t route(const RouteView& view) const {
    if (by == 0) return view.random % 2;
    if (by == 1) return view.arms;
    return 0;
  }
};

}  // namespace

TEST_CASE("the contract suite finds what is wrong with a policy", "[route_policy][contract]") {
  const char* const said[] = {
      "it looks only at what input() names", "it answers an arm that is there",
      "its weights are weights of its arms", "an arm of weight 0 gets no rows"};
  for (std::size_t by = 0; by < 4; ++by) {
    CAPTURE(by);
    const auto failures = check_route_policy(Wrong{by}, 2);
    REQUIRE_FALSE(failures.empty());
    CHECK(failures.front().obligation == said[by]);
  }
}

TEST_CASE("always answers its arm, whatever the row", "[route_policy]") {
  CHECK(always(1).route({.arms = 2}) == 1);
  CHECK(always(1).route({.arms = 2, .key = 5, .random = 77}) == 1);
  CHECK(always(1).input() == RouteInput::weights);
}

TEST_CASE("a weighted split takes the arm whose range the number falls in", "[route_policy]") {
  const double weights[] = {1, 0, 3};
  struct Case {
    double at;
    std::size_t arm;
  };
  for (const Case& c : {Case{0, 0}, Case{0.24, 0}, Case{0.26, 2}, Case{0.999, 2}}) {
    CAPTURE(c.at);
    const auto random = static_cast<std::uint64_t>(c.at * 0x1p64);
    CHECK(by_weight({1, 0, 3}).route({.arms = 3, .random = random, .weights = weights}) == c.arm);
  }
  CHECK(by_weight({1, 0, 3}).route({.arms = 3, .random = ~std::uint64_t{0}, .weights = weights}) ==
        2);
}

TEST_CASE("each arm gets the share of its weight", "[route_policy]") {
  const double weights[] = {0.7, 0.05, 0, 0.25};
  std::size_t counts[4] = {};
  constexpr std::size_t rows = 200'000;
  for (std::uint64_t i = 0; i < rows; ++i) {
    ++counts[by_weight({}).route({.arms = 4, .random = galley::mix64(i), .weights = weights})];
  }
  for (std::size_t arm = 0; arm < 4; ++arm) {
    CAPTURE(arm);
    const double share = static_cast<double>(counts[arm]) / rows;
    CHECK(std::abs(share - weights[arm]) < 5 * std::sqrt(0.25 / rows));
  }
}

TEST_CASE("weights by context are those of the row's request", "[route_policy]") {
  const auto policy = by_context([](const RouteView& row) {
    if (row.request_id == 13) throw std::runtime_error("unlucky");
    if (row.request_id == 14) return RouteWeights{1, 2, 3};
    if (row.request_id == 15) return RouteWeights{0, 0};
    return row.priority > 0 ? RouteWeights{0, 1} : RouteWeights{1, 0};
  });
  CHECK(policy.route({.arms = 2, .priority = 1}) == Result<std::size_t>(std::size_t{1}));
  CHECK(policy.route({.arms = 2, .priority = 0}) == Result<std::size_t>(std::size_t{0}));
  CHECK_THROWS(policy.route({.arms = 2, .request_id = 13}));  // the route's to catch
  const auto wrong = policy.route({.arms = 2, .request_id = 14});
  CHECK(wrong.status() == Status::internal);
  CHECK(wrong.error().detail.find("2 arms, at most 16, got 3") != std::string::npos);
  CHECK(policy.route({.arms = 2, .request_id = 15}).status() == Status::internal);
}

TEST_CASE("weights are one finite number from 0 for each arm, and one above it", "[route_policy]") {
  CHECK(RouteWeights{0, 1}.check(2).has_value());
  CHECK(RouteWeights{1e300, 1e-300}.check(2).has_value());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const RouteWeights& weights :
       {RouteWeights{}, RouteWeights{1}, RouteWeights{1, 1, 1}, RouteWeights{0, 0},
        RouteWeights{1, -0.5}, RouteWeights{1, nan}, RouteWeights{infinity, 1}}) {
    CHECK(weights.check(2).status() == Status::invalid_argument);
  }
  const std::vector<double> many(17, 1.0);
  CHECK(RouteWeights(many).check(17).status() == Status::invalid_argument);
  CHECK(RouteWeights(std::span(many).first(16)).check(16).has_value());
}
