#include <galley/policy/batch/learned_cap.hpp>
#include <galley/testing/contracts/batch_policy.hpp>

#include <support/costs.hpp>

#include <chrono>
#include <utility>

#include <support/catch.hpp>

using galley::BatchDecision;
using galley::BatchView;
using galley::CloseReason;
using galley::CostTable;
using galley::Duration;
using galley::LearnedCap;
using std::chrono::microseconds;
using support::table_of;

namespace {

const CostTable mlp = table_of({{1, microseconds(90)},
                                {2, microseconds(92)},
                                {4, microseconds(96)},
                                {8, microseconds(100)},
                                {32, microseconds(400)}});

BatchView view_of(std::size_t rows, const CostTable& costs) {
  return {.rows = rows, .limit = 32, .number = 1, .costs = &costs};
}

constexpr LearnedCap plain{.max_yields = 0};

}  // namespace

TEST_CASE("the learned cap keeps the obligations of a batch policy", "[batch_policy][contract]") {
  CHECK(galley::check_batch_policy(LearnedCap{}).empty());
  CHECK(galley::check_batch_policy(LearnedCap{.max_yields = 0, .probe_every = 0}).empty());
}

TEST_CASE("a batch has as many rows as are fastest, or those that are there", "[batch_policy]") {
  CHECK(plain.decide(view_of(30, mlp)) == BatchDecision::close(8, CloseReason::cap));
  CHECK(plain.decide(view_of(5, mlp)) == BatchDecision::close(5, CloseReason::idle));
  const CostTable steep =
      table_of({{1, microseconds(82)}, {2, microseconds(287)}, {32, microseconds(4000)}});
  CHECK(plain.decide(view_of(30, steep)) == BatchDecision::close(1, CloseReason::cap));
  const CostTable flat = table_of({{1, microseconds(90)}, {32, microseconds(91)}});
  CHECK(plain.decide(view_of(40, flat)) == BatchDecision::close(32, CloseReason::full));
}

TEST_CASE("the next power of two is tried twice when so many rows queue", "[batch_policy]") {
  CostTable costs;
  CHECK(plain.decide(view_of(20, costs)) == BatchDecision::close(20, CloseReason::idle));
  costs.observe(1, microseconds(90));
  CHECK(plain.decide(view_of(20, costs)) == BatchDecision::close(1, CloseReason::probe));
  costs.observe(1, microseconds(90));
  CHECK(plain.decide(view_of(20, costs)) == BatchDecision::close(2, CloseReason::probe));
  costs.observe(2, microseconds(300));
  costs.observe(2, microseconds(300));
  CHECK(plain.decide(view_of(4, costs)) == BatchDecision::close(4, CloseReason::probe));
  CHECK(plain.decide(view_of(3, costs)) == BatchDecision::close(1, CloseReason::cap));
}

TEST_CASE("queues that grow row by row do not have every length tried", "[batch_policy]") {
  const CostTable steep =
      table_of({{1, microseconds(82)}, {2, microseconds(287)}, {17, microseconds(2000)}});
  for (std::size_t rows = 18; rows < 32; ++rows) {
    CHECK(plain.decide(view_of(rows, steep)) == BatchDecision::close(1, CloseReason::cap));
  }
  CHECK(plain.decide(view_of(32, steep)) == BatchDecision::close(32, CloseReason::probe));
  BatchView odd = view_of(24, steep);  // the limit is tried too
  odd.limit = 24;
  CHECK(plain.decide(odd) == BatchDecision::close(24, CloseReason::probe));
}

