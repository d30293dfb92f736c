#include <galley/compose/batched.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <batching/cases.hpp>
#include <batching/load.hpp>
#include <rivals/yielding.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace bench {

namespace {

using galley::BatchOptions;
using galley::CallerRuns;
using galley::LearnedCap;
using std::chrono::milliseconds;

/// Rounds of the three batchers in turn under one load.
struct Contest {
  std::vector<double> of_plain;     // throughput over the plain queue's
  std::vector<double> of_yielding;  // over the queue's that gathers by yielding
  std::vector<double> of_better;    // over the better of the two, round by round
  std::vector<double> p99_of_plain;
  std::vector<double> rate;
  std::vector<double> plain_rate;
  std::vector<double> yielding_rate;
  std::vector<std::pair<std::string, double>> mean_batch;
};

double mean_batch(const Model& model) {
  galley::BatchStatistics statistics;
  static_cast<void>(model.control("", statistics));
  return static_cast<double>(statistics.rows) /
         static_cast<double>(std::max<std::uint64_t>(statistics.batches, 1));
}

Contest contest(Report& report, const Subject& subject, std::size_t workers, std::size_t clients) {
  constexpr int rounds = 12;
  const milliseconds time(100);
  galley::ThreadPool pool({.workers = workers});
  const BatchOptions queued{.caller_runs = CallerRuns::never};
  const Model plain = galley::batched(pool, subject.served, queued, LearnedCap{.max_yields = 0});
  const Model yielding = galley::batched(pool, subject.served, queued, Yielding{});
  const Model ours = galley::batched(pool, subject.served);
  report.check(ours.prepare().has_value(), subject.name + " could not be prepared");
  const auto load = [&](const Model& model) {
    const Load l = blocking_clients(model, subject.sample, subject.answer, clients, time);
    report.check(l.wrong == 0, subject.name + ": wrong answers under load");
    return l;
  };
  for (const Model* model : {&plain, &yielding, &ours}) load(*model);
  Contest all;
  for (int round = 0; round < rounds; ++round) {
    const Load p = load(plain);
    const Load y = load(yielding);
    const Load o = load(ours);
    all.of_plain.push_back(o.rows_per_second / p.rows_per_second);
    all.of_yielding.push_back(o.rows_per_second / y.rows_per_second);
    all.of_better.push_back(o.rows_per_second / std::max(p.rows_per_second, y.rows_per_second));
    all.p99_of_plain.push_back(o.p99 / p.p99);
    all.rate.push_back(o.rows_per_second);
    all.plain_rate.push_back(p.rows_per_second);
    all.yielding_rate.push_back(y.rows_per_second);
  }
  all.mean_batch = {{"plain", mean_batch(plain)},
                    {"yielding", mean_batch(yielding)},
                    {"batched", mean_batch(ours)}};
  return all;
}

void add(Report& report, const char* id, const std::string& name, const char* metric, Goal goal,
         const std::vector<double>& values, double scale = 1, const char* unit = "") {
  report.add({.id = id, .name = name, .metric = metric, .unit = unit, .goal = goal},
             spread_of(values).times(scale));
}

std::string name_of(const Subject& subject, std::size_t workers, std::size_t clients) {
  return subject.name + ", " + std::to_string(workers) +
         (workers == 1 ? " worker, " : " workers, ") + std::to_string(clients) +
         " blocking clients";
}

}  // namespace

void client_cases(Report& report, std::vector<Subject>& subjects) {
  const Subject& tiny = subjects[0];
  const Subject& mlp = subjects[1];
  struct Case {
    const Subject* subject;
    std::size_t workers;
    std::size_t clients;
  };
  for (const Case& c :
       {Case{&mlp, 2, 32}, Case{&mlp, 1, 32}, Case{&tiny, 1, 32}, Case{&tiny, 2, 32},
        Case{&mlp, 1, 4}, Case{&mlp, 2, 4}, Case{&tiny, 1, 4}}) {
    const Contest all = contest(report, *c.subject, c.workers, c.clients);
    const std::string name = name_of(*c.subject, c.workers, c.clients);
    const bool headline = c.subject == &mlp && c.workers == 2 && c.clients == 32;
    if (headline) {
      add(report, "B7", name, "throughput over a plain queue's", Goal::at_least(2.5), all.of_plain);
      add(report, "B8", name, "p99 over a plain queue's", Goal::at_most(0.5), all.p99_of_plain);
    } else if (c.clients == 4) {
      add(report, "B10", name, "throughput over a plain queue's", Goal::at_least(0.95),
          all.of_plain);
    } else {
      add(report, "B9", name, "throughput over the better of plain and yielding",
          Goal::at_least(0.85), all.of_better);
    }
    add(report, "-", name + ": plain", "throughput", {}, all.plain_rate, 1e-3, "k/s");
    add(report, "-", name + ": yielding", "throughput", {}, all.yielding_rate, 1e-3, "k/s");
    for (const auto& [what, mean] : all.mean_batch) {
      report.add({.id = "-", .name = name + ": " + what, .metric = "mean batch", .unit = "rows"},
                 mean);
    }
    add(report, "-", name + ": batched", "throughput", {}, all.rate, 1e-3, "k/s");
  }
}

}  // namespace bench
