#include <galley/core/completion.hpp>

#include <support/allocations.hpp>
#include <support/rows.hpp>

#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchCompletion;
using galley::Completion;
using galley::Error;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Status;
using support::AllocationCount;

namespace {

/// Collects what a completion was told.
struct Answers {
  std::vector<Result<int>> results;
  Completion<int> owed() {
    return [this](Result<int> result) { results.push_back(std::move(result)); };
  }
  std::vector<Outcomes<int>> batches;
  BatchCompletion<int> owed(std::size_t rows) {
    return {rows, [this](Outcomes<int> outcomes) { batches.push_back(std::move(outcomes)); }};
  }
};

}  // namespace

TEST_CASE("a completion answers once, and a second answer is ignored", "[completion]") {
  Answers answers;
  Completion<int> done = answers.owed();
  CHECK(static_cast<bool>(done));
  done(3);
  CHECK_FALSE(static_cast<bool>(done));
  done(4);
  done(Error(Status::internal));
  CHECK(answers.results == std::vector<Result<int>>{3});
}

TEST_CASE("a dropped completion answers cancelled", "[completion]") {
  Answers answers;
  { const Completion<int> done = answers.owed(); }
  REQUIRE(answers.results.size() == 1);
  CHECK(answers.results[0].status() == Status::cancelled);
}

TEST_CASE("a completion that an exception drops answers internal", "[completion]") {
  Answers answers;
  try {
    const Completion<int> done = answers.owed();
    throw std::runtime_error("boom");
  } catch (const std::runtime_error&) {
  }
  REQUIRE(answers.results.size() == 1);
  CHECK(answers.results[0].status() == Status::internal);
}

TEST_CASE("a moved completion owes the answer, its source owes nothing", "[completion]") {
  Answers answers;
  {
    Completion<int> first = answers.owed();
    Completion<int> second = std::move(first);
    CHECK_FALSE(static_cast<bool>(first));
    first(1);
    Completion<int>& same = second;
    second = std::move(same);
    CHECK(static_cast<bool>(second));
    second(2);
  }
  CHECK(answers.results == std::vector<Result<int>>{2});
}

TEST_CASE("assigning over an owed answer drops it first", "[completion]") {
  Answers first, second;
  Completion<int> done = first.owed();
  done = second.owed();
  REQUIRE(first.results.size() == 1);
  CHECK(first.results[0].status() == Status::cancelled);
  CHECK(second.results.empty());
  done(5);
  CHECK(second.results == std::vector<Result<int>>{5});
}

TEST_CASE("an empty completion owes nothing", "[completion]") {
  Completion<int> none;
  none(1);
  BatchCompletion<int> nothing;
  nothing(Outcomes<int>());
  nothing.fail(Error(Status::internal));
  CHECK_FALSE(static_cast<bool>(none));
  CHECK_FALSE(static_cast<bool>(nothing));
  CHECK(nothing.rows() == 0);
}

TEST_CASE("small captures are held without allocating, large ones with it", "[completion]") {
  int heard = 0;
  std::array<long, 5> small{1, 2, 3, 4, 5};
  std::array<long, 20> large{};
  const AllocationCount count;
  {
    Completion<int> done = [&heard, small](Result<int> r) {
      heard += *r + static_cast<int>(small[4]);
    };
    Completion<int> moved = std::move(done);
    moved(1);
  }
  CHECK(count.so_far() == 0);
  CHECK(heard == 6);
  {
    Completion<int> done = [&heard, large](Result<int> r) {
      heard += *r + static_cast<int>(large[4]);
    };
    Completion<int> moved = std::move(done);
    moved(1);
  }
  CHECK(count.so_far() == 1);
  CHECK(heard == 7);
}

TEST_CASE("a batch completion holds a completion without allocating", "[completion]") {
  Answers answers;
  answers.results.reserve(1);
  const AllocationCount count;
  BatchCompletion<int> done(
      1, [owed = answers.owed()](Outcomes<int> o) mutable { owed(std::move(o).only()); });
  BatchCompletion<int> moved = std::move(done);
  moved(Outcomes<int>(Rows<int>::single(4)));
  CHECK(count.so_far() == 0);
  CHECK(answers.results == std::vector<Result<int>>{4});
}

