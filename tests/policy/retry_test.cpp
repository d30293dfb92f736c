#include <galley/policy/retry.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <support/catch.hpp>

using galley::decide;
using galley::Duration;
using galley::pause_after;
using galley::RetryDecision;
using galley::RetryOptions;
using galley::RetryView;
using galley::Status;
using namespace std::chrono_literals;

TEST_CASE("a row is tried again for a reason that may pass, while it has attempts and time",
          "[retry]") {
  struct Case {
    RetryView row;
    RetryDecision wanted;
  };
  const Case cases[] = {
      {{.status = Status::unavailable}, RetryDecision::again},
      {{.status = Status::resource_exhausted}, RetryDecision::again},
      {{.status = Status::invalid_argument}, RetryDecision::stays},
      {{.status = Status::deadline_exceeded}, RetryDecision::stays},
      {{.status = Status::cancelled}, RetryDecision::stays},
      {{.status = Status::internal}, RetryDecision::stays},
      {{.status = Status::unavailable, .attempts = 2}, RetryDecision::again},
      {{.status = Status::unavailable, .attempts = 3}, RetryDecision::stays},
      {{.status = Status::unavailable, .pause = 5ms, .time_left = 6ms}, RetryDecision::again},
      {{.status = Status::unavailable, .pause = 5ms, .time_left = 5ms}, RetryDecision::too_late},
      {{.status = Status::unavailable, .time_left = 0ms}, RetryDecision::too_late},
      {{.status = Status::internal, .time_left = 0ms}, RetryDecision::stays},
  };
  for (const Case& c : cases) {
    CAPTURE(to_string(c.row.status), c.row.attempts, c.row.pause.count(), c.row.time_left.count());
    CHECK(decide(c.row, RetryOptions()) == c.wanted);
  }
}

TEST_CASE("pauses are drawn below a limit that doubles up to a maximum", "[retry]") {
  const RetryOptions options{.backoff = 10ms, .max_backoff = 35ms};
  const Duration limits[] = {10ms, 20ms, 35ms, 35ms, 35ms};
  for (unsigned attempts = 1; attempts <= 5; ++attempts) {
    Duration least = Duration::max(), most = {};
    for (std::uint64_t random = 0; random < 1000; ++random) {
      const Duration pause = pause_after(attempts, options, random);
      least = std::min(least, pause);
      most = std::max(most, pause);
    }
    const Duration limit = limits[attempts - 1];
    CAPTURE(attempts);
    CHECK(least >= 0ns);
    CHECK(least < limit / 50);
    CHECK(most < limit);
    CHECK(most > limit * 49 / 50);
  }
  CHECK(pause_after(3, options, 7) == pause_after(3, options, 7));
  CHECK(pause_after(60, {.backoff = 1ns, .max_backoff = Duration::max()}, 1) > 1h);
}
