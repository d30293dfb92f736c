#include <galley/policy/budget.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <support/catch.hpp>

using galley::Budget;
using galley::TimePoint;
using namespace std::chrono_literals;

namespace {
constexpr TimePoint start{1h};
}

TEST_CASE("a budget begins full and gives no more than it has", "[budget]") {
  Budget budget({.ratio = 0, .per_second = 0, .burst = 3});
  CHECK(budget.take(2, 0, start) == 2);
  CHECK(budget.take(2, 0, start) == 1);
  CHECK(budget.take(2, 0, start + 1h) == 0);
}

TEST_CASE("work earns its ratio, up to the burst", "[budget]") {
  Budget budget({.ratio = 0.1, .per_second = 0, .burst = 2});
  CHECK(budget.take(2, 0, start) == 2);
  CHECK(budget.take(9, 9, start) == 0);
  CHECK(budget.take(9, 10, start) == 1);
  CHECK(budget.take(9, 30, start) == 2);
  CHECK(budget.take(9, 1'000'000, start) == 2);  // not what was earned long ago
  CHECK(budget.take(9, 999'999, start) == 0);    // a count that threads saw in another order
}

TEST_CASE("time earns a minimum, however little work there is", "[budget]") {
  Budget budget({.ratio = 0, .per_second = 10, .burst = 5});
  CHECK(budget.take(5, 0, start) == 5);
  CHECK(budget.take(1, 0, start + 50ms) == 0);
  CHECK(budget.take(1, 0, start + 100ms) == 1);
  CHECK(budget.take(9, 0, start + 10s) == 5);
  CHECK(budget.take(9, 0, start) == 0);  // a clock that was read in another order
}

TEST_CASE("a budget keeps extra work to its share, whatever is wanted", "[budget]") {
  for (const double ratio : {0.0, 0.05, 0.2, 1.0}) {
    Budget budget({.ratio = ratio, .per_second = 0, .burst = 10});
    std::uint64_t taken = 0;
    for (std::uint64_t asked = 1; asked <= 10'000; ++asked) {
      taken += budget.take(1 + asked % 3, asked, start);
    }
    CAPTURE(ratio, taken);
    CHECK(static_cast<double>(taken) <= 10 + 10'000 * ratio + 1);
    CHECK(static_cast<double>(taken) >= 10'000 * ratio - 1);
  }
}