TEST_CASE("captures are destroyed with the completion, called or not", "[completion]") {
  const auto alive = std::make_shared<int>(0);
  {
    Completion<int> called = [alive](Result<int>) {};
    const Completion<int> dropped = [alive](Result<int>) {};
    std::array<char, 100> padding{};
    const Completion<int> large = [alive, padding](Result<int>) { (void)padding; };
    called(1);
    CHECK(alive.use_count() == 3);
  }
  CHECK(alive.use_count() == 1);
}

TEST_CASE("over-aligned captures are kept aligned", "[completion]") {
  support::Wide wide{9};
  int heard = 0;
  Completion<int> done = [wide, &heard](Result<int>) {
    heard = reinterpret_cast<std::uintptr_t>(&wide) % alignof(support::Wide) == 0 ? wide.value : -1;
  };
  Completion<int> moved = std::move(done);
  moved(0);
  CHECK(heard == 9);
}

TEST_CASE("a completion may be destroyed by the answer it gives", "[completion]") {
  int heard = 0;
  std::optional<Completion<int>> done;
  done.emplace([&](Result<int> r) {
    done.reset();
    heard = *r;
  });
  (*done)(6);
  CHECK(heard == 6);
}

TEST_CASE("what a completion's function throws goes nowhere", "[completion]") {
  Completion<int> done = [](Result<int>) { throw std::runtime_error("nobody listens"); };
  done(1);
  const std::array<char, 100> padding{};
  Completion<int> large = [padding](Result<int>) { throw padding[0]; };
  large(1);
  CHECK_FALSE(static_cast<bool>(done));
}

TEST_CASE("a batch completion answers all its rows, once", "[completion]") {
  Answers answers;
  BatchCompletion<int> done = answers.owed(2);
  CHECK(done.rows() == 2);
  done(Outcomes<int>(Rows<int>{1, 2}));
  done(Outcomes<int>(Rows<int>{3, 4}));
  done.fail(Error(Status::internal));
  REQUIRE(answers.batches.size() == 1);
  CHECK(*answers.batches[0][1] == 2);
}

TEST_CASE("a batch completion given another number of rows answers internal for all",
          "[completion]") {
  Answers answers;
  answers.owed(3)(Outcomes<int>(Rows<int>{1, 2}));
  REQUIRE(answers.batches.size() == 1);
  REQUIRE(answers.batches[0].size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(answers.batches[0][i].error() == Error(Status::internal, "answered 2 rows, expected 3"));
  }
  galley::Casualties beyond;
  beyond.append(9, Error(Status::not_found));
  answers.owed(2)(Outcomes<int>(Rows<int>{1}, std::move(beyond)));
  REQUIRE(answers.batches.size() == 2);
  REQUIRE(answers.batches[1].size() == 2);
  for (std::size_t i = 0; i < 2; ++i) CHECK(answers.batches[1][i].status() == Status::internal);
}

TEST_CASE("a dropped batch completion answers cancelled for each row", "[completion]") {
  Answers answers;
  {
    BatchCompletion<int> done = answers.owed(2);
    BatchCompletion<int> moved = std::move(done);
    done = answers.owed(1);
  }
  REQUIRE(answers.batches.size() == 2);
  CHECK(answers.batches[0].size() + answers.batches[1].size() == 3);
  for (const auto& batch : answers.batches) CHECK(batch[0].status() == Status::cancelled);
}

// ---- where exceptions stop ---------------------------------------------------------------------

TEST_CASE("what user code throws becomes an error", "[exceptions]") {
  const auto call = [](auto f) { return galley::detail::CatchExceptions::call<int>(f); };
  CHECK(*call([] { return 3; }) == 3);
  CHECK(call([]() -> int { throw std::runtime_error("boom"); }).error() ==
        Error(Status::internal, "threw: boom"));
  CHECK(call([]() -> int { throw std::bad_alloc(); }).status() == Status::resource_exhausted);
  const auto odd = call([]() -> int { throw 42; });
  CHECK(odd.status() == Status::internal);
  CHECK(odd.error().detail == "threw something that is not a std::exception");
}
