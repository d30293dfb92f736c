#include <galley/policy/batch/preferred_sizes.hpp>
#include <galley/testing/contracts/batch_policy.hpp>

#include <chrono>
#include <vector>

#include <support/catch.hpp>

using galley::BatchDecision;
using galley::CloseReason;
using galley::CostTable;
using galley::Duration;
using galley::PreferredSizes;
using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST_CASE("preferred sizes keep the obligations of a batch policy", "[batch_policy][contract]") {
  CHECK(galley::check_batch_policy(PreferredSizes({4, 16}, milliseconds(1))).empty());
  CHECK(galley::check_batch_policy(PreferredSizes({})).empty());
  CHECK(galley::check_batch_policy(PreferredSizes({1000})).empty());
}

TEST_CASE("a batch has the largest preferred size there are rows for", "[batch_policy]") {
  CostTable costs;
  const PreferredSizes policy({16, 4, 0}, milliseconds(1));
  CHECK(std::vector<std::size_t>(policy.sizes().begin(), policy.sizes().end()) ==
        std::vector<std::size_t>{4, 16});
  const auto decide = [&](std::size_t rows, Duration oldest, std::size_t limit) {
    return policy.decide({.rows = rows, .limit = limit, .oldest = oldest, .costs = &costs});
  };
  CHECK(decide(40, {}, 64) == BatchDecision::close(16, CloseReason::full));
  CHECK(decide(7, {}, 64) == BatchDecision::close(4, CloseReason::full));
  CHECK(decide(3, microseconds(400), 64) == BatchDecision::wait_for(microseconds(600)));
  CHECK(decide(3, milliseconds(1), 64) == BatchDecision::close(3, CloseReason::delay));
  CHECK(decide(3, {}, 2) == BatchDecision::close(2, CloseReason::full));
}
