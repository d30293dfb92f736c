// Under contention a batcher tries the ways that rows can take to the model, and keeps the best.
#include <support/batching.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include <support/catch.hpp>

using galley::batched;
using galley::BatchOptions;
using galley::CallerRuns;
using galley::Duration;
using galley::LearnedCap;
using galley::ManualExecutor;
using galley::Result;
using galley::Servable;
using support::BatchLog;
using support::IntEar;
using support::logged;
using support::tenfold;
using namespace std::chrono_literals;

namespace {

/// How a row that comes alone reaches the model.
enum Way : std::size_t { by_caller, by_worker, by_worker_that_yields };

/// A batcher on a machine where a row alone takes a time that depends on its way, and four together
/// take 100 us. (So it is on short cores, where what a worker is woken for preempts its callers.)
struct Machine {
  explicit Machine(std::array<Duration, 3> costs, const BatchOptions& options = {})
      : alone(costs), graph(batched(executor, logged(log), options, LearnedCap{.probe_every = 0})) {
    // So that four are known to be worth it.
    galley::SetBatchProfile known{{{{.rows = "", .costs = {cost(1, 900us), cost(4, 100us)}}}}};
    REQUIRE(graph.control("", known).has_value());
    log->during = [this](const std::vector<int>& batch) {
      const bool yielded = executor.yields() != yields;
      yields = executor.yields();
      if (batch.size() > 1) return executor.pass(100us);
      way = galley::Worker::current() == nullptr ? by_caller
            : yielded                            ? by_worker_that_yields
                                                 : by_worker;
      executor.pass(alone[way]);
    };
  }

  static galley::BatchCost cost(std::size_t rows, Duration took) {
    return {.rows = rows, .mean = took, .p95 = took, .seen = 100};
  }

  /// One caller alone; the way its row took.
  Way call() {
    if (graph.serve(7) != Result<int>(tenfold(7))) ++wrong;
    return way;
  }
  /// The same, and four who come at once.
  Way call_under_contention() {
    const Way took = call();
    std::array<IntEar, 4> ears;
    for (int i = 0; i < 4; ++i) graph.submit(i, {}, ears[static_cast<std::size_t>(i)].listen());
    executor.run_ready();
    if (log->batches.back().size() != 4) ++wrong;
    for (int i = 0; i < 4; ++i) {
      if (ears[static_cast<std::size_t>(i)].value() != tenfold(i)) ++wrong;
    }
    log->batches.clear();
    return took;
  }
  /// How many of `rounds` calls under contention took each way.
  std::array<int, 3> ways(int rounds) {
    std::array<int, 3> taken{};
    for (int i = 0; i < rounds; ++i) ++taken[call_under_contention()];
    CHECK(wrong == 0);
    return taken;
  }

  ManualExecutor executor;
  std::array<Duration, 3> alone;  // by its way
  Way way = by_caller;
  std::size_t yields = 0;
  int wrong = 0;  // answers
  std::shared_ptr<BatchLog> log = std::make_shared<BatchLog>();
  Servable<int, int> graph;
};

std::array<Duration, 3> cheap(Way best) {
  std::array<Duration, 3> costs{900us, 900us, 900us};
  costs[best] = 100us;
  return costs;
}

}  // namespace

TEST_CASE("a batcher without contention lets callers run, whatever that costs", "[batched]") {
  Machine machine(cheap(by_worker));
  for (int i = 0; i < 1000; ++i) REQUIRE(machine.call() == by_caller);
}

TEST_CASE("under contention a batcher finds the way that is fastest, and keeps it", "[batched]") {
  const Way best = GENERATE(by_caller, by_worker, by_worker_that_yields);
  CAPTURE(best);
  Machine machine(cheap(best));
  for (const int taken : machine.ways(100)) CHECK(taken != 0);  // each was tried
  CHECK(machine.ways(5000)[best] > 4750);
  const int kept = machine.ways(10'000)[best];
  CHECK(kept > 9900);    // tried ever more rarely,
  CHECK(kept < 10'000);  // and yet
}

TEST_CASE("a batcher follows the best way when it becomes another", "[batched]") {
  Machine machine(cheap(by_worker));
  CHECK(machine.ways(1000)[by_worker] > 900);
  for (const Way best : {by_worker_that_yields, by_caller, by_worker}) {
    machine.alone = cheap(best);
    (void)machine.ways(3000);
    CHECK(machine.ways(1000)[best] > 900);
  }
}

TEST_CASE("callers run their own rows under contention only where that is much faster",
          "[batched]") {
  Machine machine({100us, 150us, 900us});  // 1.25 times the rows a second: 1.5 are wanted
  (void)machine.ways(1000);
  CHECK(machine.ways(1000)[by_worker] > 900);
  Machine other({100us, 250us, 900us});  // 1.75 times
  (void)other.ways(1000);
  CHECK(other.ways(1000)[by_caller] > 900);
}

TEST_CASE("when contention ends callers run their own rows again", "[batched]") {
  Machine machine(cheap(by_worker));
  (void)machine.ways(1000);
  CHECK(machine.call() == by_worker);
  int queued = 0;
  for (int i = 0; i < 1000; ++i) queued += machine.call() == by_caller ? 0 : 1;
  CHECK(queued < 250);  // a few windows of 4 ms
  CHECK(machine.call() == by_caller);
}

TEST_CASE("callers who may not run their own rows never do, whatever is tried", "[batched]") {
  BatchOptions options;
  options.caller_runs = CallerRuns::never;
  Machine machine(cheap(by_caller), options);
  const auto taken = machine.ways(2000);
  CHECK(taken[by_caller] == 0);
  CHECK(taken[by_worker] != 0);
  CHECK(taken[by_worker_that_yields] != 0);
}
