#include <galley/core/outcomes.hpp>

#include <support/allocations.hpp>
#include <support/rows.hpp>

#include <memory_resource>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Casualties;
using galley::Error;
using galley::Outcomes;
using galley::Result;
using galley::RowIndex;
using galley::Rows;
using galley::Status;
using support::AllocationCount;
using support::MoveOnly;
using support::Particle;

TEST_CASE("outcomes without casualties store and allocate nothing beside the rows", "[outcomes]") {
  const AllocationCount count;
  Outcomes<int> one = Rows<int>::single(3);
  CHECK(one.size() == 1);
  CHECK(one.all_ok());
  CHECK(one[0].has_value());
  CHECK(*one[0] == 3);
  CHECK(std::move(one).only() == Result<int>(3));
  const auto none = Outcomes<int>();
  CHECK(none.empty());
  CHECK(none.all_ok());
  CHECK(count.so_far() == 0);
}

TEST_CASE("the values of a batch that succeeded are made in their place", "[outcomes]") {
  const Outcomes<int> made(std::in_place, [] { return Rows<int>{1, 2, 3}; });
  CHECK(made.all_ok());
  CHECK(made.survivors() == Rows<int>{1, 2, 3});
}

TEST_CASE("casualties are kept by ascending row", "[outcomes]") {
  Casualties casualties;
  CHECK(casualties.empty());
  CHECK(casualties.find(0) == nullptr);
  CHECK(casualties.before(9) == 0);
  casualties.insert(5, Error(Status::internal, "five"));
  casualties.insert(2, Error(Status::internal, "two"));
  casualties.append(9, Error(Status::internal, "nine"));
  casualties.insert(0, Error(Status::internal, "nought"));
  REQUIRE(casualties.size() == 4);
  std::vector<RowIndex> rows;
  for (const galley::Casualty& c : casualties) rows.push_back(c.row);
  CHECK(rows == std::vector<RowIndex>{0, 2, 5, 9});
  CHECK(casualties.find(2)->detail == "two");
  CHECK(casualties.find(3) == nullptr);
  CHECK(casualties.find(10) == nullptr);
  CHECK(casualties.before(0) == 0);
  CHECK(casualties.before(5) == 2);
  CHECK(casualties.before(6) == 3);
  CHECK(casualties.before(100) == 4);
  Casualties moved = std::move(casualties);
  CHECK(casualties.empty());
  CHECK(moved.size() == 4);
}

TEST_CASE("outcomes are indexed by row, survivors and casualties alike", "[outcomes]") {
  const unsigned seed = 4;
  std::mt19937 random(seed);
  CAPTURE(seed);
  for (int round = 0; round < 300; ++round) {
    const std::size_t n = random() % 9;
    std::vector<bool> failed(n);
    Rows<int> survivors;
    Casualties casualties;
    for (std::size_t i = 0; i < n; ++i) {
      failed[i] = random() % 3 == 0;
      if (failed[i]) {
        casualties.append(i, Error(Status::not_found, std::to_string(i)));
      } else {
        survivors.push_back(static_cast<int>(i));
      }
    }
    const Outcomes<int> outcomes(std::move(survivors), std::move(casualties));
    CAPTURE(round);
    REQUIRE(outcomes.size() == n);
    for (std::size_t i = 0; i < n; ++i) {
      REQUIRE(outcomes[i].has_value() == !failed[i]);
      REQUIRE(outcomes[i].status() == (failed[i] ? Status::not_found : Status::ok));
      if (failed[i]) {
        REQUIRE(outcomes[i].error().detail == std::to_string(i));
        REQUIRE(outcomes[i].result() == Result<int>(Error(Status::not_found, std::to_string(i))));
      } else {
        REQUIRE(*outcomes[i] == static_cast<int>(i));
        REQUIRE(outcomes[i].result() == Result<int>(static_cast<int>(i)));
      }
    }
  }
}

TEST_CASE("rows that all failed say the same", "[outcomes]") {
  const auto all = Outcomes<int>::failed(3, Error(Status::unavailable, "shut down"));
  CHECK(all.size() == 3);
  CHECK_FALSE(all.all_ok());
  CHECK(all.survivors().empty());
  for (std::size_t i = 0; i < 3; ++i) CHECK(all[i].error().detail == "shut down");
  CHECK(Outcomes<int>::failed(0, Error(Status::unavailable)).empty());
  CHECK(Outcomes<int>::failed(0, Error(Status::unavailable)).all_ok());
}

TEST_CASE("the outcome of one row is a result and back", "[outcomes]") {
  Outcomes<MoveOnly> good = Outcomes<MoveOnly>::single(MoveOnly(8));
  CHECK((*good[0]).get() == 8);
  CHECK(std::move(good).only()->get() == 8);
  auto bad = Outcomes<MoveOnly>::single(Error(Status::not_found, "x"));
  CHECK(bad.size() == 1);
  CHECK(std::move(bad).only().error() == Error(Status::not_found, "x"));
}

TEST_CASE("outcomes of a user's own layout are indexed as any", "[outcomes]") {
  Casualties casualties;
  casualties.append(0, Error(Status::internal));
  Rows<Particle> survivors;
  survivors.push_back({1, 1});
  survivors.push_back({2, 2});
  const Outcomes<Particle> outcomes(std::move(survivors), std::move(casualties));
  CHECK(outcomes.size() == 3);
  CHECK(*outcomes[2] == Particle{2, 2});
  CHECK(outcomes[1].result() == Result<Particle>(Particle{1, 1}));
  CHECK(Outcomes<Particle>::single(Particle{4, 4}).only() == Result<Particle>(Particle{4, 4}));
}

TEST_CASE("outcomes know whether they answer a number of rows", "[outcomes]") {
  const auto made = [](std::size_t survivors, std::vector<std::size_t> casualties) {
    Rows<int> rows;
    for (std::size_t i = 0; i < survivors; ++i) rows.push_back(0);
    Casualties list;
    for (std::size_t row : casualties) list.append(row, Error());
    return Outcomes<int>(std::move(rows), std::move(list));
  };
  CHECK(made(0, {}).answers(0));
  CHECK(made(2, {}).answers(2));
  CHECK(made(2, {1}).answers(3));
  CHECK(made(0, {0, 1}).answers(2));
  CHECK_FALSE(made(2, {}).answers(3));
  CHECK_FALSE(made(2, {1}).answers(2));
  CHECK_FALSE(made(1, {7}).answers(2));  // right in number, but there is no row 7
}
