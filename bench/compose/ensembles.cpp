#include <galley/compose/ensemble.hpp>
#include <galley/compose/map.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <support/timing.hpp>

#include <compose/cases.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

namespace {

using Step = galley::Servable<int, int>;

/// Arithmetic that nobody can shorten, the same amount whatever the clock says. It is over when it
/// returns: a processor would begin what follows beneath so long a chain, whoever called it.
int work(std::uint64_t rounds, int x) {
  auto state = static_cast<std::uint64_t>(x) + 1;
  for (std::uint64_t i = 0; i < rounds; ++i)
    state = state * 6364136223846793005U + 1442695040888963407U;
  volatile std::uint64_t kept = state;
  do_not_optimise(kept);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return x + 1;
}

std::uint64_t rounds_in(std::chrono::nanoseconds time) {
  constexpr std::uint64_t sample = 2'000'000;
  double best = 1e18;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work(sample, i);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  return static_cast<std::uint64_t>(static_cast<double>(time.count()) / best * sample);
}

Step member_of(std::uint64_t rounds) {
  return galley::map("member", [rounds](int x) { return work(rounds, x); });
}

/// The least time in which `workers` can do jobs of these sizes, in the jobs' unit: all ways tried.
double makespan(const std::vector<double>& jobs, std::size_t workers) {
  double least = 1e18;
  std::size_t ways = 1;
  for (std::size_t i = 0; i < jobs.size(); ++i) ways *= workers;
  for (std::size_t way = 0; way < ways; ++way) {
    std::vector<double> ends(workers);
    std::size_t rest = way;
    for (const double job : jobs) {
      ends[rest % workers] += job;
      rest /= workers;
    }
    least = std::min(least, *std::ranges::max_element(ends));
  }
  return least;
}

/// An ensemble against its members called in turn by a plain loop, whose time says what the members
/// cost at that moment.
Paired against_loop(Report& report, const galley::ThreadPool& pool,
                    const std::vector<double>& sizes, std::chrono::nanoseconds unit) {
  const std::uint64_t rounds = rounds_in(unit);
  std::vector<Step> members;
  std::vector<std::uint64_t> amounts;
  for (const double size : sizes) {
    amounts.push_back(static_cast<std::uint64_t>(static_cast<double>(rounds) * size));
    members.push_back(member_of(amounts.back()));
  }
  const auto last = [](const galley::Votes<int>& votes) -> galley::Result<int> {
    int sum = 0;
    for (const auto& vote : votes) sum += *vote.value;
    return sum;
  };
  const auto together = galley::ensemble(galley::Executor(pool), last, members);
  const int wanted = 42 * static_cast<int>(members.size());
  const auto ask = [&] {
    const galley::Result<int> got = together.serve(41);
    report.check(got.has_value() && *got == wanted, "an ensemble answered wrongly");
  };
  for (int i = 0; i < 64; ++i) ask();  // learns what its members cost
  return compare(ask,
                 [&] {
                   for (const std::uint64_t amount : amounts) work(amount, 41);
                 },
                 {.pairs = 60, .slice = std::chrono::milliseconds(1)});
}

}  // namespace

void ensemble_cases(Report& report) {
  const galley::ThreadPool pool({.workers = 2});
  using Sizes = std::vector<double>;
  for (const Sizes& sizes : {Sizes{1, 1}, Sizes{1, 1, 1, 1}, Sizes{3, 1, 1, 1}, Sizes{2, 2, 3}}) {
    double total = 0;
    std::string text;
    for (const double size : sizes) {
      total += size;
      text += (text.empty() ? "" : ", ") + std::to_string(static_cast<int>(size));
    }
    const double best = makespan(sizes, 2);
    const Paired both = against_loop(report, pool, sizes, std::chrono::milliseconds(1));
    report.add({.id = "C3",
                .name = "ensemble of members of " + text + " ms / their best makespan on 2 threads",
                .metric = "latency ratio",
                .unit = "",
                .goal = Goal::at_most(1.08)},
               both.ratio.times(total / best));
  }
  for (const int us : {1, 5, 20}) {
    const Paired both = against_loop(report, pool, {1, 1, 1}, std::chrono::microseconds(us));
    report.add({.id = "C4",
                .name = "ensemble of 3 members of " + std::to_string(us) + " us / their sum",
                .metric = "latency ratio",
                .unit = "",
                .goal = us == 20 ? Goal{} : Goal::at_most(1.02)},
               both.ratio);
  }
}

}  // namespace bench
