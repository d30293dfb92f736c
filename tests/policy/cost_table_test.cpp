#include <galley/policy/cost_table.hpp>

#include <support/costs.hpp>

#include <chrono>
#include <random>

#include <support/catch.hpp>

using galley::CostProfile;
using galley::CostTable;
using galley::Duration;
using galley::Status;
using std::chrono::microseconds;
using support::table_of;

TEST_CASE("a table that has seen nothing knows nothing", "[cost_table]") {
  const CostTable table;
  CHECK(table.empty());
  CHECK(table.mean(4) == Duration::zero());
  CHECK(table.p95(4) == Duration::zero());
  CHECK(table.best_size(64) == 0);
  CHECK(table.largest_seen() == 0);
}

TEST_CASE("sizes that were not seen lie in line with those that were", "[cost_table]") {
  const CostTable table = table_of({{2, microseconds(20)}, {6, microseconds(40)}});
  CHECK(table.mean(2) == microseconds(20));
  CHECK(table.mean(4) == microseconds(30));
  CHECK(table.mean(1) == microseconds(20));
  CHECK(table.mean(10) == microseconds(60));
  CHECK(table.mean(0) == Duration::zero());
  CHECK(table_of({{4, microseconds(40)}}).mean(8) == microseconds(80));
  // A larger batch is never expected to be faster than the largest that was seen.
  CHECK(table_of({{1, microseconds(90)}, {4, microseconds(30)}}).mean(8) == microseconds(30));
}

TEST_CASE("the best size has the most rows a second, the smallest where that is as good",
          "[cost_table]") {
  CHECK(table_of({{1, microseconds(91)}, {4, microseconds(120)}, {64, microseconds(680)}})
            .best_size(128) == 64);
  CHECK(table_of({{1, microseconds(91)}, {4, microseconds(120)}, {64, microseconds(680)}})
            .best_size(32) == 4);
  // The small CNN: no batch beats single rows.
  CHECK(table_of({{1, microseconds(82)}, {2, microseconds(287)}, {8, microseconds(773)}})
            .best_size(128) == 1);
  CHECK(table_of({{8, microseconds(80)}, {16, microseconds(158)}}).best_size(128) == 8);
}

TEST_CASE("the first run counts for less than the second, and a stray one hardly", "[cost_table]") {
  CostTable table;
  table.observe(1, microseconds(5000));
  CHECK(table.mean(1) == microseconds(5000));
  table.observe(1, microseconds(90));
  CHECK(table.mean(1) == microseconds(90));
  for (int i = 0; i < 8; ++i) table.observe(1, microseconds(90));
  table.observe(1, microseconds(4000));
  CHECK(table.mean(1) < microseconds(120));
  CHECK(table.seen(1) == 11);
}

TEST_CASE("a few lucky runs do not make a size the best", "[cost_table]") {
  CostTable table;
  for (int i = 0; i < 20; ++i) table.observe(1, microseconds(100));
  for (int i = 0; i < 11; ++i) table.observe(4, microseconds(376));  // 6 % faster per row
  CHECK(table.best_size(64) == 1);
  for (int i = 0; i < 20; ++i) table.observe(4, microseconds(376));
  CHECK(table.best_size(64) == 4);
  table.observe(8, microseconds(400));
  CHECK(table.best_size(64) == 8);
}

TEST_CASE("a table knows how long a size has not been seen", "[cost_table]") {
  CostTable table;
  table.observe(4, microseconds(100));
  CHECK(table.unseen_for(4) == Duration::zero());
  CHECK(table.unseen_for(2) == Duration::max());
  table.observe(2, microseconds(50));
  table.observe(8, microseconds(200));
  CHECK(table.unseen_for(4) == microseconds(250));
  const auto again = CostTable::of_profile(table.profile());
  REQUIRE(again.has_value());
  CHECK(again->unseen_for(4) == microseconds(250));
}

TEST_CASE("a slow first run says nothing of what a size takes at most", "[cost_table]") {
  CostTable table;
  table.observe(8, std::chrono::milliseconds(27));
  table.observe(8, microseconds(100));
  CHECK(table.p95(8) == microseconds(100));
}

TEST_CASE("a model that slows down is believed after a while", "[cost_table]") {
  CostTable table = table_of({{4, microseconds(100)}});
  for (int i = 0; i < 60; ++i) table.observe(4, microseconds(500));
  CHECK(table.mean(4) > microseconds(480));
  CHECK(table.mean(4) <= microseconds(500));
}

TEST_CASE("the p95 settles where one run in twenty takes longer", "[cost_table]") {
  CostTable table;
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    table.observe(8, microseconds(100 + static_cast<std::int64_t>(random() % 100)));
  }
  CHECK(table.mean(8) > microseconds(140));
  CHECK(table.mean(8) < microseconds(160));
  CHECK(table.p95(8) > microseconds(188));
  CHECK(table.p95(8) < microseconds(205));
}

TEST_CASE("no rows and no time are no observation", "[cost_table]") {
  CostTable table;
  table.observe(0, microseconds(10));
  CHECK(table.empty());
  table.observe(1, Duration::zero());
  CHECK(table.mean(1) > Duration::zero());
  CHECK(table.best_size(1) == 1);
}

TEST_CASE("a profile is what another table begins with", "[cost_table]") {
  const CostTable table = table_of({{1, microseconds(91)}, {64, microseconds(680)}});
  const auto again = CostTable::of_profile(table.profile());
  REQUIRE(again.has_value());
  CHECK(again->profile() == table.profile());
  CHECK(again->best_size(64) == 64);
}

TEST_CASE("a profile that no table could have is refused", "[cost_table]") {
  const galley::BatchCost good{.rows = 4, .mean = Duration(10), .p95 = Duration(12), .seen = 3};
  galley::BatchCost late = good;
  late.p95 = Duration(9);
  galley::BatchCost free = good;
  free.mean = Duration(0);
  CHECK(CostTable::of_profile({good, good}).status() == Status::invalid_argument);
  CHECK(CostTable::of_profile({late}).status() == Status::invalid_argument);
  CHECK(
      CostTable::of_profile({free}).error().detail ==
      "cost profile: expected ascending sizes from 1, means above 0, p95s not below them, at most "
      "an hour, got 4 rows in 0 ns, p95 12 ns");
}
