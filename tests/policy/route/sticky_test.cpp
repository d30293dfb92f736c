#include <galley/policy/route/sticky.hpp>
#include <galley/testing/contracts/route_policy.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <support/catch.hpp>

using galley::check_route_policy;
using galley::hash_of;
using galley::Key;
using galley::Keyless;
using galley::mix64;
using galley::Result;
using galley::RouteInput;
using galley::Status;
using galley::sticky;
using galley::Sticky;

namespace {

std::size_t arm_of(Key key, std::span<const double> weights, std::uint64_t salt = 0) {
  return *Sticky{{}, {.salt = salt}}.route(
      {.arms = weights.size(), .key = key, .weights = weights});
}

constexpr std::size_t users = 200'000;

}  // namespace

TEST_CASE("a sticky split keeps the obligations of a route policy", "[route_policy][contract]") {
  CHECK(check_route_policy(sticky({1, 1}), 2).empty());
  CHECK(check_route_policy(sticky({0.95, 0, 0.05}, {.salt = 9, .keyless = Keyless::random}), 3)
            .empty());
}

TEST_CASE("each arm gets the share of keys that its weight is", "[route_policy]") {
  const std::array<std::array<double, 4>, 3> splits{
      {{0.9, 0.1, 0, 0}, {0.25, 0.25, 0.25, 0.25}, {0.01, 0.04, 0.15, 0.8}}};
  for (const auto& weights : splits) {
    for (const std::uint64_t salt : {0U, 1U, 77U}) {
      std::array<std::size_t, 4> counts{};
      for (Key user = 0; user < users; ++user) ++counts[arm_of(user, weights, salt)];
      for (std::size_t arm = 0; arm < 4; ++arm) {
        CAPTURE(salt, arm);
        const double share = static_cast<double>(counts[arm]) / users;
        CHECK(std::abs(share - weights[arm]) <
              5 * std::sqrt(weights[arm] * (1 - weights[arm]) / users) + 1e-12);
      }
    }
  }
}

TEST_CASE("widening an arm's share moves keys to it and none away", "[route_policy]") {
  std::array<double, 3> weights{0.5, 0.01, 0.3};
  std::vector<std::size_t> before(users);
  for (Key user = 0; user < users; ++user) before[user] = arm_of(mix64(user), weights);
  for (const double wider : {0.05, 0.1, 0.5, 1.0, 20.0}) {
    weights[1] = wider;
    std::size_t moved = 0, astray = 0;
    for (Key user = 0; user < users; ++user) {
      const std::size_t now = arm_of(mix64(user), weights);
      if (now != before[user]) {
        ++moved;
        if (now != 1) ++astray;
      }
      before[user] = now;
    }
    CHECK(astray == 0);
    CHECK(moved > users / 100);
  }
}

TEST_CASE("a new arm takes keys from the others and moves none between them", "[route_policy]") {
  const std::array<double, 2> two{1, 2};
  const std::array<double, 3> three{1, 2, 1};
  for (Key user = 0; user < users; ++user) {
    const std::size_t now = arm_of(user, three);
    if (now != 2) REQUIRE(now == arm_of(user, two));
  }
}

TEST_CASE("only the ratios of weights count", "[route_policy]") {
  const std::array<double, 3> small{0.25, 0.5, 0.125}, large{4, 8, 2};
  for (Key user = 0; user < 10'000; ++user) REQUIRE(arm_of(user, small) == arm_of(user, large));
}

TEST_CASE("splits of different salts have nothing to do with each other", "[route_policy]") {
  const std::array<double, 2> half{1, 1};
  for (const std::uint64_t other : {1U, 2U, 3U, 1000U}) {
    std::size_t both = 0;
    for (Key user = 0; user < users; ++user) {
      if (arm_of(user, half, 0) == 1 && arm_of(user, half, other) == 1) ++both;
    }
    CAPTURE(other);
    CHECK(std::abs(static_cast<double>(both) / users - 0.25) < 5 * std::sqrt(0.1875 / users));
  }
}

TEST_CASE("a key's arm is the same in every release", "[route_policy]") {
  const std::array<double, 3> weights{1, 1, 1};
  const std::uint64_t salt = hash_of("checkout button");
  std::vector<std::size_t> arms;
  for (Key user = 1; user <= 16; ++user) arms.push_back(arm_of(user, weights, salt));
  CHECK(salt == 0xe744f1941323be7cU);
  CHECK(arms == std::vector<std::size_t>{0, 1, 2, 1, 2, 0, 0, 2, 2, 1, 1, 0, 2, 0, 1, 1});
  CHECK(mix64(0) == 0xe220a8397b1dcdafU);  // SplitMix64's first from seed 0
}

TEST_CASE("a row without a key is refused, or split at random", "[route_policy]") {
  const std::array<double, 2> weights{1, 1};
  CHECK(sticky({1, 1}).input() == RouteInput::request);
  CHECK(sticky({1, 1}).route({.arms = 2, .weights = weights}).status() == Status::invalid_argument);
  const Sticky random = sticky({1, 1}, {.keyless = Keyless::random});
  CHECK(random.input() == RouteInput::chance);
  CHECK(random.route({.arms = 2, .random = 0, .weights = weights}) ==
        Result<std::size_t>(std::size_t{0}));
  CHECK(random.route({.arms = 2, .random = ~std::uint64_t{0}, .weights = weights}) ==
        Result<std::size_t>(std::size_t{1}));
}
