// Eight threads, one batcher, everything at once: for TSan and ASan.
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/slot.hpp>
#include <galley/policy/batch/preferred_sizes.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <support/batching.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::batched;
using galley::BatchOptions;
using galley::BatchPolicy;
using galley::CallerRuns;
using galley::Context;
using galley::Executor;
using galley::Infeasible;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::ThreadPool;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t threads = 8;

/// Ten times each row; negative rows fail alone.
Servable<int, int> model(std::atomic<int>& running, std::atomic<int>& most, int spin) {
  return galley::map_batch("model", [&running, &most, spin](const Batch<int>& rows) {
    const int now = ++running;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    for (int i = 0; i < spin; ++i) std::this_thread::yield();
    Outcomes<int> outcomes;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] < 0) {
        outcomes.casualties().append(i, galley::Error(Status::invalid_argument));
      } else {
        outcomes.survivors().push_back(support::tenfold(rows[i]));
      }
    }
    --running;
    return outcomes;
  });
}

/// What the requests of one round may answer, and how often they did.
struct Ledger {
  std::vector<std::atomic<int>> answers;
  std::atomic<int> wrong{0};
  std::atomic<std::size_t> values{0};
  std::atomic<std::size_t> answered{0};
  bool has_shutdown = false;

  explicit Ledger(std::size_t requests) : answers(requests) {}

  template <class Got>
  void row(int n, const Got& got, bool may_stop, bool may_be_late) {
    if (got.has_value()) {
      ++values;
      if (n < 0 || *got != support::tenfold(n)) ++wrong;
      return;
    }
    const Status status = got.status();
    const bool allowed = (n < 0 && status == Status::invalid_argument) ||
                         status == Status::resource_exhausted ||
                         (may_stop && status == Status::cancelled) ||
                         (may_be_late && status == Status::deadline_exceeded) ||
                         (has_shutdown && status == Status::unavailable);
    if (!allowed) ++wrong;
  }
  void request(std::size_t id, const Rows<int>& rows, const Outcomes<int>& outcomes, bool may_stop,
               bool may_be_late) {
    if (++answers[id] != 1 || outcomes.size() != rows.size()) ++wrong;
    for (std::size_t i = 0; i < std::min(rows.size(), outcomes.size()); ++i) {
      row(rows[i], outcomes[i], may_stop, may_be_late);
    }
    ++answered;
  }
};

/// One thread's requests, of every kind.
void ask(const Servable<int, int>& graph, const Executor& executor, Ledger& ledger,
         std::size_t thread, std::size_t each, std::uint32_t seed) {
  std::mt19937 random(seed + static_cast<std::uint32_t>(thread));
  std::vector<std::stop_source> stops;
  for (std::size_t i = 0; i < each; ++i) {
    const std::size_t id = thread * each + i;
    Rows<int> rows;
    const std::size_t n = random() % 4 == 0 ? 1 + random() % 20 : 1;
    for (std::size_t r = 0; r < n; ++r) rows.push_back(static_cast<int>(random() % 1000) - 20);
    Context context;
    context.priority = random() % 5 == 0 ? static_cast<std::int32_t>(random() % 3) - 1 : 0;
    const bool late = random() % 3 == 0;
    if (late) context.deadline = executor.now() + std::chrono::microseconds(random() % 400);
    const bool stop = random() % 4 == 0;
    if (stop) {
      stops.emplace_back();
      context.stop = stops.back().get_token();
    }
    std::vector<galley::Key> keys;
    if (random() % 8 == 0) keys.assign(n, id);
    switch (random() % 3) {
      case 0:
        ledger.request(id, rows, graph.serve_rows(rows, context, {.keys = keys}), stop, late);
        break;
      default:
        graph.submit_rows(
            rows, context,
            galley::BatchCompletion<int>(n,
                                         [&ledger, id, rows, stop, late](Outcomes<int> outcomes) {
                                           ledger.request(id, rows, outcomes, stop, late);
                                         }),
            {.keys = keys});
    }
    if (stop && random() % 2 == 0) stops.back().request_stop();
    if (stops.size() > 8) {
      for (std::stop_source& source : stops) source.request_stop();
      stops.clear();
    }
  }
}

