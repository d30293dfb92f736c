#include <galley/core/row_algebra.hpp>

#include <support/allocations.hpp>
#include <support/rows.hpp>

#include <bit>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchContext;
using galley::Casualties;
using galley::Context;
using galley::Error;
using galley::Outcomes;
using galley::PartOutcomes;
using galley::Result;
using galley::RowIndex;
using galley::Rows;
using galley::Split;
using galley::Status;
using support::MoveOnly;
using support::Particle;

namespace {

std::vector<RowIndex> list(std::span<const RowIndex> rows) {
  return {rows.begin(), rows.end()};
}

/// Each row's value or its error's detail, to compare with what was expected.
template <class T>
std::vector<std::string> said(const Outcomes<T>& outcomes) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (outcomes[i].has_value()) {
      all.push_back(std::to_string(*outcomes[i]));
    } else {
      all.push_back("!" + outcomes[i].error().detail);
    }
  }
  return all;
}

Rows<int> numbers(std::size_t n) {
  Rows<int> rows(n);
  for (std::size_t i = 0; i < n; ++i) rows.push_back(static_cast<int>(i));
  return rows;
}

}  // namespace

TEST_CASE("a split sorts rows by label, ascending, and names their places", "[row_algebra]") {
  const Rows<int> rows = numbers(6);
  const RowIndex places[] = {5, 4, 3, 2};
  const Batch<int> batch = Batch<int>(rows).at_places(places);
  const auto split = Split::by(batch, 3, [](std::size_t i) { return i == 3 ? 0u : 2u; });
  REQUIRE(split.has_value());
  CHECK(split->parts() == 3);
  CHECK(list(split->rows(0)) == std::vector<RowIndex>{3});
  CHECK(list(split->rows(1)).empty());
  CHECK(list(split->rows(2)) == std::vector<RowIndex>{0, 1, 2});
  CHECK(list(split->places(0)) == std::vector<RowIndex>{2});
  CHECK(list(split->places(2)) == std::vector<RowIndex>{5, 4, 3});
  CHECK(batch.at_places(split->places(2))[1] == 4);
}

TEST_CASE("a label beyond the parts is an error that names the row", "[row_algebra]") {
  const Rows<int> rows = numbers(3);
  const auto split = Split::by(Batch<int>(rows), 2, [](std::size_t i) { return i + 1; });
  REQUIRE_FALSE(split.has_value());
  CHECK(split.error() == Error(Status::internal, "row 1 was sent to part 2 of 2"));
}

TEST_CASE("no rows split into empty parts and merge into nothing", "[row_algebra]") {
  const auto split = Split::by(Batch<int>(), 2, [](std::size_t) { return 0; });
  REQUIRE(split.has_value());
  std::vector<PartOutcomes<int>> parts;
  for (std::size_t p = 0; p < 2; ++p) parts.push_back({split->rows(p), Outcomes<int>()});
  CHECK(galley::merge<int>(0, parts).empty());
}

TEST_CASE("what is split at random and merged is as it was", "[row_algebra]") {
  const unsigned seed = 7;
  std::mt19937 random(seed);
  CAPTURE(seed);
  for (int round = 0; round < 1000; ++round) {
    const std::size_t n = random() % 12;
    const std::size_t parts = 1 + random() % 4;
    const Rows<int> rows = numbers(n);
    const Batch<int> batch(rows);
    std::vector<std::size_t> label(n);
    std::vector<std::string> expected(n);
    for (std::size_t i = 0; i < n; ++i) {
      label[i] = random() % parts;
      expected[i] = random() % 3 == 0 ? "!" + std::to_string(i) : std::to_string(i);
    }
    const auto split = Split::by(batch, parts, [&](std::size_t i) { return label[i]; });
    REQUIRE(split.has_value());
    std::vector<PartOutcomes<int>> answered;
    for (std::size_t p = 0; p < parts; ++p) {
      const Batch<int> part = batch.at_places(split->places(p));
      Rows<int> survivors;
      Casualties casualties;
      for (std::size_t i = 0; i < part.size(); ++i) {
        if (expected[split->rows(p)[i]].front() == '!') {
          casualties.append(i, Error(Status::internal, std::to_string(part[i])));
        } else {
          survivors.push_back(part.take(i));
        }
      }
      answered.push_back(
          {split->rows(p), Outcomes<int>(std::move(survivors), std::move(casualties))});
    }
    const Outcomes<int> merged = galley::merge<int>(n, answered);
    CAPTURE(round);
    REQUIRE(said(merged) == expected);
  }
}

