#include <galley/policy/batch/any.hpp>
#include <galley/policy/batch/preferred_sizes.hpp>
#include <galley/policy/batch/size_or_delay.hpp>
#include <galley/testing/contracts/batch_policy.hpp>

#include <chrono>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::AnyBatchPolicy;
using namespace std::chrono_literals;

TEST_CASE("any batch policy decides as the one that it holds", "[policy][batch]") {
  const galley::CostTable costs;
  const galley::SizeOrDelay held{.max_rows = 4, .max_delay = 3ms};
  const AnyBatchPolicy any = held;
  CHECK(any.max_wait() == 3ms);
  for (std::size_t rows = 1; rows < 9; ++rows) {
    for (const galley::Duration oldest : {0ms, 2ms, 3ms}) {
      const galley::BatchView view{.rows = rows, .limit = 16, .oldest = oldest, .costs = &costs};
      CHECK(any.decide(view) == held.decide(view));
    }
  }
  REQUIRE(any.as<galley::SizeOrDelay>() != nullptr);
  CHECK(any.as<galley::SizeOrDelay>()->max_rows == 4);
  CHECK(any.as<galley::LearnedCap>() == nullptr);
  CHECK(any.name().find("SizeOrDelay") != std::string::npos);
  CHECK(AnyBatchPolicy().as<galley::LearnedCap>() != nullptr);
}

TEST_CASE("any batch policy keeps the obligations of those it holds", "[policy][batch]") {
  CHECK(galley::check_batch_policy(AnyBatchPolicy()).empty());
  CHECK(galley::check_batch_policy(AnyBatchPolicy(galley::SizeOrDelay())).empty());
  CHECK(galley::check_batch_policy(AnyBatchPolicy(galley::PreferredSizes{{4, 8}, 1ms})).empty());
}

TEST_CASE("preferred sizes are taken from a list of any length", "[policy][batch]") {
  const std::vector<std::size_t> given = {8, 0, 4};
  const galley::PreferredSizes policy(std::span<const std::size_t>(given), 1ms);
  CHECK(std::vector(policy.sizes().begin(), policy.sizes().end()) ==
        std::vector<std::size_t>{4, 8});
  const std::vector<std::size_t> many(40, 2);
  CHECK(galley::PreferredSizes(std::span<const std::size_t>(many)).sizes().size() == 16);
}
