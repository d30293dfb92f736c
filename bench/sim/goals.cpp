#include <rivals/entrants.hpp>
#include <sim/goals.hpp>
#include <sim/oracle.hpp>

#include <string>
#include <vector>

namespace bench::sim {

namespace {

using rivals::DropInfeasible;
using rivals::learned_cap;

constexpr std::uint64_t seeds = 5;

/// A figure of each seed but the tuner's.
template <class Figure>
Spread over_seeds(Figure&& figure) {
  std::vector<double> values;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) values.push_back(figure(seed));
  return spread_of(std::move(values));
}

double ratio(Duration a, Duration b) {
  return static_cast<double>(a.count()) / static_cast<double>(b.count());
}

void report_p99(Report& report, Runner& runner, const Curve& curve) {
  const Entrant ours{"learned cap", [](const Setting&) { return Scheduler(learned_cap); }};
  const Entrant theirs{"Triton, tuned", [](const Setting& s) { return Scheduler(s.tuned); }};
  for (const int percent : {50, 80}) {
    const Scene scene{.curve = &curve, .percent = percent};
    const Setting setting = runner.setting(scene);
    const Spread spread = over_seeds([&](std::uint64_t seed) {
      const World world = runner.world(scene, seed);
      const Figures us = runner.run(world, ours, setting);
      const Figures them = runner.run(world, theirs, setting);
      return ratio(us.p99, them.p99);
    });
    report.add({.id = "B11",
                .name = curve.name() + " at " + std::to_string(percent) +
                        " %, learned cap / Triton " + text_of(setting.tuned),
                .metric = "p99 ratio",
                .unit = "",
                .goal = Goal::at_most(1.05)},
               spread);
  }
}

/// How many of the seeds a policy gets through without a queue that grows.
double stable_runs(Runner& runner, const Curve& curve, const Entrant& entrant) {
  double stable = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const World world = runner.world({.curve = &curve, .percent = 80}, seed);
    stable += runner.run(world, entrant, by_hand(curve)).diverges ? 0 : 1;
  }
  return stable / static_cast<double>(seeds);
}

void report_stability(Report& report, Runner& runner, const Curve& curve) {
  const Entrant ours{"learned cap", [](const Setting&) { return Scheduler(learned_cap); }};
  const Entrant greedy{"greedy", [](const Setting& s) {
                         return Scheduler(rivals::Triton{.max_batch_size = s.limit()});
                       }};
  report.add({.id = "B11",
              .name = curve.name() + " at 80 %, learned cap",
              .metric = "stable runs",
              .unit = "",
              .goal = Goal::at_least(1)},
             stable_runs(runner, curve, ours));
  report.add({.id = "B11",
              .name = curve.name() + " at 80 %, Triton's default",
              .metric = "stable runs",
              .unit = ""},
             stable_runs(runner, curve, greedy));
}

void report_goodput(Report& report, Runner& runner, const Curve& curve) {
  const Entrant ours{"learned cap, infeasible dropped",
                     [](const Setting&) { return Scheduler(learned_cap, DropInfeasible{}); }};
  struct Case {
    const char* id;
    Scene scene;
    double goal;
  };
  for (const Case& c : {Case{"B12", {&curve, Process::poisson, 120}, 0.95},
                        Case{"B12", {&curve, Process::poisson, 200}, 0.95},
                        Case{"B13", {&curve, Process::bursty, 95}, 0.75}}) {
    double bound = 0;
    const Spread spread = over_seeds([&](std::uint64_t seed) {
      World world = runner.world(c.scene, seed);
      world.deadlines = true;
      bound += goodput_bound(world) / static_cast<double>(seeds);
      return runner.run(world, ours, by_hand(curve)).goodput;
    });
    std::string name = curve.name() + ", " + std::string(name_of(c.scene.process)) + " at " +
                       std::to_string(c.scene.percent) + " %; no schedule is above ";
    name += std::to_string(bound).substr(0, 5);
    report.add({.id = c.id,
                .name = name,
                .metric = "goodput / capacity after a cold start",
                .unit = "",
                .goal = Goal::at_least(c.goal)},
               spread);
  }
}

}  // namespace

void report_goals(Report& report, Runner& runner) {
  for (const Curve& curve : curves()) {
    report_p99(report, runner, curve);
    report_stability(report, runner, curve);
    report_goodput(report, runner, curve);
  }
}

}  // namespace bench::sim
