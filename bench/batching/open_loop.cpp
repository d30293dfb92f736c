// Latency where requests come when they come: on one real worker, what bench/sim finds in virtual
// time. The generator has the other core.
#include <galley/compose/batched.hpp>
#include <galley/load/run.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <batching/cases.hpp>
#include <batching/open_loop.hpp>
#include <rivals/triton.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

namespace {

using galley::Duration;
using galley::load::Run;
using std::chrono::microseconds;
using std::chrono::milliseconds;

Model triton(const galley::ThreadPool& pool, const Subject& subject, rivals::Triton policy) {
  return galley::batched(pool, subject.served, {.caller_runs = galley::CallerRuns::never},
                         std::move(policy));
}

/// Largest batches and delays, each with and without a smaller size to prefer.
std::vector<rivals::Triton> grid() {
  std::vector<rivals::Triton> all;
  for (const std::size_t size : {16U, 64U}) {
    for (const int delay : {0, 100, 500, 2000}) {
      rivals::Triton policy{.max_batch_size = size, .max_queue_delay = microseconds(delay)};
      all.push_back(policy);
      policy.preferred = {size / 4, size};
      if (delay != 0) all.push_back(policy);
    }
  }
  return all;
}

/// The best of the grid on one seed; its default where every run is void.
rivals::Triton tuned(Report& report, const galley::ThreadPool& pool, const Scene& scene) {
  rivals::Triton best;
  double least = 0;
  Tries tries;
  const std::vector<rivals::Triton> all = grid();
  for (const rivals::Triton& policy : all) {
    const Model model = triton(pool, scene.subject, policy);
    std::optional<Run> run;
    for (int i = 0; i < 2 && !run && tries.go_on(2 * all.size()); ++i) {
      run = run_of(report, model, scene, 1, 0.1, tries);
    }
    if (!run || (least != 0 && p99_of(*run) >= least)) continue;
    least = p99_of(*run);
    best = policy;
  }
  return best;
}

std::string text_of(const rivals::Triton& policy) {
  std::string text = "max " + std::to_string(policy.max_batch_size);
  if (!policy.preferred.empty()) text += ", preferred " + std::to_string(policy.preferred.front());
  return text + ", delay " + std::to_string(policy.max_queue_delay.count() / 1000) + " us";
}

void p99_case(Report& report, const galley::ThreadPool& pool, const Subject& subject, int percent) {
  constexpr std::size_t pairs = 8;
  const Model ours = galley::batched(pool, subject.served);
  report.check(ours.prepare().has_value(), subject.name + " could not be prepared");
  capacity_of(report, ours, subject, milliseconds(200));  // learns what batches cost
  const double capacity = capacity_of(report, ours, subject, milliseconds(200));
  const Scene scene{.subject = subject, .rate = capacity * percent / 100};
  const rivals::Triton policy = tuned(report, pool, scene);
  const Model theirs = triton(pool, subject, policy);
  std::vector<double> ratios, our_p99, their_p99;
  Tries tries;
  for (std::uint64_t seed = 2; ratios.size() < pairs && tries.go_on(3 * pairs); ++seed) {
    const bool first = seed % 2 == 0;
    std::optional<Run> us, them;
    if (first) us = run_of(report, ours, scene, seed, 0.25, tries);
    them = run_of(report, theirs, scene, seed, 0.25, tries);
    if (!first) us = run_of(report, ours, scene, seed, 0.25, tries);
    if (!us || !them) continue;
    our_p99.push_back(p99_of(*us));
    their_p99.push_back(p99_of(*them));
    ratios.push_back(our_p99.back() / their_p99.back());
  }
  const std::string name = subject.name + ", Poisson at " + std::to_string(percent) + " % of " +
                           std::to_string(static_cast<int>(capacity / 1000)) + " k/s";
  const std::string rival = "Triton's policy, " + text_of(policy);
  add_or_void(report,
              {.id = "B11",
               .name = name + ", batched / " + rival + "; " + tries.text(),
               .metric = "p99 ratio",
               .unit = "",
               .goal = Goal::at_most(1.05)},
              ratios, tries);
  if (ratios.empty()) return;
  report.add({.id = "-", .name = name + ": batched", .metric = "p99", .unit = "us"},
             spread_of(our_p99));
  report.add({.id = "-", .name = name + ": " + rival, .metric = "p99", .unit = "us"},
             spread_of(their_p99));
}

}  // namespace

void open_cases(Report& report, std::vector<Subject>& subjects) {
  const galley::ThreadPool pool({.workers = 1});
  for (const Subject& subject : subjects) {
    for (const int percent : {50, 80}) p99_case(report, pool, subject, percent);
  }
}

}  // namespace bench
