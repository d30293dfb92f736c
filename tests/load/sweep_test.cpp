#include <galley/compose/map.hpp>
#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/load/run.hpp>
#include <galley/load/sweep.hpp>

#include <load/lane.hpp>

#include <chrono>
#include <cstddef>
#include <limits>
#include <vector>

#include <support/catch.hpp>

using galley::Error;
using galley::Result;
using galley::Servable;
using galley::Status;
using galley::load::Arrivals;
using galley::load::Capacity;
using galley::load::OpenLoop;
using galley::load::Sweep;
using galley::load::SweepOptions;
using galley::load::Traffic;
using galley::load::Verdict;
using support::Lane;
using support::numbers;
using namespace std::chrono_literals;

TEST_CASE("the capacity is what the best number of clients gets", "[sweep]") {
  const Lane lane(1ms);
  Traffic<int, int> traffic = numbers();
  traffic.deadline = 2ms;
  const Result<Capacity> found =
      measure_capacity(lane.servable(), traffic, {.clients = {4, 1, 8}}, lane.timing());
  REQUIRE(found.has_value());
  CHECK(found->rate == Approx(1000));
  CHECK(found->clients == 1);  // of 4 and 8 most wait for too long
  REQUIRE(found->runs.size() == 3);
  CHECK(found->runs[0].goodput() < 10);
}

TEST_CASE("a sweep measures the capacity, and offers shares of it in the same run", "[sweep]") {
  const Lane lane(1ms);
  const SweepOptions options{.fractions = {0.5, 2},
                             .rates = {100},
                             .arrivals = Arrivals::constant,
                             .length = 10s,
                             .warm_up = 1s};
  const Result<Sweep> found = sweep(lane.servable(), numbers(), options, lane.timing());
  REQUIRE(found.has_value());
  CHECK(found->name == "lane");
  CHECK(found->capacity.rate == Approx(1000));
  CHECK(found->capacity.runs.size() == 4);
  CHECK(found->again.goodput() == Approx(1000));
  REQUIRE(found->points.size() == 3);
  CHECK(found->points[0].offered == Approx(500));
  CHECK(found->points[0].latency.p99 == 1ms);
  CHECK(found->share(found->points[1]) == Approx(2));
  CHECK(found->points[1].throughput() < 1001);
  CHECK(found->points[1].latency.p50 > 1s);
  CHECK(found->points[2].offered == 100);
  CHECK(found->points[2].requests + found->points[2].warm_up == 1000);
  CHECK(found->exit_status() == 0);
  // In virtual time a run is the same whenever it is made.
  const Lane other(1ms);
  const Result<Sweep> same = sweep(other.servable(), numbers(), options, other.timing());
  CHECK(found->points == same->points);
}

TEST_CASE("each rate of a sweep has a seed of its own and no more requests than asked for",
          "[sweep]") {
  const Result<std::vector<OpenLoop>> loops = galley::load::detail::open_loops(
      Capacity{.rate = 1000}, {.seed = 40, .length = 2s, .requests = 1700});
  REQUIRE(loops.has_value());
  REQUIRE(loops->size() == 8);
  CHECK((*loops)[0].schedule.seed == 40);
  CHECK((*loops)[0].schedule.rate == Approx(100));
  CHECK((*loops)[0].schedule.requests == 200);
  CHECK((*loops)[7].schedule.seed == 47);
  CHECK((*loops)[7].schedule.requests == 1700);
}

TEST_CASE("there are no shares of no capacity", "[sweep]") {
  const Lane lane(1ms);
  const auto refuses =
      galley::map("refuses", [](int) -> Result<int> { return Error(Status::unavailable); });
  const SweepOptions options{.rates = {100}, .length = 1s, .capacity = {.requests = 100}};
  const Result<Sweep> by_rate = sweep(refuses, numbers(), options, lane.timing());
  REQUIRE(by_rate.has_value());
  CHECK(by_rate->points[0].verdict == Verdict::no_answers);
  SweepOptions shares = options;
  shares.fractions = {0.5};
  CHECK(sweep(refuses, numbers(), shares, lane.timing()).status() == Status::unavailable);
}

TEST_CASE("a rate that is none is refused", "[sweep]") {
  const Lane lane(1ms);
  for (const double rate : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK(sweep(lane.servable(), numbers(), {.rates = {rate}}, lane.timing()).status() ==
          Status::invalid_argument);
  }
}

TEST_CASE("a wrong answer anywhere fails the program", "[sweep]") {
  const Lane lane(1ms);
  const auto wrong = galley::map("wrong", [executor = lane.executor()](int n) {
    executor.pass(1ms);
    return n == 900 ? 0 : n;
  });
  const Result<Sweep> found =
      sweep(wrong, numbers(), {.fractions = {0.5}, .length = 2s}, lane.timing());
  REQUIRE(found.has_value());
  CHECK(found->wrong() == 1);
  CHECK(found->points[0].verdict == Verdict::wrong_answers);
  CHECK(found->exit_status() == 1);
}
