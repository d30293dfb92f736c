#include <galley/policy/padding.hpp>

#include <support/costs.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::CostTable;
using galley::Duration;
using galley::geometric_lengths;
using galley::merge_upward;
using galley::padded_length_for;
using galley::PaddedLoad;
using support::table_of;
using namespace std::chrono_literals;

using Lengths = std::vector<std::size_t>;

namespace {

/// What each length's rows run in, of as many lengths as there are loads.
Lengths merged(const std::vector<PaddedLoad>& loads) {
  const galley::MergedLengths into = merge_upward(loads);
  return {into.begin(), into.begin() + static_cast<std::ptrdiff_t>(loads.size())};
}

/// Batches of n rows take `fixed` + n `each`.
CostTable line(Duration fixed, Duration each) {
  return table_of({{1, fixed + each}, {100, fixed + 100 * each}});
}

}  // namespace

TEST_CASE("geometric lengths ascend by their ratio up to the most", "[padding]") {
  CHECK(geometric_lengths(8, 64) == Lengths{8, 12, 18, 27, 41, 62, 64});
  CHECK(geometric_lengths(1, 8) == Lengths{1, 2, 3, 5, 8});
  CHECK(geometric_lengths(16, 128, 2) == Lengths{16, 32, 64, 128});
  CHECK(geometric_lengths(5, 5) == Lengths{5});
  CHECK(geometric_lengths(3, 6, 1) == Lengths{3, 4, 5, 6});
  CHECK(geometric_lengths(3, 5, std::numeric_limits<double>::quiet_NaN()) == Lengths{3, 4, 5});
  CHECK(geometric_lengths(0, 5).empty());
  CHECK(geometric_lengths(6, 5).empty());
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  CHECK(geometric_lengths(1, most, 4).back() == most);
}

TEST_CASE("less than a third of a padded row is filling", "[padding]") {
  const Lengths lengths = geometric_lengths(8, 4096);
  REQUIRE(lengths.size() <= galley::max_padded_lengths);
  for (std::size_t length = 8; length <= 4096; ++length) {
    const std::size_t padded = lengths[padded_length_for(lengths, length)];
    REQUIRE(padded >= length);
    REQUIRE(3 * (padded - length) < padded);
  }
}

TEST_CASE("a row goes to the least length it fits", "[padding]") {
  const Lengths lengths{4, 8, 16};
  CHECK(padded_length_for(lengths, 1) == 0);
  CHECK(padded_length_for(lengths, 4) == 0);
  CHECK(padded_length_for(lengths, 5) == 1);
  CHECK(padded_length_for(lengths, 16) == 2);
  CHECK(padded_length_for(lengths, 17) == 3);
}

TEST_CASE("lengths run together where that is measured to be cheaper", "[padding]") {
  const CostTable short_fixed = line(100us, 1us), long_fixed = line(100us, 2us);
  const CostTable short_rows = line(1us, 10us), long_rows = line(1us, 20us);
  const CostTable longest_rows = line(1us, 100us);
  const CostTable none;
  struct Case {
    std::string what;
    std::vector<PaddedLoad> loads;
    Lengths into;
  };
  const std::vector<Case> cases{
      {"nothing", {}, {}},
      {"no rows", {{0, &short_fixed}, {0, &long_fixed}}, {0, 1}},
      {"one length alone", {{3, &short_fixed}, {0, &long_fixed}}, {0, 1}},
      {"a call costs more than the filling", {{1, &short_fixed}, {1, &long_fixed}}, {1, 1}},
      {"the filling costs more than a call", {{4, &short_rows}, {1, &long_rows}}, {0, 1}},
      {"more filling than a call is worth", {{200, &short_fixed}, {1, &long_fixed}}, {0, 1}},
      {"a length between that has no rows",
       {{1, &short_fixed}, {0, &none}, {1, &long_fixed}},
       {2, 1, 2}},
      {"all into the longest", {{1, &short_fixed}, {1, &short_fixed}, {1, &long_fixed}}, {2, 2, 2}},
      {"two together, the longest apart",
       {{1, &short_fixed}, {1, &short_fixed}, {1, &longest_rows}},
       {1, 1, 2}},
      {"the shorter is not measured", {{1, &none}, {1, &long_fixed}}, {0, 1}},
      {"the longer is not measured", {{1, &short_fixed}, {1, &none}}, {0, 1}},
      {"nothing is known of it", {{1, nullptr}, {1, &long_fixed}}, {0, 1}},
      {"none measured between", {{1, &short_fixed}, {1, &none}, {1, &long_fixed}}, {0, 1, 2}},
      {"none measured below", {{1, &none}, {1, &short_fixed}, {1, &long_fixed}}, {0, 2, 2}},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    CHECK(merged(one.loads) == one.into);
  }
}

TEST_CASE("equal costs leave lengths apart", "[padding]") {
  const CostTable one = table_of({{1, 10us}});
  const CostTable two = table_of({{1, 10us}, {2, 20us}});
  CHECK(merged({{1, &one}, {1, &two}}) == Lengths{0, 1});
}

TEST_CASE("a shorter length skips none of those that it cannot pay for alone", "[padding]") {
  // 0 with 1 costs more than apart, all three together cost least.
  const CostTable first = table_of({{1, 50us}});
  const CostTable second = table_of({{1, 50us}, {2, 120us}});
  const CostTable third = table_of({{1, 60us}, {2, 70us}, {3, 80us}});
  CHECK(merged({{1, &first}, {1, &second}, {1, &third}}) == Lengths{2, 2, 2});
  CHECK(merged({{1, &first}, {1, &second}}) == Lengths{0, 1});
}

TEST_CASE("no choice of neighbours is cheaper than the one made", "[padding]") {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const std::size_t lengths = 2 + random() % 4;
    std::vector<CostTable> tables;
    std::vector<PaddedLoad> loads;
    for (std::size_t i = 0; i < lengths; ++i) {
      tables.push_back(line(Duration(1000 + random() % 50'000), Duration(100 + random() % 20'000)));
    }
    for (const CostTable& table : tables) loads.push_back({1 + random() % 8, &table});
    const auto cost_of = [&](const Lengths& into) {
      Duration all{};
      for (std::size_t at = 0; at < lengths; ++at) {
        std::size_t rows = 0;
        for (std::size_t i = 0; i < lengths; ++i) rows += into[i] == at ? loads[i].rows : 0;
        all += tables[at].mean(rows);
      }
      return all;
    };
    const Duration chosen = cost_of(merged(loads));
    for (unsigned joints = 0; joints < 1U << (lengths - 1); ++joints) {
      Lengths into(lengths);
      std::size_t top = lengths - 1;
      for (std::size_t i = lengths; i-- > 0;) {
        if (i + 1 < lengths && (joints >> i & 1U) == 0) top = i;
        into[i] = top;
      }
      REQUIRE(chosen <= cost_of(into));
    }
  }
}

TEST_CASE("as many lengths as may be are merged", "[padding]") {
  const CostTable costs = line(100us, 1us);
  const std::vector<PaddedLoad> loads(galley::max_padded_lengths, PaddedLoad{1, &costs});
  CHECK(merged(loads) == Lengths(loads.size(), loads.size() - 1));
}
