// Timeouts, retries, hedges, breakers and shadows under many threads: for TSan and ASan.
#include <galley/compose/breaker.hpp>
#include <galley/compose/hedge.hpp>
#include <galley/compose/retry.hpp>
#include <galley/compose/shadow.hpp>
#include <galley/compose/timeout.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <support/batching.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Context;
using galley::Error;
using galley::Executor;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::ShadowBatch;
using galley::Status;
using galley::ThreadPool;
using support::tenfold;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t threads = 6;
constexpr std::size_t each = 300;

struct Heard {
  std::atomic<std::size_t> answered{0};
  std::atomic<std::size_t> values{0};
  std::atomic<std::size_t> wrong{0};

  void hear(const Rows<int>& rows, const Outcomes<int>& outcomes) {
    if (outcomes.size() != rows.size()) ++wrong;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (outcomes[i].has_value()) {
        ++values;
        if (*outcomes[i] != tenfold(rows[i])) ++wrong;
      }
    }
    ++answered;
  }
};

/// Tenfold; now and then it is slow, or fails for a reason that passes.
Servable<int, int> moody(std::shared_ptr<int> alive) {
  auto calls = std::make_shared<std::atomic<std::uint64_t>>(0);
  return galley::map_batch("moody", [calls, alive](const Rows<int>& rows) -> Result<Rows<int>> {
    const std::uint64_t call = ++*calls;
    if (call % 7 == 3) return Error(Status::unavailable);
    for (std::uint64_t i = call % 11 == 5 ? 200 : 0; i > 0; --i) std::this_thread::yield();
    Rows<int> out;
    for (const int n : rows) out.push_back(tenfold(n));
    return out;
  });
}

Servable<int, int> graph_of(int shape, const Executor& pool, const std::shared_ptr<int>& alive) {
  const Servable<int, int> model = moody(alive);
  const auto batched = galley::batched(pool, model, {.max_rows = 8});
  const galley::BreakerOptions touchy{
      .failure_rate = 0.3, .window = 20, .least_rows = 5, .open_for = 200us, .probes = 3};
  const galley::RetryOptions eager{.attempts = 4, .backoff = 20us, .max_backoff = 100us};
  const auto sink = [alive](const ShadowBatch<int, int>&) {};
  switch (shape) {
    case 0:
      return galley::timeout(pool, batched, 300us);
    case 1:
      return galley::retry(pool, model, eager);
    case 2:
      return galley::hedge(pool, batched, {.quantile = 0.5, .share = 1, .burst = 100});
    case 3:
      return galley::breaker(pool, batched, touchy);
    case 4:
      return galley::shadow(pool, batched, model, {.share = 0.5, .max_running = 2}, sink,
                            std::equal_to<>());
    case 5:
      return galley::shadow(
          pool,
          galley::breaker(
              pool,
              galley::retry(pool,
                            galley::hedge(pool, galley::timeout(pool, batched, 400us), model,
                                          {.quantile = 0.5, .share = 0.5, .burst = 100}),
                            eager),
              touchy),
          batched, {.share = 0.5}, sink);
    default:
      return galley::timeout(pool, galley::retry(galley::breaker(pool, model, touchy)), 200us);
  }
}
constexpr int shapes = 7;

/// One thread's requests: rows, deadlines, stops, and some that wait.
void ask(const Servable<int, int>& graph, const Executor& executor, Heard& heard,
         std::size_t thread) {
  std::mt19937 random(static_cast<std::uint32_t>(thread));
  for (std::size_t number = 0; number < each; ++number) {
    Rows<int> rows;
    for (std::size_t n = 1 + (random() % 3 == 0 ? random() % 9 : 0); n > 0; --n) {
      rows.push_back(static_cast<int>(random() % 1000));
    }
    Context context;
    if (random() % 4 == 0) context.deadline = executor.now() + 1us * (random() % 600);
    std::stop_source stop;
    if (random() % 4 == 0) context.stop = stop.get_token();
    if (random() % 8 == 0) {
      heard.hear(rows, graph.serve_rows(rows, context));
      continue;
    }
    graph.submit_rows(
        rows, context,
        galley::BatchCompletion<int>(rows.size(), [&heard, rows](const Outcomes<int>& outcomes) {
          heard.hear(rows, outcomes);
        }));
    if (random() % 2 == 0) stop.request_stop();
    if (random() % 4 == 0) std::this_thread::yield();
  }
}

/// How many rows had values: on a slow machine all may be late.
std::size_t round(int shape, std::size_t workers, bool shuts_down) {
  CAPTURE(shape, workers, shuts_down);
  const auto alive = std::make_shared<int>(0);
  Heard heard;
  {
    ThreadPool pool{{.workers = workers}};
    const Executor executor = pool;
    auto graph = std::make_unique<Servable<int, int>>(graph_of(shape, executor, alive));
    std::vector<std::thread> callers;
    for (std::size_t t = 0; t < threads; ++t) {
      callers.emplace_back([&, copy = *graph, t] { ask(copy, executor, heard, t); });
    }
    std::thread watcher([copy = *graph, &heard] {
      while (heard.answered < threads * each / 2) {
        galley::BreakerStatistics breaker;
        galley::HedgeStatistics hedge;
        galley::ShadowStatistics shadow;
        (void)copy.control("", breaker);
        (void)copy.control("", hedge);
        (void)copy.control("", shadow);
        std::this_thread::yield();
      }
    });
    graph.reset();  // from now on the callers and their requests own it
    watcher.join();
    if (shuts_down) pool.shutdown();
    for (std::thread& caller : callers) caller.join();
    while (heard.answered < threads * each) std::this_thread::yield();
  }
  CHECK(heard.wrong == 0);
  CHECK(heard.answered == threads * each);
  CHECK(alive.use_count() == 1);
  return heard.values;
}

}  // namespace

TEST_CASE("whoever is first, each row is answered once and nothing is kept",
          "[resilience][runtime][soak]") {
  std::size_t values = 0;
  for (int shape = 0; shape < shapes; ++shape) {
    for (const std::size_t workers : {1U, 3U}) {
      values += round(shape, workers, false);
      values += round(shape, workers, true);
    }
  }
  CHECK(values > 0);
}
