#include <galley/policy/sample.hpp>

#include <cstdint>

#include <support/catch.hpp>

using galley::is_sampled;

TEST_CASE("a sample is its share, of counters and of keys", "[sample]") {
  for (const double share : {0.0, 0.01, 0.25, 1.0}) {
    for (const std::uint64_t step : {std::uint64_t{1}, std::uint64_t{1} << 32U}) {
      int sampled = 0;
      for (std::uint64_t i = 0; i < 20'000; ++i) sampled += is_sampled(i * step, share, 7) ? 1 : 0;
      CAPTURE(share, step, sampled);
      CHECK(sampled >= 20'000 * share - 300);
      CHECK(sampled <= 20'000 * share + 300);
    }
  }
}

TEST_CASE("a larger share contains a smaller one, another seed is another sample", "[sample]") {
  int other = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    if (is_sampled(i, 0.1, 3)) CHECK(is_sampled(i, 0.2, 3));
    other += is_sampled(i, 0.5, 3) != is_sampled(i, 0.5, 4) ? 1 : 0;
  }
  CHECK(other > 400);
  CHECK(other < 600);
}
