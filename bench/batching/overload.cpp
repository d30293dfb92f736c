// More requests than can be answered: on one real worker, what bench/sim finds in virtual time.
#include <galley/compose/batched.hpp>
#include <galley/load/run.hpp>
#include <galley/load/schedule.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <batching/cases.hpp>
#include <batching/open_loop.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace bench {

namespace {

using galley::load::Arrivals;
using galley::load::Run;
using std::chrono::milliseconds;

/// As in the simulation, for both models that have it there.
constexpr milliseconds objective(5);

struct Overload {
  const char* id;
  Arrivals arrivals;
  int percent;
  double goal;
};

void goodput_case(Report& report, const galley::ThreadPool& pool, const Subject& subject,
                  const Overload& c) {
  constexpr std::size_t rounds = 7;
  const Model ours = galley::batched(pool, subject.served);
  report.check(ours.prepare().has_value(), subject.name + " could not be prepared");
  capacity_of(report, ours, subject, milliseconds(200));
  std::vector<double> goodput;
  Tries tries;
  for (std::uint64_t seed = 1; goodput.size() < rounds && tries.go_on(2 * rounds); ++seed) {
    const double capacity = capacity_of(report, ours, subject, milliseconds(120));
    const Scene scene{subject, capacity * c.percent / 100, c.arrivals, objective};
    const std::optional<Run> run = run_of(report, ours, scene, seed, 0.4, tries);
    if (run) goodput.push_back(run->goodput() / capacity);
  }
  add_or_void(report,
              {.id = c.id,
               .name = subject.name + ", " + std::string(to_string(c.arrivals)) + " at " +
                       std::to_string(c.percent) + " %, answers within " +
                       std::to_string(objective.count()) + " ms; " + tries.text(),
               .metric = "goodput / capacity",
               .unit = "",
               .goal = Goal::at_least(c.goal)},
              goodput, tries);
}

}  // namespace

void overload_cases(Report& report, std::vector<Subject>& subjects) {
  const galley::ThreadPool pool({.workers = 1});
  for (const std::size_t model : {1U, 2U}) {
    for (const Overload& c : {Overload{"B12", Arrivals::poisson, 120, 0.95},
                              Overload{"B12", Arrivals::poisson, 200, 0.95},
                              Overload{"B13", Arrivals::bursty, 95, 0.75}}) {
      goodput_case(report, pool, subjects[model], c);
    }
  }
}

}  // namespace bench
