#include <galley/policy/quantile.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>

#include <support/catch.hpp>

using galley::Duration;
using galley::QuantileEstimate;
using namespace std::chrono_literals;

TEST_CASE("a quantile is known after a few times, and is that of the first exactly", "[quantile]") {
  QuantileEstimate p95(0.95), median(0.5);
  for (int i = 16; i >= 1; --i) {
    CHECK_FALSE(p95.is_known());
    p95.observe(i * 1ms);
    median.observe(i * 1ms);
  }
  CHECK(p95.is_known());
  CHECK(p95.value() == 16ms);
  CHECK(median.value() == 9ms);
}

TEST_CASE("a quantile is followed, and so is a change of it", "[quantile]") {
  for (const double quantile : {0.5, 0.9, 0.95, 0.99}) {
    QuantileEstimate estimate(quantile);
    std::mt19937 random(1);
    for (const double scale : {1e6, 2e7, 3e5}) {
      const double wanted = -std::log(1 - quantile) * scale;
      int within = 0;
      for (int i = 0; i < 8000; ++i) {
        const double uniform = (static_cast<double>(random()) + 0.5) / 4294967296.0;
        const Duration took(static_cast<Duration::rep>(-std::log(uniform) * scale));
        if (i >= 4000 && took <= estimate.value()) ++within;
        estimate.observe(took);
      }
      CAPTURE(quantile, scale, wanted, estimate.value().count(), within);
      CHECK(std::abs(within / 4000.0 - quantile) < 0.03);
      CHECK(static_cast<double>(estimate.value().count()) > wanted * 0.5);
      CHECK(static_cast<double>(estimate.value().count()) < wanted * 2);
    }
  }
}

TEST_CASE("of a time that is not over it is enough to know that it lasts longer", "[quantile]") {
  QuantileEstimate exact, cut;
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    const Duration took = 1us * (1 + random() % 1000);
    exact.observe(took);
    cut.observe(cut.is_known() ? std::min(took, cut.value() + 1ns) : took);
    REQUIRE(exact.value() == cut.value());
  }
}
