#include <galley/policy/fork.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <random>
#include <vector>

#include <support/catch.hpp>

using galley::Duration;
using galley::ForkPlan;
using galley::plan_fork;
using galley::WakeCost;
using namespace std::chrono_literals;

namespace {

using Costs = std::vector<Duration>;

std::vector<int> lanes_of(const ForkPlan& plan, std::size_t n) {
  return {plan.lane.begin(), plan.lane.begin() + static_cast<std::ptrdiff_t>(n)};
}

Duration sum(const Costs& costs) {
  Duration all{};
  for (const Duration cost : costs) all += cost;
  return all;
}

/// The least makespan there is, by trying all ways.
Duration optimum(const Costs& costs, std::size_t lanes, Duration wake) {
  std::size_t ways = 1;
  for (std::size_t i = 0; i < costs.size(); ++i) ways *= lanes;
  Duration best = Duration::max();
  for (std::size_t way = 0; way < ways; ++way) {
    std::vector<Duration> ends(lanes);
    std::size_t rest = way;
    for (const Duration cost : costs) {
      const std::size_t lane = rest % lanes;
      if (ends[lane] == Duration() && lane != 0) ends[lane] = wake;
      ends[lane] += cost;
      rest /= lanes;
    }
    best = std::min(best, *std::max_element(ends.begin(), ends.end()));
  }
  return best;
}

}  // namespace

TEST_CASE("members are forked where that saves more than the wake costs", "[fork]") {
  struct Case {
    Costs costs;
    std::size_t free;
    Duration wake;
    std::vector<int> lanes;
    Duration makespan;
  };
  for (const auto& [costs, free, wake, lanes, makespan] : {
           Case{{}, 3, 50us, {}, 0us},
           Case{{1ms}, 3, 50us, {0}, 1ms},
           Case{{1ms, 1ms}, 1, 50us, {0, 1}, 1050us},
           Case{{1ms, 1ms}, 0, 50us, {0, 0}, 2ms},             // nobody is free
           Case{{40us, 40us}, 3, 50us, {0, 0}, 80us},          // no longer than the wake
           Case{{50us, 50us}, 3, 50us, {0, 0}, 100us},         // saves just the wake
           Case{{51us, 51us}, 3, 50us, {0, 1}, 101us},         // saves a little more
           Case{{1ms, 0us}, 3, 50us, {0, 0}, 1ms},             // one is not known
           Case{{1ms, 3ms, 2ms}, 1, 10us, {1, 0, 1}, 3010us},  // the longest first
           Case{{1ms, 3ms, 2ms}, 2, 10us, {2, 0, 1}, 3ms},
           Case{{5ms, 10us, 10us}, 4, 50us, {0, 1, 1}, 5ms},
       }) {
    const ForkPlan plan = plan_fork({.costs = costs, .free_workers = free, .wake = wake});
    CHECK(lanes_of(plan, costs.size()) == lanes);
    CHECK(plan.makespan == makespan);
    const bool all_in_one = std::ranges::all_of(lanes, [](int lane) { return lane == 0; });
    CHECK((plan.lanes == 1) == all_in_one);
  }
}

TEST_CASE("a plan is within 4/3 of the best there is, and never worse than one lane", "[fork]") {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Costs costs(2 + random() % 5);
    for (Duration& cost : costs) cost = 1us * (1 + random() % 1000);
    const std::size_t free = random() % 3;
    const Duration wake = 1us * (random() % 100);
    const ForkPlan plan = plan_fork({.costs = costs, .free_workers = free, .wake = wake});
    REQUIRE(plan.makespan <= sum(costs));
    const Duration best = optimum(costs, free + 1, wake);
    REQUIRE(plan.makespan <= best * 4 / 3 + wake);
    REQUIRE(plan.lanes <= free + 1);
  }
}

TEST_CASE("more than a plan holds is not looked at", "[fork]") {
  const Costs many(1000, 1ms);
  const ForkPlan plan = plan_fork({.costs = many, .free_workers = 3, .wake = 1us});
  CHECK(plan.lanes == 4);
}

TEST_CASE("the wake is followed, and a busy time is forgotten", "[fork]") {
  WakeCost wake;
  CHECK(wake.value() == WakeCost::unknown);
  wake.observe(10us);
  CHECK(wake.value() == 10us);
  for (int i = 0; i < 100; ++i) wake.observe(20us);
  CHECK(wake.value() > 19us);
  wake.observe(10s);
  CHECK(wake.value() < 30us);  // one is no news
  for (int i = 0; i < 200; ++i) wake.observe(5ms);
  CHECK(wake.value() > 4ms);
  for (int i = 0; i < 2000; ++i) wake.forget();
  CHECK(wake.value() < 11us);
  CHECK(wake.value() >= 10us);
  wake.observe(-1ns);
  CHECK(wake.value() < 11us);
}