/// Turns every knob while others serve.
template <class Policy>
void meddle(const Servable<int, int>& graph, const std::vector<Policy>& policies,
            const std::atomic<bool>& go_on) {
  for (std::size_t i = 0; go_on; ++i) {
    BatchOptions options;
    options.max_rows = 1 + i % 16;
    options.max_queued_rows = std::size_t{64} << (i % 6);
    options.caller_runs = i % 3 == 0 ? CallerRuns::never : CallerRuns::when_idle;
    options.infeasible = i % 5 == 0 ? Infeasible::keep : Infeasible::drop;
    options.ageing = 1us * static_cast<int>(i % 50);
    galley::SetBatchOptions set{options};
    (void)graph.control("", set);
    galley::SetBatchPolicy<Policy> policy{policies[i % policies.size()]};
    (void)graph.control("", policy);
    galley::FlushBatches flush;
    (void)graph.control("", flush);
    galley::BatchStatistics statistics;
    (void)graph.control("", statistics);
    galley::BatchProfile profile;
    (void)graph.control("", profile);
    galley::SetBatchProfile begin{profile};
    (void)graph.control("", begin);
    (void)graph.describe();
    for (int n = 0; n < 20; ++n) std::this_thread::yield();
  }
}

template <class Policy>
void round(const std::vector<Policy>& policies, std::size_t workers, std::size_t each,
           std::optional<galley::Duration> grace, bool stateful, std::uint32_t seed) {
  CAPTURE(seed, workers, stateful, grace.has_value());
  Ledger ledger(threads * each);
  ledger.has_shutdown = grace.has_value();
  std::atomic<int> running{0}, most{0};
  std::atomic<bool> go_on{true};
  {
    ThreadPool pool{{.workers = workers}};
    const Executor executor = pool;
    std::optional graph =
        batched(executor,
                galley::map("first", [](int n) { return n; }) |
                    Servable<int, int>("model",
                                       [child = model(running, most, 3)](
                                           const Batch<int>& rows, const galley::BatchContext& c) {
                                         return child.serve_batch(rows, c);
                                       },
                                       {.stateful = stateful}),
                {.max_rows = 8}, policies[0]);
    std::thread meddler([&, copy = *graph] { meddle(copy, policies, go_on); });
    std::vector<std::thread> callers;
    for (std::size_t t = 0; t < threads; ++t) {
      callers.emplace_back([&, copy = *graph, t] { ask(copy, executor, ledger, t, each, seed); });
    }
    graph.reset();
    if (grace.has_value()) {
      while (ledger.answered < threads * each / 2) std::this_thread::yield();
      pool.shutdown(*grace);
    }
    for (std::thread& caller : callers) caller.join();
    go_on = false;
    meddler.join();
    if (!grace.has_value()) {
      while (ledger.answered < threads * each) std::this_thread::yield();
    }
  }
  for (const auto& answers : ledger.answers) REQUIRE(answers == 1);
  CHECK(ledger.wrong == 0);
  CHECK(ledger.values > 0);
  CHECK(running == 0);
  if (stateful) CHECK(most == 1);
}

template <class Policy>
void rounds(const std::vector<Policy>& policies) {
  std::uint32_t seed = 1;
  for (std::size_t workers : {1U, 2U, 3U}) {
    for (const bool stateful : {false, true}) {
      round<Policy>(policies, workers, 250, std::nullopt, stateful, seed++);
      round<Policy>(policies, workers, 250, 0ns, stateful, seed++);
      round<Policy>(policies, workers, 250, 1ms, stateful, seed++);
    }
  }
}

}  // namespace

TEST_CASE("under every load each request of a learned batcher is answered once",
          "[batched][runtime][soak]") {
  rounds<galley::LearnedCap>({{}, {.max_yields = 0}, {.probe_every = 2}});
}

TEST_CASE("under every load each request of a batcher that waits is answered once",
          "[batched][runtime][soak]") {
  rounds<galley::SizeOrDelay>({{4, 200us}, {16, 50us}, {1, 0ns}});
}

TEST_CASE("under every load each request of a batcher of preferred sizes is answered once",
          "[batched][runtime][soak]") {
  rounds<galley::PreferredSizes>({{{2, 4, 8}, 100us}, {{3}, 0ns}});
}

