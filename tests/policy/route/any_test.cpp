#include <galley/compose/map.hpp>
#include <galley/compose/route.hpp>
#include <galley/policy/route/any.hpp>
#include <galley/policy/route/by_context.hpp>
#include <galley/policy/route/by_key.hpp>
#include <galley/policy/route/by_weight.hpp>
#include <galley/policy/route/sticky.hpp>
#include <galley/testing/contracts/route_policy.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::always;
using galley::AnyRoute;
using galley::by_context;
using galley::by_weight;
using galley::check_route_policy;
using galley::Error;
using galley::Result;
using galley::RouteInput;
using galley::RouteView;
using galley::RouteWeights;
using galley::Status;
using galley::sticky;

namespace {

/// Refuses rows of no key, throws for key 0.
struct Picky {
  RouteInput input() const { return RouteInput::request; }
  Result<std::size_t> route(const RouteView& view) const {
    if (!view.key.has_value()) return Error(Status::invalid_argument, "no key");
    if (*view.key == 0) throw std::runtime_error("nought");
    return *view.key % view.arms;
  }
};

template <class P>
void check_same(const P& held) {
  const AnyRoute any = held;
  CHECK(any.input() == held.input());
  const RouteWeights begin = galley::weights_of(held);
  CHECK(any.weights().size() == begin.size());
  const std::array<double, 3> weights{1, 2, 0.5};
  for (std::uint64_t i = 1; i < 200; ++i) {
    RouteView view{.arms = 3, .number = i, .random = galley::mix64(i), .weights = weights};
    if (i % 3 != 0) view.key = i;
    CHECK(any.route(view) == held.route(view));
  }
}

}  // namespace

TEST_CASE("any route policy answers as the one that it holds", "[route_policy]") {
  check_same(always(2));
  check_same(by_weight({1, 2, 0.5}));
  check_same(sticky({1, 2, 0.5}, {.salt = 8}));
  check_same(sticky({1, 2, 0.5}, {.keyless = galley::Keyless::random}));
  check_same(by_context([](const RouteView& view) {
    return view.key.has_value() ? RouteWeights{1, 0, 1} : RouteWeights{0, 1, 0};
  }));
  check_same(Picky());
  CHECK(AnyRoute().route({.arms = 3}) == Result<std::size_t>(0U));
}

TEST_CASE("any route policy is called as the one that it holds", "[route_policy]") {
  CHECK(AnyRoute().name() == "always");
  const auto held = sticky({1, 1}, {.salt = 8});
  CHECK(AnyRoute(held).name() == "sticky");
  CHECK(AnyRoute(held).about() == held.about());
  CHECK(AnyRoute(by_weight({1, 1})).about().empty());
  CHECK(AnyRoute(Picky()).name().empty());
  const auto parts = by_context(
      [](const RouteView&) {
        return RouteWeights{1, 1};
      },
      AnyRoute(sticky({}, {.salt = 3})));
  CHECK(parts.about() ==
        galley::RouteTexts{{"then", "sticky"}, {"salt", "3"}, {"keyless", "refused"}});
}

TEST_CASE("a route by any policy is described as one by the policy", "[route_policy]") {
  const auto same = galley::map("same", [](int n) { return n; });
  const auto options = [&](auto policy) {
    return route(std::move(policy), {same, same}, {.labels = {"a", "b"}}).describe().options;
  };
  CHECK(options(AnyRoute(sticky({1, 2}))) == options(sticky({1, 2})));
  CHECK(options(AnyRoute(always(1))) == options(always(1)));
  CHECK(options(AnyRoute(Picky()))[0].second == "policy");
}

TEST_CASE("copies of any route policy share the one that it holds", "[route_policy]") {
  const auto arm = std::make_shared<std::size_t>(1);
  std::optional<AnyRoute> any = AnyRoute(by_context([arm](const RouteView&) {
    return *arm == 0 ? RouteWeights{1, 0} : RouteWeights{0, 1};
  }));
  const AnyRoute copy = *any;
  CHECK(arm.use_count() == 2);
  any.reset();
  CHECK(copy.route({.arms = 2}) == Result<std::size_t>(1U));
}

TEST_CASE("what a route policy throws passes through any, and is the row's error in a route",
          "[route_policy]") {
  const AnyRoute any = Picky();
  CHECK_THROWS_AS(any.route({.arms = 2, .key = 0}), std::runtime_error);
  const auto same = galley::map("same", [](int n) { return n; });
  const auto graph = route(any, {same, same});
  const std::vector<galley::Key> keys{0, 1, 2};
  const auto outcomes = graph.serve_rows(galley::Rows<int>{5, 6, 7}, {}, {.keys = keys});
  CHECK(outcomes[0].status() == Status::internal);
  CHECK(*outcomes[1] == 6);
  CHECK(*outcomes[2] == 7);
}

TEST_CASE("any route policy keeps the obligations of those it holds", "[route_policy][contract]") {
  CHECK(check_route_policy(AnyRoute(), 2).empty());
  CHECK(check_route_policy(AnyRoute(by_weight({1, 3})), 2).empty());
  CHECK(check_route_policy(AnyRoute(sticky({1, 3}, {.keyless = galley::Keyless::random})), 2)
            .empty());
}