TEST_CASE("merge moves values and keeps a user's own layout", "[row_algebra]") {
  const std::vector<RowIndex> odd{1, 3}, even{0, 2};
  std::vector<PartOutcomes<MoveOnly>> boxes(2);
  boxes[0].rows = odd;
  boxes[1].rows = even;
  for (auto& part : boxes) {
    for (RowIndex row : part.rows)
      part.outcomes.survivors().push_back(MoveOnly(static_cast<int>(row)));
  }
  const Outcomes<MoveOnly> merged = galley::merge<MoveOnly>(4, boxes);
  for (std::size_t i = 0; i < 4; ++i) CHECK((*merged[i]).get() == static_cast<int>(i));

  std::vector<PartOutcomes<Particle>> particles(2);
  particles[0].rows = odd;
  particles[1].rows = even;
  for (auto& part : particles) {
    for (RowIndex row : part.rows) part.outcomes.survivors().push_back({0, static_cast<int>(row)});
  }
  const Outcomes<Particle> both = galley::merge<Particle>(4, particles);
  for (std::size_t i = 0; i < 4; ++i) CHECK((*both[i]).id == static_cast<int>(i));
}

TEST_CASE("a row that no part answered is an internal error", "[row_algebra]") {
  const std::vector<RowIndex> rows{0, 2};
  std::vector<PartOutcomes<int>> parts;
  parts.push_back({rows, Outcomes<int>(Rows<int>{10, 12})});
  const Outcomes<int> merged = galley::merge<int>(3, parts);
  CHECK(said(merged) == std::vector<std::string>{"10", "!no part answered this row", "12"});
  CHECK(merged[1].status() == Status::internal);
}

TEST_CASE("survivors are the rows that are no casualties", "[row_algebra]") {
  Casualties casualties;
  CHECK(galley::survivors_of(3, casualties) == std::vector<RowIndex>{0, 1, 2});
  casualties.append(0, Error());
  casualties.append(2, Error());
  CHECK(galley::survivors_of(4, casualties) == std::vector<RowIndex>{1, 3});
  CHECK(galley::survivors_of(0, Casualties()).empty());
}

TEST_CASE("later casualties are remapped past earlier ones, as by brute force", "[row_algebra]") {
  const unsigned seed = 11;
  std::mt19937 random(seed);
  CAPTURE(seed);
  for (int round = 0; round < 1000; ++round) {
    const std::size_t n = random() % 10;
    std::vector<std::string> expected;
    Casualties earlier, later;
    Rows<int> values;
    std::size_t survivor = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const auto what = random() % 4;
      if (what == 0) {
        earlier.append(i, Error(Status::internal, "first " + std::to_string(i)));
        expected.push_back("!first " + std::to_string(i));
        continue;
      }
      if (what == 1) {
        later.append(survivor, Error(Status::internal, "then " + std::to_string(i)));
        expected.push_back("!then " + std::to_string(i));
      } else {
        values.push_back(static_cast<int>(i));
        expected.push_back(std::to_string(i));
      }
      ++survivor;
    }
    const auto both = galley::with_earlier(std::move(earlier),
                                           Outcomes<int>(std::move(values), std::move(later)));
    CAPTURE(round);
    REQUIRE(said(both) == expected);
  }
}

// ---- bisect ------------------------------------------------------------------------------------

namespace {

/// A whole-batch function that fails for a batch that holds a guilty row, and counts its calls.
struct Kernel {
  std::set<std::size_t> guilty;
  Status status = Status::internal;
  std::size_t calls = 0;

  Outcomes<int> run(std::size_t n) {
    return galley::bisect<int>(n,
                               [&](std::size_t first, std::size_t count) -> Result<Outcomes<int>> {
                                 ++calls;
                                 const auto bad = guilty.lower_bound(first);
                                 if (bad != guilty.end() && *bad < first + count)
                                   return Error(status, "guilty");
                                 Rows<int> values(count);
                                 for (std::size_t i = first; i < first + count; ++i)
                                   values.push_back(static_cast<int>(i));
                                 return Outcomes<int>(std::move(values));
                               });
  }
};

std::size_t bound(std::size_t n) {
  return n == 0 ? 8 : 4 * static_cast<std::size_t>(std::bit_width(n) - 1) + 8;
}

}  // namespace

