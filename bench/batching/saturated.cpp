#include <galley/compose/batched.hpp>
#include <galley/runtime/thread_pool.hpp>
#include <galley/torch/threads.hpp>

#include <support/timing.hpp>

#include <batching/cases.hpp>
#include <batching/load.hpp>

#include <chrono>
#include <thread>

namespace bench {

namespace {

using std::chrono::milliseconds;

/// Rows a second of `loops` threads that each call the bare model with `rows` rows.
double bare_rate(const Subject& subject, std::int64_t rows, std::size_t loops, milliseconds time) {
  std::atomic<std::uint64_t> calls{0};
  std::vector<std::unique_ptr<Bare>> models;
  for (std::size_t i = 0; i < loops; ++i) {
    models.push_back(std::make_unique<Bare>(subject.file, Form::galleys));
  }
  const galley::ThreadPool pool({.workers = loops});
  const auto ran = galley::Executor(pool).each_worker([&](galley::Worker& worker) {
    static_cast<void>(galley::prepare_thread());
    const c10::InferenceMode guard;
    const at::Tensor input = subject.inputs(rows);
    Bare& bare = *models[worker.index()];
    for (int i = 0; i < 3; ++i) bare(input);
    const auto end = std::chrono::steady_clock::now() + time;
    std::uint64_t mine = 0;
    while (std::chrono::steady_clock::now() < end) {
      const at::Tensor output = bare(input);
      const void* data = output.data_ptr();
      do_not_optimise(data);
      ++mine;
    }
    calls += mine;
  });
  if (!ran.has_value()) return 0;
  return static_cast<double>(calls) * static_cast<double>(rows) /
         std::chrono::duration<double>(time).count();
}

/// The number of rows a call at which the bare loop is fastest.
std::int64_t best_batch(const Subject& subject) {
  std::int64_t best = 1;
  double highest = 0;
  for (const std::int64_t rows : {1, 2, 4, 8, 16, 32, 64}) {
    const double rate = bare_rate(subject, rows, 1, milliseconds(60));
    if (rate > highest * 1.02) {
      highest = rate;
      best = rows;
    }
  }
  return best;
}

struct Case {
  const char* id;
  std::size_t workers;
  std::size_t rows;  // of each request
  double goal;
};

void saturated_case(Report& report, const Subject& subject, std::int64_t best, const Case& c) {
  constexpr int rounds = 15;
  const milliseconds time(100);
  galley::ThreadPool pool({.workers = c.workers});
  const Model model = galley::batched(pool, subject.served);
  report.check(model.prepare().has_value(), subject.name + " could not be prepared");
  galley::Rows<galley::Tensor> request;
  if (c.rows == 1) {
    request = galley::Rows<galley::Tensor>::single(subject.sample);
  } else {
    const std::vector<galley::Tensor> rows(c.rows, subject.sample);
    request = *galley::Rows<galley::Tensor>::of_block(
        *galley::Rows<galley::Tensor>(std::span<const galley::Tensor>(rows)).dense());
  }
  Chains chains(model, request, subject.answer, c.rows == 1 ? 256 * c.workers : 8 * c.workers);
  chains.run(milliseconds(200));  // learns what batches cost
  std::vector<double> ratios;
  std::vector<double> rates;
  for (int round = 0; round < rounds; ++round) {
    const double bare = bare_rate(subject, best, c.workers, time);
    const Load load = chains.run(time);
    report.check(load.wrong == 0, subject.name + ": wrong answers under load");
    ratios.push_back(load.rows_per_second / bare);
    rates.push_back(load.rows_per_second);
  }
  galley::BatchStatistics statistics;
  static_cast<void>(model.control("", statistics));
  const std::string name =
      subject.name + ", " + std::to_string(c.workers) + (c.workers == 1 ? " worker" : " workers") +
      ", requests of " + std::to_string(c.rows) + ", mean batch " +
      std::to_string(statistics.rows / std::max<std::uint64_t>(statistics.batches, 1)) +
      ", bare loop of " + std::to_string(best);
  report.add({.id = c.id,
              .name = name,
              .metric = "throughput ratio",
              .unit = "",
              .goal = c.goal > 0 ? Goal::at_least(c.goal) : Goal{}},
             spread_of(ratios));
  report.add({.id = c.id, .name = name, .metric = "rows per second", .unit = "k/s"},
             spread_of(rates).times(1e-3));
}

}  // namespace

void saturated_cases(Report& report, std::vector<Subject>& subjects) {
  for (const Subject& subject : subjects) {
    const std::int64_t best = best_batch(subject);
    if (&subject == &subjects.front()) {
      saturated_case(report, subject, best, {"B5", 1, 1, 0.45});
      saturated_case(report, subject, best, {"B6", 1, 32, 0.8});
    } else {
      saturated_case(report, subject, best, {"B3", 1, 1, 0.95});
      saturated_case(report, subject, best, {"B4", 2, 1, 0.90});
    }
  }
}

}  // namespace bench
