// Other systems' policies on the same executor, with one machinery beneath them, beside `batched`.
#include <galley/compose/batched.hpp>
#include <galley/compose/map.hpp>
#include <galley/load/run.hpp>
#include <galley/load/schedule.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <support/timing.hpp>

#include <batching/cases.hpp>
#include <batching/open_loop.hpp>
#include <rivals/entrants.hpp>
#include <rivals/on_executor.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

namespace {

using galley::load::Arrivals;
using galley::load::Run;
using rivals::Entrant;
using std::chrono::milliseconds;

constexpr std::size_t limit = 64;
constexpr milliseconds objective(5);

/// What a batch costs, measured offline: the least of some calls at sizes by doubling, between
/// them linear.
rivals::Setting setting_of(const Subject& subject) {
  const c10::InferenceMode guard;
  rivals::Setting setting{.costs = rivals::Profile(limit + 1), .objective = objective};
  std::size_t before = 0;
  double best = 0;
  for (std::size_t rows = 1; rows <= limit; rows *= 2) {
    const at::Tensor input = subject.inputs(static_cast<std::int64_t>(rows));
    galley::Duration least = galley::Duration::max();
    for (int i = 0; i < 30; ++i) {
      const auto start = std::chrono::steady_clock::now();
      const at::Tensor output = (*subject.bare)(input);
      const void* data = output.data_ptr();
      do_not_optimise(data);
      least = std::min<galley::Duration>(least, std::chrono::steady_clock::now() - start);
    }
    for (std::size_t n = before + 1; n <= rows; ++n) {
      const auto part = static_cast<std::int64_t>(n - before);
      const auto all = static_cast<std::int64_t>(rows - before);
      setting.costs[n] = setting.costs[before] + (least - setting.costs[before]) * part / all;
    }
    const double rate = static_cast<double>(rows) / static_cast<double>(least.count());
    if (rate > best) setting.records.push_back(rows);
    best = std::max(best, rate);
    before = rows;
  }
  setting.tuned = {.max_batch_size = setting.records.back()};
  return setting;
}

Model entrant_of(const galley::ThreadPool& pool, const Subject& subject, const Entrant& entrant,
                 const rivals::Setting& setting) {
  return Model(entrant.name,
               rivals::OnExecutor(pool, subject.served, entrant.enter(setting), setting.limit()));
}

/// A figure of a run, ours and each rival's, over the same seeds in turn, and what is said of both.
struct Match {
  const Scene& scene;
  std::vector<Entrant> entrants;
  std::function<double(const Run&)> figure;
  std::function<double(double our, double their)> said;
  Line line;  // its name is completed by the rival's
};

void play(Report& report, const galley::ThreadPool& pool, const Model& ours,
          const rivals::Setting& setting, const Match& match) {
  constexpr std::size_t rounds = 5;
  std::vector<Model> models{ours};
  for (const Entrant& entrant : match.entrants) {
    models.push_back(entrant_of(pool, match.scene.subject, entrant, setting));
  }
  std::vector<std::vector<double>> said(models.size());
  std::vector<Tries> tries(models.size());
  for (std::uint64_t seed = 0; seed <= rounds; ++seed) {
    std::optional<Run> us;
    for (std::size_t i = 0; i < models.size(); ++i) {
      const std::optional<Run> run = run_of(report, models[i], match.scene, seed, 0.2, tries[i]);
      if (i == 0) us = run;
      if (seed == 0) continue;  // learns
      if (us && run) said[i].push_back(match.said(match.figure(*us), match.figure(*run)));
    }
  }
  for (std::size_t i = 0; i < models.size(); ++i) {
    Line line = match.line;
    line.name += i == 0 ? ": batched" : ": " + match.entrants[i - 1].name;
    add_or_void(report, line, said[i], tries[i]);
  }
}

void matches(Report& report, const galley::ThreadPool& pool, const Subject& subject) {
  const Model ours = galley::batched(pool, subject.served);
  report.check(ours.prepare().has_value(), subject.name + " could not be prepared");
  capacity_of(report, ours, subject, milliseconds(200));
  const double capacity = capacity_of(report, ours, subject, milliseconds(200));
  const rivals::Setting setting = setting_of(subject);
  for (const int percent : {50, 80}) {
    const Scene scene{.subject = subject, .rate = capacity * percent / 100};
    play(report, pool, ours, setting,
         {.scene = scene,
          .entrants = rivals::batch_policies(),
          .figure = p99_of,
          .said = [](double our, double their) { return their / our; },
          .line = {.id = "R",
                   .name = subject.name + ", Poisson at " + std::to_string(percent) + " %",
                   .metric = "p99 / batched's",
                   .unit = ""}});
  }
  const Scene scene{subject, capacity * 1.2, Arrivals::poisson, objective};
  play(report, pool, ours, setting,
       {.scene = scene,
        .entrants = rivals::admission_policies(),
        .figure = [&](const Run& run) { return run.goodput() / capacity; },
        .said = [](double, double their) { return their; },
        .line = {.id = "R",
                 .name = subject.name + ", Poisson at 120 %, answers within 5 ms",
                 .metric = "goodput / capacity",
                 .unit = ""}});
}

}  // namespace

void rival_cases(Report& report, std::vector<Subject>& subjects) {
  const galley::ThreadPool pool({.workers = 1});
  for (const std::size_t model : {1U, 2U}) matches(report, pool, subjects[model]);
}

}  // namespace bench
