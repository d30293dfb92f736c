#include <sim/runner.hpp>

#include <algorithm>

namespace bench::sim {

namespace {

bool beats(const Log& log, const std::vector<Duration>& floor) {
  for (std::size_t i = 0; i < floor.size(); ++i) {
    if (log.answered[i] - log.requests[i].arrived < floor[i]) return true;
  }
  return false;
}

/// The same log to the nanosecond.
bool same(const Log& a, const Log& b) {
  return a.answered == b.answered && a.batches.size() == b.batches.size() && a.dropped == b.dropped;
}

}  // namespace

Setting by_hand(const Curve& curve) {
  return {.costs = {curve.costs().begin(), curve.costs().end()},
          .records = curve.records(),
          .objective = curve.objective()};
}

World Runner::world(const Scene& scene, std::uint64_t seed) const {
  World world{.curve = scene.curve, .executors = scene.executors, .seed = seed};
  world.arrivals =
      arrivals(scene.process, scene.curve->gap(scene.percent, scene.executors), requests_, seed);
  return world;
}

World Runner::closed_world(const Curve& curve, std::size_t clients) const {
  World world{.curve = &curve, .clients = clients};
  world.arrivals.resize(requests_);
  return world;
}

Setting Runner::setting(const Scene& scene) const {
  const World world = Runner(requests_ / 3).world(scene, tuning_seed);
  Setting setting = by_hand(*scene.curve);
  setting.executors = scene.executors;
  setting.tuned = tuned_triton(world);
  return setting;
}

Figures Runner::run(const World& world, const Entrant& entrant, const Setting& setting,
                    const std::vector<Duration>& floor) {
  const Log log = simulate(world, entrant.enter(setting));
  const auto wrong = [&](const std::string& what) {
    faults_.push_back(entrant.name + " on " + world.curve->name() + ": " + what);
  };
  if (const std::string fault = fault_of(world, log); !fault.empty()) wrong(fault);
  if (beats(log, floor)) wrong("a request was answered before it could be");
  if (runs_++ % 16 == 0 && !same(log, simulate(world, entrant.enter(setting)))) {
    wrong("a second run of the same seed was another");
  }
  return figures_of(world, log);
}

void Runner::check_audit() {
  const World world = Runner(1000).world(
      {.curve = &curves().front(), .process = Process::poisson, .percent = 80}, 1);
  const Log good = simulate(world, Scheduler(rivals::learned_cap));
  const auto expect_fault = [&](const char* planted, auto&& plant) {
    Log log = good;
    plant(log);
    if (fault_of(world, log).empty()) faults_.push_back(std::string("overlooked: ") + planted);
  };
  expect_fault("a lost batch", [](Log& log) { log.batches.pop_back(); });
  expect_fault("a batch that ran twice", [](Log& log) { log.batches.push_back(log.batches[9]); });
  expect_fault("a lost request", [](Log& log) { log.requests.pop_back(); });
  expect_fault("a request dropped in silence", [](Log& log) { ++log.dropped; });
  expect_fault("two batches at once", [](Log& log) {
    RanBatch& batch = log.batches[log.batches.size() / 2];
    const Duration early = batch.ended - batch.started;
    for (std::size_t i = 0; i < batch.rows; ++i) log.answered[batch.first + i] -= early;
    batch.started -= early;
    batch.ended -= early;
  });
  struct TooMany {
    BatchDecision decide(const QueueView& view) const {
      return BatchDecision::close(view.rows + 1, galley::CloseReason::full);
    }
  };
  if (fault_of(world, simulate(world, Scheduler(TooMany{}))).empty()) {
    faults_.push_back("overlooked: a batch of more rows than there are");
  }
}

}  // namespace bench::sim
