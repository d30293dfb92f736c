// Many threads, one order: for TSan and ASan. What completions share has no lock here.
#include <galley/compose/in_order.hpp>
#include <galley/compose/on.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <support/batching.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Context;
using galley::Executor;
using galley::in_order;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::ThreadPool;
using support::tenfold;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t threads = 8;
constexpr std::size_t each = 500;  // all together fewer than the frames of a graph: none is refused

/// What completions hear, in their order: nothing here is locked or atomic but what others read.
struct Heard {
  std::vector<std::size_t> next = std::vector<std::size_t>(threads);  // of each thread
  std::size_t wrong = 0;
  std::size_t values = 0;
  std::atomic<bool> inside{false};
  std::atomic<std::size_t> answered{0};

  void hear(std::size_t thread, std::size_t number, const Rows<int>& rows,
            const Outcomes<int>& outcomes) {
    if (inside.exchange(true)) ++wrong;
    if (next[thread]++ != number || outcomes.size() != rows.size()) ++wrong;
    for (std::size_t i = 0; i < std::min(rows.size(), outcomes.size()); ++i) {
      if (!outcomes[i].has_value()) continue;
      ++values;
      if (*outcomes[i] != tenfold(rows[i])) ++wrong;
    }
    inside = false;
    ++answered;
  }
};

/// One thread's requests: rows, priorities, deadlines, stops.
void ask(const Servable<int, int>& graph, const Executor& executor, Heard& heard,
         std::size_t thread) {
  std::mt19937 random(static_cast<std::uint32_t>(thread));
  for (std::size_t number = 0; number < each; ++number) {
    Rows<int> rows;
    const std::size_t n = random() % 4 == 0 ? 1 + random() % 20 : 1;
    for (std::size_t r = 0; r < n; ++r) rows.push_back(static_cast<int>(random() % 1000));
    Context context{.priority = static_cast<std::int32_t>(random() % 3)};
    if (random() % 4 == 0) context.deadline = executor.now() + 1us * (random() % 400);
    std::stop_source stop;
    if (random() % 4 == 0) context.stop = stop.get_token();
    graph.submit_rows(rows, context,
                      galley::BatchCompletion<int>(
                          n, [&heard, thread, number, rows](const Outcomes<int>& outcomes) {
                            heard.hear(thread, number, rows, outcomes);
                          }));
    if (random() % 2 == 0) stop.request_stop();
    if (random() % 8 == 0) std::this_thread::yield();
  }
}

void round(std::size_t workers, std::optional<galley::Duration> grace) {
  CAPTURE(workers, grace.has_value());
  Heard heard;
  {
    ThreadPool pool{{.workers = workers}};
    const Executor executor = pool;
    auto graph = std::make_unique<Servable<int, int>>(
        in_order(galley::batched(executor, galley::map("model", tenfold),
                                 {.max_rows = 8, .caller_runs = galley::CallerRuns::never})));
    std::vector<std::thread> callers;
    for (std::size_t t = 0; t < threads; ++t) {
      callers.emplace_back([&, copy = *graph, t] { ask(copy, executor, heard, t); });
    }
    graph.reset();  // from now on the callers and their requests own it
    if (grace.has_value()) {
      while (heard.answered < threads * each / 2) std::this_thread::yield();
      pool.shutdown(*grace);
    }
    for (std::thread& caller : callers) caller.join();
    while (heard.answered < threads * each) std::this_thread::yield();
  }
  CHECK(heard.wrong == 0);
  CHECK(heard.values > 0);
  for (const std::size_t next : heard.next) CHECK(next == each);
}

}  // namespace

TEST_CASE("whoever answers, each caller's requests are answered in its order, one at a time",
          "[in_order][runtime][soak]") {
  for (const std::size_t workers : {1U, 2U, 3U}) {
    round(workers, std::nullopt);
    round(workers, 0ns);
    round(workers, 1ms);
  }
}

TEST_CASE("completions that submit keep the order, and may drop the graph",
          "[in_order][runtime][soak]") {
  for (const std::size_t workers : {1U, 2U, 3U}) {
    CAPTURE(workers);
    const auto alive = std::make_shared<int>(0);
    std::atomic<int> ended{0};
    std::vector<int> delivered;  // without a lock
    constexpr int requests = 4'000;
    {
      const ThreadPool pool{{.workers = workers}};
      auto graph = std::make_unique<Servable<int, int>>(
          in_order(galley::on(pool, galley::map("work", [alive](int n) {
                                for (int i = n % 7; i > 0; --i) std::this_thread::yield();
                                return n;
                              }))));
      struct Again {
        std::unique_ptr<Servable<int, int>>* graph;
        std::vector<int>* delivered;
        std::atomic<int>* ended;
        void operator()(const Result<int>& result) const {
          delivered->push_back(*result);
          const int next = *result + 16;
          if (next < requests) return (*graph)->submit(next, {}, Again(*this));
          if (*ended == 15) graph->reset();
          ++*ended;
        }
      };
      for (int i = 0; i < 16; ++i) graph->submit(i, {}, Again{&graph, &delivered, &ended});
      while (ended < 16) std::this_thread::yield();
    }
    CHECK(delivered.size() == requests);
    CHECK(alive.use_count() == 1);
  }
}
