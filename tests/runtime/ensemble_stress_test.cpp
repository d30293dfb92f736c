// Ensembles on real threads: for TSan and ASan.
#include <galley/compose/ensemble.hpp>
#include <galley/compose/fan_out.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Context;
using galley::EnsembleOptions;
using galley::Executor;
using galley::MajorityVote;
using galley::map;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::ThreadPool;
using galley::Votes;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t threads = 6;
constexpr std::size_t each = 300;

int spin(int n, int rounds) {
  for (int i = 0; i < rounds; ++i) std::this_thread::yield();
  return n;
}

struct Tally {
  std::atomic<std::size_t> asked{0};
  std::atomic<std::size_t> answered{0};
  std::atomic<std::size_t> wrong{0};
  std::atomic<std::size_t> values{0};

  void hear(const Rows<int>& rows, const Outcomes<int>& outcomes) {
    if (outcomes.size() != rows.size()) ++wrong;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (!outcomes[i].has_value()) continue;
      ++values;
      if (*outcomes[i] != rows[i] * 10) ++wrong;
    }
    ++answered;
  }
};

void ask(const Servable<int, int>& graph, const Executor& executor, Tally& tally, unsigned seed) {
  std::mt19937 random(seed);
  for (std::size_t i = 0; i < each; ++i) {
    Rows<int> rows;
    for (std::size_t n = 1 + random() % 4; n > 0; --n) {
      rows.push_back(static_cast<int>(random() % 100));
    }
    Context context;
    if (random() % 4 == 0) context.deadline = executor.now() + 1us * (random() % 500);
    ++tally.asked;
    if (random() % 2 == 0) {
      tally.hear(rows, graph.serve_rows(rows, context));
    } else {
      graph.submit_rows(
          Rows<int>(rows), context,
          galley::BatchCompletion<int>(rows.size(), [&tally, rows](const Outcomes<int>& outcomes) {
            tally.hear(rows, outcomes);
          }));
    }
  }
}

/// Votes for ten times the row, one of them slow and one of them wrong.
Servable<int, int> voters(const Executor& executor, const EnsembleOptions& options,
                          const std::shared_ptr<int>& alive) {
  const auto right = map("right", [alive](int n) { return spin(n, 1) * 10; });
  const auto slow = map("slow", [alive](int n) { return spin(n, n % 7) * 10; });
  const auto wrong = map("wrong", [alive](int n) { return spin(n, 2); });
  return galley::ensemble(executor, MajorityVote{},
                          {right, slow, galley::on(executor, right), wrong}, options);
}

void round(std::size_t workers, const EnsembleOptions& options,
           std::optional<galley::Duration> grace) {
  CAPTURE(workers, options.cut_off.count(), grace.has_value());
  const auto alive = std::make_shared<int>(0);
  Tally tally;
  {
    ThreadPool pool{{.workers = workers}};
    const Executor executor = pool;
    // A stage after it takes from the same frame, on whichever thread ended the vote.
    auto graph = std::make_unique<Servable<int, int>>(
        voters(executor, options, alive) |
        galley::on(executor, map("after", [alive](int n) { return n; })));
    std::vector<std::thread> callers;
    for (unsigned t = 0; t < threads; ++t) {
      callers.emplace_back([&, copy = *graph, t] { ask(copy, executor, tally, t); });
    }
    graph.reset();
    if (grace.has_value()) {
      while (tally.answered < threads * each / 2) std::this_thread::yield();
      pool.shutdown(*grace);
    }
    for (std::thread& caller : callers) caller.join();
    while (tally.answered < tally.asked) std::this_thread::yield();
  }
  CHECK(tally.answered == threads * each);
  CHECK(tally.wrong == 0);
  if (options.cut_off == 0ns) CHECK(tally.values > 0);
  CHECK(alive.use_count() == 1);
}

}  // namespace

TEST_CASE("votes of many threads are right, each row answered once", "[ensemble][runtime][soak]") {
  using Fork = EnsembleOptions::Fork;
  for (const std::size_t workers : {1U, 3U}) {
    round(workers, {.fork = Fork::always}, std::nullopt);
    round(workers, {.fork = Fork::when_it_pays}, std::nullopt);
    round(workers, {.quorum = 2, .cut_off = 200us, .fork = Fork::always}, std::nullopt);
    round(workers, {.fork = Fork::always}, 0ns);
    round(workers, {.fork = Fork::always}, 1ms);
  }
}

TEST_CASE("ensembles served on the workers of their own executor end",
          "[ensemble][runtime][soak]") {
  const ThreadPool pool{{.workers = 2}};
  const Executor executor = pool;
  const auto alive = std::make_shared<int>(0);
  const auto inner = voters(executor, {.fork = EnsembleOptions::Fork::always}, alive);
  const auto outer = galley::on(executor, map("outer", [inner](int n) { return inner.serve(n); }));
  Tally tally;
  std::vector<std::thread> callers;
  for (unsigned t = 0; t < threads; ++t) {
    callers.emplace_back([&, t] { ask(outer, executor, tally, t); });
  }
  for (std::thread& caller : callers) caller.join();
  while (tally.answered < tally.asked) std::this_thread::yield();
  CHECK(tally.wrong == 0);
}

TEST_CASE("fan-outs of many threads answer each row once", "[fan_out][runtime][soak]") {
  const ThreadPool pool{{.workers = 3}};
  const auto ten = map("ten", [](int n) { return spin(n, n % 3) * 10; });
  const auto text = map("text", [](int n) { return std::to_string(spin(n, 1)); });
  const auto graph = galley::fan_out(galley::on(pool, ten), text, galley::on(pool, text));
  std::atomic<std::size_t> wrong{0}, answered{0};
  std::vector<std::thread> callers;
  for (std::size_t t = 0; t < threads; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < static_cast<int>(each); ++i) {
        const std::tuple wanted(i * 10, std::to_string(i), std::to_string(i));
        const auto hear = [&, wanted](const auto& result) {
          if (!(result.has_value() && *result == wanted)) ++wrong;
          ++answered;
        };
        i % 2 == 0 ? hear(graph.serve(i)) : graph.submit(i, {}, hear);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  while (answered < threads * each) std::this_thread::yield();
  CHECK(wrong == 0);
}
