#include <galley/policy/batch/size_or_delay.hpp>
#include <galley/testing/contracts/batch_policy.hpp>

#include <chrono>

#include <support/catch.hpp>

using galley::BatchDecision;
using galley::BatchView;
using galley::CloseReason;
using galley::CostTable;
using galley::Duration;
using galley::SizeOrDelay;
using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST_CASE("size or delay keeps the obligations of a batch policy", "[batch_policy][contract]") {
  CHECK(galley::check_batch_policy(SizeOrDelay{}).empty());
  CHECK(galley::check_batch_policy(SizeOrDelay{.max_rows = 1, .max_delay = Duration(0)}).empty());
  CHECK(galley::check_batch_policy(SizeOrDelay{.max_rows = 0}).empty());
}

TEST_CASE("a batch is closed by its size, its first row's age or a deadline", "[batch_policy]") {
  CostTable costs;
  costs.observe(4, microseconds(100));
  const SizeOrDelay policy{.max_rows = 8, .max_delay = milliseconds(2)};
  struct Case {
    std::size_t rows;
    Duration oldest;
    Duration slack;
    BatchDecision wanted;
  };
  const Duration ever = Duration::max();
  for (const Case& c : {
           Case{8, {}, ever, BatchDecision::close(8, CloseReason::full)},
           Case{20, {}, ever, BatchDecision::close(8, CloseReason::full)},
           Case{4, {}, ever, BatchDecision::wait_for(milliseconds(2))},
           Case{4, microseconds(500), ever, BatchDecision::wait_for(microseconds(1500))},
           Case{4, milliseconds(2), ever, BatchDecision::close(4, CloseReason::delay)},
           Case{4, {}, microseconds(600), BatchDecision::wait_for(microseconds(500))},
           Case{4, {}, microseconds(90), BatchDecision::close(4, CloseReason::deadline)},
       }) {
    CHECK(
        policy.decide(
            {.rows = c.rows, .limit = 64, .oldest = c.oldest, .slack = c.slack, .costs = &costs}) ==
        c.wanted);
  }
}
