#include <galley/policy/exponential.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <support/catch.hpp>

using galley::detail::exp_below_zero;
using galley::detail::sum_of_exponentials;

TEST_CASE("an exponential is within two units in the last place", "[exponential]") {
  double worst = 0;
  for (double x = -86.99; x <= 0; x += 1e-4) {
    const auto number = static_cast<float>(x);
    const double wanted = std::exp(static_cast<double>(number));
    const auto near = static_cast<float>(wanted);
    const double unit = std::nextafter(near, 2.0F) - near;
    worst = std::max(worst, std::fabs(static_cast<double>(exp_below_zero(number)) - wanted) / unit);
  }
  CHECK(worst < 2);
  CHECK(exp_below_zero(0.0F) == 1);
  CHECK(exp_below_zero(-0.0F) == 1);
  CHECK(exp_below_zero(-1.0) == std::exp(-1.0));
}

TEST_CASE("an exponential is zero where it would be denormal, and NaN of NaN", "[exponential]") {
  CHECK(exp_below_zero(-87.0F) == 0);
  CHECK(exp_below_zero(std::numeric_limits<float>::lowest()) == 0);
  CHECK(exp_below_zero(-std::numeric_limits<float>::infinity()) == 0);
  CHECK(std::isnan(exp_below_zero(std::nanf(""))));
}

TEST_CASE("a sum of exponentials is the sum of each, however many there are", "[exponential]") {
  std::vector<float> numbers;
  for (int n = 0; n < 40; ++n) {
    double wanted = 0;
    for (const float number : numbers) wanted += std::exp(static_cast<double>(number) - 3);
    CHECK(sum_of_exponentials(std::span<const float>(numbers), 3.0F) ==
          Approx(wanted).epsilon(1e-6));
    numbers.push_back(3.0F - 0.37F * static_cast<float>(n % 23));
  }
  numbers[17] = std::nanf("");
  CHECK(std::isnan(sum_of_exponentials(std::span<const float>(numbers), 3.0F)));
}
