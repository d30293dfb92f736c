#include <galley/policy/outcome_window.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>

#include <support/catch.hpp>

using galley::OutcomeWindow;

TEST_CASE("a window holds the latest rows, and forgets the oldest tenth", "[outcome_window]") {
  OutcomeWindow window(100);
  window.add(100, 50);
  CHECK(window.rows() == 100);
  CHECK(window.failures() == 50);
  window.add(1, 0);
  CHECK(window.rows() == 91);
  CHECK(window.failures() == 45);
  window.add(99, 0);
  CHECK(window.rows() == 100);
  CHECK(window.failures() == 0);
  window.add(3, 3);
  window.clear();
  CHECK(window.rows() == 0);
}

TEST_CASE("more rows at once than a window holds count by their share", "[outcome_window]") {
  OutcomeWindow window(50);
  window.add(1'000'000'000'000, 250'000'000'000);
  CHECK(window.rows() == 50);
  CHECK(window.failures() >= 12);
  CHECK(window.failures() <= 13);
}

TEST_CASE("windows of any size hold what they should, against a queue of rows",
          "[outcome_window]") {
  for (const std::size_t size : {1U, 2U, 7U, 10U, 11U, 25U, 100U}) {
    OutcomeWindow window(size);
    std::deque<bool> rows;
    std::mt19937 random(static_cast<std::uint32_t>(size));
    for (int i = 0; i < 2000; ++i) {
      const bool failed = random() % 3 == 0;
      window.add(1, failed ? 1 : 0);
      rows.push_back(failed);
      CAPTURE(size, i);
      REQUIRE(window.rows() <= size + size / 10 + 2);
      if (rows.size() >= size) REQUIRE(window.rows() >= size - size / 10);
      while (rows.size() > window.rows()) rows.pop_front();
      std::uint64_t failures = 0;
      for (const bool one : rows) failures += one ? 1 : 0;
      REQUIRE(window.failures() == failures);
    }
  }
}
