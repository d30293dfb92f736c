#include <galley/core/trace_sampler.hpp>

#include <support/clock.hpp>

#include <cstdint>
#include <memory>

#include <support/catch.hpp>

using galley::is_sampled;
using galley::Trace;
using galley::TraceSampler;
using galley::TraceSampling;

namespace {

int sampled(const TraceSampling& sampling, std::uint64_t first, std::uint64_t requests) {
  int count = 0;
  for (std::uint64_t n = first; n < first + requests; ++n) count += is_sampled(sampling, n) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("one request in so many is traced, all or none", "[trace_sampler]") {
  CHECK(sampled({.one_in = 1}, 0, 100) == 100);
  CHECK(sampled({.one_in = 0}, 0, 100) == 0);
  for (const std::uint64_t seed : {0U, 1U, 77U}) {
    const int tenth = sampled({.one_in = 10, .seed = seed}, 0, 100'000);
    CHECK(tenth > 9'700);
    CHECK(tenth < 10'300);
  }
}

TEST_CASE("which requests are traced follows no period, and another seed draws others",
          "[trace_sampler]") {
  int both = 0;
  int every_tenth = 0;
  for (std::uint64_t n = 0; n < 100'000; ++n) {
    const bool a = is_sampled({.one_in = 10}, n);
    both += a && is_sampled({.one_in = 10, .seed = 1}, n) ? 1 : 0;
    every_tenth += a && n % 10 == 3 ? 1 : 0;
  }
  CHECK(both > 800);
  CHECK(both < 1'200);
  CHECK(every_tenth > 800);
  CHECK(every_tenth < 1'200);
}

TEST_CASE("a sampler hands traces of its clock and bound to the requests drawn",
          "[trace_sampler]") {
  const galley::Clock clock = support::HandClock().now().clock;
  const TraceSampling sampling{.one_in = 3, .seed = 5, .trace = {.max_spans = 1}};
  TraceSampler sampler(sampling, clock);
  int traces = 0;
  for (std::uint64_t n = 0; n < 300; ++n) {
    const std::shared_ptr<Trace> trace = sampler.next();
    REQUIRE((trace != nullptr) == is_sampled(sampling, n));
    if (trace == nullptr) continue;
    ++traces;
    CHECK(trace->clock() == clock);
    (void)trace->open({}, {});
    (void)trace->open({}, {});
    CHECK(trace->lost() == 1);
  }
  CHECK(traces > 70);
  CHECK(traces < 130);
}