TEST_CASE("once in a while another size is measured again", "[batch_policy]") {
  CostTable costs = mlp;
  // 16 rows were never run together; a row alone wastes 77.5 us, two of them 67.
  BatchView view = view_of(30, costs);
  const auto decide_in_turn = [&](std::uint64_t turn) {
    view.number = 128 * turn + 127;
    return plain.decide(view);
  };
  CHECK(decide_in_turn(4) == BatchDecision::close(16, CloseReason::probe));
  CHECK(decide_in_turn(0) == BatchDecision::close(8, CloseReason::cap));
  for (int i = 0; i < 2900; ++i) costs.observe(8, microseconds(100));
  CHECK(decide_in_turn(0) == BatchDecision::close(8, CloseReason::cap));
  CHECK(decide_in_turn(1) == BatchDecision::close(2, CloseReason::probe));
  view.slack = microseconds(91);
  CHECK(decide_in_turn(1) == BatchDecision::close(8, CloseReason::cap));
  view.slack = Duration::max();
  for (int i = 0; i < 400; ++i) costs.observe(8, microseconds(100));
  CHECK(decide_in_turn(0) == BatchDecision::close(1, CloseReason::probe));
  CHECK(LearnedCap{.max_yields = 0, .probe_every = 0}.decide(view) ==
        BatchDecision::close(8, CloseReason::cap));
}

TEST_CASE("a size that may be the best is tried until it is known", "[batch_policy]") {
  CostTable costs;
  for (int i = 0; i < 20; ++i) costs.observe(32, microseconds(3200));
  for (int i = 0; i < 3; ++i) costs.observe(16, microseconds(1700));  // slower
  for (int i = 0; i < 3; ++i) costs.observe(8, microseconds(770));    // 4 % faster per row
  BatchView view = view_of(40, costs);
  CHECK(plain.decide(view) == BatchDecision::close(32, CloseReason::full));
  costs.observe(32, microseconds(3200));  // four times as long as the other takes
  CHECK(plain.decide(view) == BatchDecision::close(8, CloseReason::probe));
  view.slack = microseconds(100);
  CHECK(plain.decide(view) == BatchDecision::close(32, CloseReason::full));
  for (int i = 0; i < 20; ++i) costs.observe(8, microseconds(770));
  view.slack = Duration::max();
  CHECK(plain.decide(view) == BatchDecision::close(8, CloseReason::cap));
}

TEST_CASE("a size whose first runs may have been slow has two more soon", "[batch_policy]") {
  CostTable costs;
  for (int i = 0; i < 2; ++i) costs.observe(16, microseconds(1700));  // 6 us a row too slow
  for (int i = 0; i < 20; ++i) costs.observe(32, microseconds(3200));
  BatchView view = view_of(40, costs);
  view.number = 16 * 4 + 15;  // the turn of 16
  CHECK(plain.decide(view) == BatchDecision::close(32, CloseReason::full));
  for (int i = 0; i < 10; ++i) costs.observe(32, microseconds(3200));  // 768 times what it wastes
  CHECK(plain.decide(view) == BatchDecision::close(16, CloseReason::probe));
  view.number = 16 * 4 + 14;
  CHECK(plain.decide(view) == BatchDecision::close(32, CloseReason::full));
  view.number = 16 * 4 + 15;
  for (int i = 0; i < 2; ++i) costs.observe(16, microseconds(1700));
  for (int i = 0; i < 40; ++i) costs.observe(32, microseconds(3200));
  CHECK(plain.decide(view) == BatchDecision::close(32, CloseReason::full));
}

TEST_CASE("a batch yields first where that pays and it is not full", "[batch_policy]") {
  const LearnedCap policy;
  BatchView view = view_of(2, mlp);
  CHECK(policy.decide(view) == BatchDecision::close(2, CloseReason::idle));
  view.yielding_pays = true;
  CHECK(policy.decide(view) == BatchDecision::yield_first());
  view.rows = 8;
  CHECK(policy.decide(view) == BatchDecision::close(8, CloseReason::cap));
}

TEST_CASE("a batch goes on yielding as long as rows come, eight times at most", "[batch_policy]") {
  const LearnedCap policy;
  BatchView view = view_of(4, mlp);
  view.yielding_pays = true;
  view.yields = 1;
  view.rows_before = 2;
  CHECK(policy.decide(view) == BatchDecision::yield_first());
  view.rows_before = 4;
  CHECK(policy.decide(view) == BatchDecision::close(4, CloseReason::idle));
  view.rows_before = 2;
  view.yields = 8;
  CHECK(policy.decide(view) == BatchDecision::close(4, CloseReason::idle));
}
