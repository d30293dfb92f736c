#include <galley/core/time.hpp>
#include <galley/load/summary.hpp>

#include <chrono>
#include <cstddef>
#include <vector>

#include <support/catch.hpp>

using galley::Duration;
using galley::load::nearest_rank;
using galley::load::summarise;
using galley::load::Summary;
using namespace std::chrono_literals;

namespace {

/// n, n - 1, … 1 ns.
std::vector<Duration> down_from(std::size_t n) {
  std::vector<Duration> samples;
  for (std::size_t i = n; i > 0; --i) samples.emplace_back(i);
  return samples;
}

}  // namespace

TEST_CASE("a percentile is the nearest rank", "[summary]") {
  const std::vector<Duration> sorted = {10ns, 20ns, 30ns, 40ns, 50ns};
  CHECK(nearest_rank(sorted, 0) == 10ns);
  CHECK(nearest_rank(sorted, 0.2) == 10ns);
  CHECK(nearest_rank(sorted, 0.21) == 20ns);
  CHECK(nearest_rank(sorted, 0.5) == 30ns);
  CHECK(nearest_rank(sorted, 0.99) == 50ns);
  CHECK(nearest_rank(sorted, 1) == 50ns);
  CHECK(nearest_rank({}, 0.5) == 0ns);
}

TEST_CASE("a summary is exact", "[summary]") {
  const Summary summary = summarise(down_from(1'000'000));
  CHECK(summary.samples == 1'000'000);
  CHECK(summary.mean == 500'000ns);
  CHECK(summary.p50 == 500'000ns);
  CHECK(summary.p90 == 900'000ns);
  CHECK(summary.p99 == 990'000ns);
  CHECK(summary.p999 == 999'000ns);
  CHECK(summary.max == 1'000'000ns);
}

TEST_CASE("a percentile of too few samples is none", "[summary]") {
  CHECK(summarise({}) == Summary());
  CHECK(summarise(down_from(1)).p50 == 1ns);
  CHECK_FALSE(summarise(down_from(99)).p90);
  CHECK(summarise(down_from(100)).p90 == 90ns);
  CHECK_FALSE(summarise(down_from(999)).p99);
  CHECK(summarise(down_from(1000)).p99 == 990ns);
  CHECK_FALSE(summarise(down_from(999'999)).p999);
}