TEST_CASE("a batch that does not fail is asked once", "[row_algebra]") {
  Kernel kernel;
  CHECK(said(kernel.run(5)) == std::vector<std::string>{"0", "1", "2", "3", "4"});
  CHECK(kernel.calls == 1);
}

TEST_CASE("halving finds the one or two guilty rows wherever they are", "[row_algebra]") {
  for (std::size_t n : {1u, 2u, 3u, 7u, 8u, 33u}) {
    for (std::size_t a = 0; a < n; ++a) {
      for (std::size_t b = a; b < n; ++b) {
        Kernel kernel{.guilty = {a, b}};
        const Outcomes<int> outcomes = kernel.run(n);
        CAPTURE(n, a, b);
        REQUIRE(outcomes.size() == n);
        for (std::size_t i = 0; i < n; ++i) {
          REQUIRE(outcomes[i].status() == (i == a || i == b ? Status::internal : Status::ok));
          if (i != a && i != b) REQUIRE(*outcomes[i] == static_cast<int>(i));
        }
        REQUIRE(kernel.calls <= bound(n));
      }
    }
  }
}

TEST_CASE("halving never spends more calls than it may, and says unavailable then",
          "[row_algebra]") {
  const unsigned seed = 3;
  std::mt19937 random(seed);
  CAPTURE(seed);
  bool gave_up = false;
  for (int round = 0; round < 500; ++round) {
    const std::size_t n = 1 + random() % 200;
    Kernel kernel;
    for (std::size_t k = random() % 20; k > 0; --k) kernel.guilty.insert(random() % n);
    const Outcomes<int> outcomes = kernel.run(n);
    CAPTURE(round, n, kernel.guilty.size());
    REQUIRE(kernel.calls <= bound(n));
    REQUIRE(outcomes.size() == n);
    for (std::size_t i = 0; i < n; ++i) {
      const Status status = outcomes[i].status();
      if (status == Status::ok) REQUIRE(*outcomes[i] == static_cast<int>(i));
      REQUIRE((status == Status::unavailable ||
               status == (kernel.guilty.count(i) ? Status::internal : Status::ok)));
      gave_up = gave_up || status == Status::unavailable;
    }
  }
  CHECK(gave_up);
}

TEST_CASE("a batch is not halved for what is not its rows' fault", "[row_algebra]") {
  for (Status status : {Status::resource_exhausted, Status::unavailable}) {
    Kernel kernel{.guilty = {1}, .status = status};
    const Outcomes<int> outcomes = kernel.run(8);
    CHECK(kernel.calls == 1);
    for (std::size_t i = 0; i < 8; ++i) CHECK(outcomes[i].status() == status);
  }
}

TEST_CASE("running out of memory part-way fails that part only", "[row_algebra]") {
  std::size_t calls = 0;
  const auto call = [&](std::size_t first, std::size_t count) -> Result<Outcomes<int>> {
    if (++calls == 1) return Error(Status::internal, "whole");
    if (first == 0) return Error(Status::resource_exhausted, "no memory");
    return Outcomes<int>(numbers(count));
  };
  const Outcomes<int> outcomes = galley::bisect<int>(4, call);
  CHECK(calls == 3);
  CHECK(said(outcomes) == std::vector<std::string>{"!no memory", "!no memory", "0", "1"});
}

TEST_CASE("no rows are asked at most once", "[row_algebra]") {
  std::size_t calls = 0;
  const auto call = [&](std::size_t, std::size_t) -> Result<Outcomes<int>> {
    ++calls;
    return Error(Status::internal);
  };
  CHECK(galley::bisect<int>(0, call).empty());
  CHECK(calls <= 1);
}

TEST_CASE("casualties within a part keep their rows", "[row_algebra]") {
  const auto call = [&](std::size_t first, std::size_t count) -> Result<Outcomes<int>> {
    if (count > 2) return Error(Status::internal, "too many");
    Rows<int> values;
    Casualties casualties;
    for (std::size_t i = 0; i < count; ++i) {
      if ((first + i) % 3 == 1) {
        casualties.append(i, Error(Status::invalid_argument, "row " + std::to_string(first + i)));
      } else {
        values.push_back(static_cast<int>(first + i));
      }
    }
    return Outcomes<int>(std::move(values), std::move(casualties));
  };
  CHECK(said(galley::bisect<int>(8, call)) ==
        std::vector<std::string>{"0", "!row 1", "2", "3", "!row 4", "5", "6", "!row 7"});
}
