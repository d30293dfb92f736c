#include <galley/policy/hedge.hpp>

#include <chrono>

#include <support/catch.hpp>

using galley::Duration;
using galley::HedgeDelays;
using namespace std::chrono_literals;

TEST_CASE("nothing is late while it is not known how long requests take", "[hedge]") {
  HedgeDelays delays({});
  for (int i = 0; i < 15; ++i) delays.observe(1, 1ms);
  CHECK(delays.delay(1) == Duration::max());
  delays.observe(1, 1ms);
  CHECK(delays.delay(1) == 1ms);
  CHECK(delays.delay(2) == Duration::max());
}

TEST_CASE("larger requests have longer, by powers of two", "[hedge]") {
  HedgeDelays delays({});
  for (int i = 0; i < 20; ++i) {
    delays.observe(1, 1ms);
    delays.observe(200, 50ms);
  }
  CHECK(delays.delay(1) < 2ms);
  CHECK(delays.delay(128) > 40ms);
  CHECK(delays.delay(255) == delays.delay(128));
  CHECK(delays.delay(256) == Duration::max());
  CHECK(delays.delay(~std::size_t{0}) == Duration::max());
}

TEST_CASE("no request has less than the least delay", "[hedge]") {
  HedgeDelays delays({.least_delay = 5ms});
  for (int i = 0; i < 16; ++i) delays.observe(1, 1us);
  CHECK(delays.delay(1) == 5ms);
}
