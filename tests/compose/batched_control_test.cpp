// What a batcher says of itself and is told: statistics, profiles; and its places.
#include <galley/compose/pipeline.hpp>

#include <support/batching.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::batched;
using galley::BatchOptions;
using galley::BatchProfile;
using galley::BatchStatistics;
using galley::CallerRuns;
using galley::CloseReason;
using galley::CostProfile;
using galley::LearnedCap;
using galley::ManualExecutor;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::SetBatchOptions;
using galley::SetBatchProfile;
using galley::SizeOrDelay;
using galley::Status;
using galley::detail::Slots;
using support::always_queued;
using support::BatchLog;
using support::IntEar;
using support::logged;
using support::statistics_of;
using namespace std::chrono_literals;

using Sizes = std::vector<std::size_t>;

namespace {

Rows<int> counting(int n) {
  Rows<int> rows;
  for (int i = 0; i < n; ++i) rows.push_back(i);
  return rows;
}

CostProfile profile_of(const Servable<int, int>& graph) {
  BatchProfile profile;
  REQUIRE(graph.control("", profile).has_value());
  return profile.kinds.empty() ? CostProfile() : profile.kinds.front().costs;
}

}  // namespace

TEST_CASE("a batcher describes itself and its child", "[batched]") {
  const ManualExecutor executor;
  const auto graph = batched(executor, logged(std::make_shared<BatchLog>()), {.max_rows = 9});
  const galley::Description d = graph.describe();
  CHECK(d.kind == "batched");
  REQUIRE(d.children.size() == 1);
  CHECK(d.children[0].name == "model");
  REQUIRE_FALSE(d.options.empty());
  CHECK(d.options[0] == std::pair<std::string, std::string>("max_rows", "9"));
  CHECK(graph.prepare(executor).has_value());
}

TEST_CASE("a batcher is controlled by its path, and leaves its child's requests to it",
          "[batched]") {
  const ManualExecutor executor;
  const auto graph = galley::map("first", [](int n) { return n; }) |
                     batched(executor, logged(std::make_shared<BatchLog>()));
  BatchStatistics statistics;
  CHECK(graph.control("batched(model)", statistics).has_value());
  CHECK(graph.control("batched(model)/model", statistics).status() == Status::unimplemented);
  CHECK(graph.control("", statistics).status() == Status::unimplemented);
}

TEST_CASE("batches are counted by what closed them", "[batched]") {
  const ManualExecutor executor;
  const auto graph =
      batched(executor, logged(std::make_shared<BatchLog>()), {}, SizeOrDelay{2, 5ms});
  std::vector<IntEar> ears(3);
  for (IntEar& ear : ears) graph.submit(1, {}, ear.listen());
  executor.run_all();
  const BatchStatistics statistics = statistics_of(graph);
  CHECK(statistics.batches == 2);
  CHECK(statistics.rows == 3);
  CHECK(statistics.requests == 3);
  CHECK(statistics.closed_by(CloseReason::full) == 1);
  CHECK(statistics.closed_by(CloseReason::delay) == 1);
  CHECK(statistics.inline_runs == 0);
}

TEST_CASE("the time that rows queue and batches take is added up", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  log->during = [&](const std::vector<int>&) { executor.pass(3ms); };
  const auto graph = batched(executor, logged(log), {}, SizeOrDelay{8, 5ms});
  IntEar one, two;
  graph.submit(1, {}, one.listen());
  executor.advance(1ms);
  graph.submit(2, {}, two.listen());
  executor.advance(4ms);
  const BatchStatistics statistics = statistics_of(graph);
  CHECK(statistics.compute_time == 3ms);
  CHECK(statistics.queue_timed == 2);
  CHECK(statistics.queue_time == 9ms);
}

