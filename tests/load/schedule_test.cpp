#include <galley/core/result.hpp>
#include <galley/core/time.hpp>
#include <galley/load/schedule.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include <support/catch.hpp>

using galley::Duration;
using galley::Status;
using galley::load::Arrivals;
using galley::load::make_schedule;
using galley::load::ScheduleOptions;
using namespace std::chrono_literals;

namespace {

std::vector<Duration> schedule(const ScheduleOptions& options) {
  galley::Result<std::vector<Duration>> made = make_schedule(options);
  REQUIRE(made.has_value());
  REQUIRE(made->size() == options.requests);
  CHECK(std::ranges::is_sorted(*made));
  return *std::move(made);
}

}  // namespace

TEST_CASE("a seed gives the same schedule on every machine", "[schedule]") {
  // By another program, in another language, from the definitions.
  CHECK(schedule({.rate = 1000, .requests = 6}) ==
        std::vector<Duration>{133876ns, 2045234ns, 4295012ns, 5098248ns, 5847239ns, 5960413ns});
  CHECK(schedule({.rate = 1000, .requests = 6, .seed = 2}) ==
        std::vector<Duration>{903604ns, 3557688ns, 4625313ns, 5682608ns, 7010012ns, 7138690ns});
  CHECK(schedule({.rate = 1000, .requests = 200'000, .seed = 7}).back() == 200'533'951'411ns);
  const std::vector<Duration> bursty =
      schedule({.rate = 1000, .requests = 1000, .arrivals = Arrivals::bursty});
  CHECK(bursty.front() == 89'250ns);
  CHECK(bursty.back() == 1'012'330'166ns);
}

TEST_CASE("constant arrivals are at equal distances", "[schedule]") {
  const std::vector<Duration> times =
      schedule({.rate = 250, .requests = 5, .arrivals = Arrivals::constant});
  CHECK(times == std::vector<Duration>{4ms, 8ms, 12ms, 16ms, 20ms});
}

TEST_CASE("the gaps of Poisson arrivals are exponential", "[schedule]") {
  constexpr std::size_t n = 100'000;
  const std::vector<Duration> times = schedule({.rate = 1e6, .requests = n, .seed = 3});
  std::vector<double> gaps;  // in means
  for (std::size_t i = 1; i < n; ++i) {
    gaps.push_back(static_cast<double>((times[i] - times[i - 1]).count()) / 1000);
  }
  for (const double x : {0.1, 0.5, 1.0, 2.0, 4.0}) {
    CAPTURE(x);
    const auto beyond = std::ranges::count_if(gaps, [x](double gap) { return gap > x; });
    // Three standard deviations of 100 000 draws are below 0.005.
    CHECK(static_cast<double>(beyond) / n == Approx(std::exp(-x)).margin(0.005));
  }
  CHECK(times.back() / n > 985ns);
  CHECK(times.back() / n < 1015ns);
}

TEST_CASE("bursty arrivals come three times as fast every other 50 ms", "[schedule]") {
  constexpr std::size_t n = 100'000;
  const std::vector<Duration> times =
      schedule({.rate = 10'000, .requests = n, .arrivals = Arrivals::bursty});
  const auto fast = std::ranges::count_if(times, [](Duration at) { return at % 100ms < 50ms; });
  CHECK(static_cast<double>(fast) / n == Approx(0.75).margin(0.01));
  CHECK(times.back() > 9800ms);
  CHECK(times.back() < 10200ms);
}

TEST_CASE("a schedule that cannot be is refused", "[schedule]") {
  const auto refused = [](const ScheduleOptions& options) {
    return make_schedule(options).status() == Status::invalid_argument;
  };
  CHECK(refused({.rate = 0, .requests = 1}));
  CHECK(refused({.rate = -1, .requests = 1}));
  CHECK(refused({.rate = std::numeric_limits<double>::infinity(), .requests = 1}));
  CHECK(refused({.rate = std::numeric_limits<double>::quiet_NaN(), .requests = 1}));
  CHECK(refused({.rate = 1, .requests = 0}));
  CHECK(refused({.rate = 1, .requests = 100'000'001}));
  CHECK(refused({.rate = 1e-6, .requests = 100}));
  CHECK(make_schedule({.rate = 0, .requests = 1}).error().detail ==
        "schedule: expected a positive rate, got 0");
}
