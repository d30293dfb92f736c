#include <galley/compose/batched.hpp>
#include <galley/compose/ensemble.hpp>
#include <galley/compose/hedge.hpp>
#include <galley/compose/in_order.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/compose/retry.hpp>
#include <galley/compose/timeout.hpp>
#include <galley/core/slot.hpp>
#include <galley/core/wait_plan.hpp>
#include <galley/policy/combine/majority_vote.hpp>
#include <galley/testing/manual_executor.hpp>

#include <chrono>

#include <support/catch.hpp>

using galley::Completion;
using galley::Event;
using galley::Executor;
using galley::ManualExecutor;
using galley::Servable;
using galley::WaitEnd;
using galley::WaitPlan;
using namespace std::chrono_literals;

namespace {

WaitPlan plan_of(const Servable<int, int>& graph) {
  WaitPlan plan;
  graph.node().table->plan_wait(graph.node(), plan);
  return plan;
}

/// True where the graph waits for some executor, and for one only.
bool waits_for_one(const Servable<int, int>& graph) {
  const ManualExecutor other;
  WaitPlan plan = plan_of(graph);
  if (!plan.possible()) return false;
  plan.add(other);
  return !plan.possible();
}

}  // namespace

TEST_CASE("whoever has an executor says so", "[wait_plan]") {
  const ManualExecutor executor, other;
  const auto plus = galley::map("plus", [](int n) { return n + 1; });
  const Servable<int, int> later("later", [](int n, Completion<int> done) { done(n); });
  CHECK_FALSE(waits_for_one(plus));
  CHECK_FALSE(waits_for_one(later | plus));
  CHECK(waits_for_one(galley::on(executor, plus)));
  CHECK(waits_for_one(galley::batched(executor, plus)));
  CHECK(waits_for_one(galley::timeout(executor, later, 1ms)));
  CHECK(waits_for_one(galley::hedge(executor, later)));
  CHECK(waits_for_one(galley::retry(executor, later)));
  CHECK(waits_for_one(galley::ensemble(executor, galley::MajorityVote{}, {later, later})));
  const auto on = galley::on(executor, later);
  CHECK(waits_for_one(later | galley::slot("slot", galley::in_order(on)).servable | on));
  CHECK_FALSE(plan_of(on | galley::on(other, later)).possible());
}

TEST_CASE("a plan waits on the executor, which may run on the thread that waits", "[wait_plan]") {
  const ManualExecutor executor;
  const auto graph = galley::on(executor, galley::map("plus", [](int n) { return n + 1; }));
  Event answered;
  graph.submit(1, {}, [&](const galley::Result<int>&) { answered.set(); });
  CHECK(plan_of(graph).wait(answered, {}) == WaitEnd::done);
  Event set;
  set.set();
  CHECK(WaitPlan().wait(set, {}) == WaitEnd::done);
}