TEST_CASE("what batches cost is learned, read and set", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  log->during = [&](const std::vector<int>& batch) {
    executor.pass(1ms + 1ms * static_cast<int>(batch.size()));
  };
  const auto graph = batched(executor, logged(log), always_queued, SizeOrDelay{4, 0ns});
  CHECK(profile_of(graph).empty());
  for (int i = 0; i < 3; ++i) {
    (void)graph.serve(i);
    (void)graph.serve_rows(counting(4));
  }
  const CostProfile learned = profile_of(graph);
  REQUIRE(learned.size() == 2);
  CHECK(learned[0].rows == 1);
  CHECK(learned[0].mean == 2ms);
  CHECK(learned[0].seen == 3);
  CHECK(learned[1].rows == 4);
  CHECK(learned[1].mean == 5ms);
  CHECK(learned[1].p95 == 5ms);

  const auto other = batched(executor, logged(log), always_queued, SizeOrDelay{4, 0ns});
  BatchProfile profile;
  REQUIRE(graph.control("", profile).has_value());
  REQUIRE(profile.kinds.size() == 1);
  CHECK(profile.kinds[0].rows == "rows");
  SetBatchProfile begin{profile};
  REQUIRE(other.control("", begin).has_value());
  (void)other.serve(1);
  CHECK(profile_of(other)[1] == learned[1]);
  SetBatchProfile bad{{{{"rows", {{.rows = 0}}}}}};
  CHECK(other.control("", bad).status() == Status::invalid_argument);
  SetBatchProfile twice{{{{"rows", learned}, {"rows", learned}}}};
  CHECK(other.control("", twice).status() == Status::invalid_argument);
  CHECK(profile_of(other)[1] == learned[1]);
}

TEST_CASE("what callers run themselves is learned from, and read, too", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  log->during = [&](const std::vector<int>&) { executor.pass(1ms); };
  const auto graph = batched(executor, logged(log), {.max_rows = 4});
  for (int i = 0; i < 3; ++i) (void)graph.serve_rows(counting(4));
  CHECK_FALSE(profile_of(graph).empty());
}

TEST_CASE("the learned cap splits where more rows are no faster", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  log->during = [&](const std::vector<int>& batch) {
    executor.pass(10us + 10us * static_cast<int>(batch.size() - 1) / 7);
  };
  const auto graph = batched(executor, logged(log), always_queued, LearnedCap{.probe_every = 0});
  SetBatchProfile begin{{{{"",
                           {{.rows = 1, .mean = 10us, .p95 = 10us, .seen = 9},
                            {.rows = 8, .mean = 20us, .p95 = 20us, .seen = 9},
                            {.rows = 64, .mean = 200us, .p95 = 200us, .seen = 9}}}}}};
  REQUIRE(graph.control("", begin).has_value());
  CHECK(graph.serve_rows(counting(20)).all_ok());
  CHECK(log->sizes() == Sizes{8, 8, 4});
  log->batches.clear();
  SetBatchOptions inline_runs{BatchOptions()};
  REQUIRE(graph.control("", inline_runs).has_value());
  CHECK(graph.serve_rows(counting(20)).all_ok());
  CHECK(log->sizes() == Sizes{8, 8, 4});
}

TEST_CASE("callers run their own batches only where options say so, at once", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log));
  CHECK(graph.serve(1).has_value());
  CHECK(statistics_of(graph).inline_runs == 1);
  SetBatchOptions never{always_queued};
  REQUIRE(graph.control("", never).has_value());
  CHECK(graph.serve(1).has_value());
  CHECK(statistics_of(graph).inline_runs == 1);
  CHECK(statistics_of(graph).batches == 1);
}

TEST_CASE("a caller queues behind rows that queue already", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log));
  IntEar before;
  graph.submit(1, {}, before.listen());
  CHECK(graph.serve(2) == Result<int>(20));
  CHECK(before.value() == 10);
  CHECK(log->sizes() == Sizes{2});
  CHECK(statistics_of(graph).inline_runs == 0);
}

TEST_CASE("rows that come while a caller runs its own batch are run when it is done", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log));
  IntEar queued;
  log->during = [&](const std::vector<int>& batch) {
    if (batch[0] != 1) return;
    graph.submit(2, {}, queued.listen());
    CHECK(executor.pending() == 0);  // the only place is taken
  };
  CHECK(graph.serve(1) == Result<int>(10));
  CHECK(executor.pending() == 1);
  executor.run_ready();
  CHECK(queued.value() == 20);
}

// ---- places ------------------------------------------------------------------------------------

TEST_CASE("places are taken and given back", "[batched]") {
  Slots slots(2);
  CHECK(slots.enter());
  CHECK(slots.enter_inline());
  CHECK(slots.all_taken());
  CHECK_FALSE(slots.enter());
  CHECK_FALSE(slots.enter_inline());
  CHECK_FALSE(slots.leave_inline());
  slots.leave();
  CHECK_FALSE(slots.any_taken());
  CHECK(slots.inline_runs() == 1);
}

TEST_CASE("nobody runs inline while rows queue", "[batched]") {
  Slots slots(4);
  slots.queued(1);
  CHECK_FALSE(slots.enter_inline());
  CHECK(slots.enter());
  slots.unqueued(1);
  CHECK(slots.enter_inline());
}
