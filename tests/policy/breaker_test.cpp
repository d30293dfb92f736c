#include <galley/policy/breaker.hpp>

#include <chrono>
#include <cstddef>
#include <string>

#include <support/catch.hpp>

using galley::admitted;
using galley::BreakerOptions;
using galley::BreakerState;
using galley::BreakerView;
using galley::next_state;
using namespace std::chrono_literals;

TEST_CASE("a breaker opens by the share of failures, and closes by its probes", "[breaker]") {
  const BreakerOptions options{.failure_rate = 0.5, .least_rows = 20, .open_for = 5s, .probes = 10};
  using enum BreakerState;
  struct Case {
    BreakerView view;
    BreakerState next;
  };
  const Case cases[] = {
      {{.state = closed}, closed},
      {{.state = closed, .rows = 19, .failures = 19}, closed},
      {{.state = closed, .rows = 20, .failures = 9}, closed},
      {{.state = closed, .rows = 20, .failures = 10}, open},
      {{.state = open, .waited = 4999ms}, open},
      {{.state = open, .waited = 5s}, half_open},
      {{.state = half_open}, half_open},
      {{.state = half_open, .waited = 1h}, half_open},  // nobody came to try
      {{.state = half_open, .rows = 9, .failures = 4, .probes = 10}, half_open},
      {{.state = half_open, .rows = 5, .failures = 5, .probes = 10}, open},
      {{.state = half_open, .rows = 10, .failures = 4, .probes = 10}, closed},
      {{.state = half_open, .rows = 10, .failures = 5, .probes = 10}, open},
      {{.state = half_open, .rows = 9, .probes = 10, .waited = 4s}, half_open},
      {{.state = half_open, .rows = 9, .probes = 10, .waited = 5s}, open},  // one never answers
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(to_string(c.view.state)), c.view.rows, c.view.failures, c.view.probes,
            c.view.waited.count());
    CHECK(next_state(c.view, options) == c.next);
  }
}

TEST_CASE("without a failure a breaker stays closed, whatever the rate", "[breaker]") {
  CHECK(next_state({.rows = 1000}, {.failure_rate = 1e-9}) == BreakerState::closed);
  CHECK(next_state({.rows = 1000, .failures = 1}, {.failure_rate = 1e-9}) == BreakerState::open);
}

TEST_CASE("all rows go through closed, none open, some half open", "[breaker]") {
  const BreakerOptions options{.probes = 10};
  CHECK(admitted({.state = BreakerState::closed}, 1000, options) == 1000);
  CHECK(admitted({.state = BreakerState::open}, 1000, options) == 0);
  CHECK(admitted({.state = BreakerState::half_open}, 1000, options) == 10);
  CHECK(admitted({.state = BreakerState::half_open, .probes = 7}, 2, options) == 2);
  CHECK(admitted({.state = BreakerState::half_open, .probes = 7}, 9, options) == 3);
  CHECK(admitted({.state = BreakerState::half_open, .probes = 10}, 9, options) == 0);
}