TEST_CASE("callers who only serve all get their answers, whoever runs their batches",
          "[batched][runtime][soak]") {
  for (const std::size_t workers : {1U, 2U, 3U}) {
    std::atomic<int> running{0}, most{0}, wrong{0};
    const ThreadPool pool{{.workers = workers}};
    const auto graph = batched(pool, model(running, most, 2));
    std::vector<std::thread> callers;
    for (std::size_t t = 0; t < threads; ++t) {
      callers.emplace_back([&, t] {
        for (int i = 0; i < 1000; ++i) {
          const int n = static_cast<int>(t) * 1000 + i;
          if (!(graph.serve(n) == Result<int>(support::tenfold(n)))) ++wrong;
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
    CHECK(wrong == 0);
    CHECK(most <= static_cast<int>(workers));
  }
}

TEST_CASE("completions that serve never hang, however few the workers",
          "[batched][runtime][soak]") {
  for (const std::size_t workers : {1U, 2U, 3U}) {
    for (const bool stateful : {false, true}) {
      CAPTURE(workers, stateful);
      std::atomic<int> answers{0}, wrong{0};
      const ThreadPool pool{{.workers = workers}};
      const auto child = galley::Servable<int, int>(
          "model", [](int n) { return support::tenfold(n); }, {.stateful = stateful});
      const auto graph = batched(pool, child, {.caller_runs = CallerRuns::never});
      constexpr int requests = 300;
      for (int i = 0; i < requests; ++i) {
        graph.submit(i, {}, [&, i](Result<int> first) {
          const Result<int> second = graph.serve(i + 1);
          const bool fits = second == Result<int>(support::tenfold(i + 1)) ||
                            second.status() == Status::failed_precondition;
          if (!(first == Result<int>(support::tenfold(i))) || !fits) ++wrong;
          ++answers;
        });
      }
      while (answers < requests) std::this_thread::yield();
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("tasks that serve never wait for a batch that waits beneath them",
          "[batched][runtime][soak]") {
  for (const std::size_t workers : {1U, 2U, 3U}) {
    for (const bool stateful : {false, true}) {
      CAPTURE(workers, stateful);
      std::atomic<int> answers{0}, wrong{0}, values{0};
      const ThreadPool pool{{.workers = workers}};
      const auto child = galley::Servable<int, int>(
          "model", [](int n) { return support::tenfold(n); }, {.stateful = stateful});
      const auto inner = batched(pool, galley::on(pool, child));
      const auto outer =
          galley::on(pool, galley::map("outer", [inner](int n) { return inner.serve(n); }));
      constexpr int requests = 2000;
      for (int i = 0; i < requests; ++i) {
        outer.submit(i, {}, [&, i](Result<int> r) {
          if (r.has_value()) ++values;
          if (!(r == Result<int>(support::tenfold(i))) &&
              r.status() != Status::failed_precondition) {
            ++wrong;
          }
          ++answers;
        });
      }
      while (answers < requests) std::this_thread::yield();
      CHECK(wrong == 0);
      CHECK(values > 0);
    }
  }
}

TEST_CASE("a request sees one version, split or not, while versions come and go",
          "[batched][runtime][soak]") {
  const auto version = [](int number) {
    return galley::map("version", [number](int n) { return number * 1000 + n; });
  };
  for (const std::size_t workers : {1U, 2U, 3U}) {
    std::atomic<int> wrong{0};
    std::atomic<std::size_t> answered{0};
    constexpr std::size_t each = 300;
    const ThreadPool pool{{.workers = workers}};
    const auto [servable, publisher] = galley::slot("slot", version(0), {.keep = 1});
    const auto graph = batched(pool, servable, {.max_rows = 4, .max_queued_rows = 1U << 16U});
    const auto check = [&](const Outcomes<int>& outcomes) {
      for (std::size_t i = 0; i < outcomes.size(); ++i) {
        const int first = *outcomes[0];
        if (*outcomes[i] != first + static_cast<int>(i)) ++wrong;
      }
      ++answered;
    };
    std::vector<std::thread> callers;
    for (std::size_t t = 0; t < threads; ++t) {
      callers.emplace_back([&] {
        Rows<int> rows;
        for (int i = 0; i < 11; ++i) rows.push_back(i);
        for (std::size_t i = 0; i < each; ++i) {
          if (i % 2 == 0) {
            check(graph.serve_rows(rows));
          } else {
            graph.submit_rows(rows, {}, galley::BatchCompletion<int>(rows.size(), check));
          }
        }
      });
    }
    for (int number = 1; answered < threads * each; ++number) {
      if (!publisher.publish(version(number % 1000)).has_value()) ++wrong;
      std::this_thread::yield();
    }
    for (std::thread& caller : callers) caller.join();
    CHECK(wrong == 0);
    CHECK(publisher.status().kept.size() == 2);
  }
}
