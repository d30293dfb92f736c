// Traced and untraced requests of many threads through the same nodes: for TSan and ASan.
#include <galley/compose/batched.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/slot.hpp>
#include <galley/core/trace.hpp>
#include <galley/core/trace_sampler.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <support/batching.hpp>
#include <support/traces.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Context;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Span;
using galley::Status;
using galley::ThreadPool;
using galley::Trace;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t threads = 6;
constexpr std::size_t each = 200;  // all together fewer than the frames of a graph: none is refused

Servable<int, int> checked() {
  return galley::map("checked", [](int n) -> Result<int> {
    if (n % 7 == 3) return galley::Error(Status::invalid_argument, "three of seven");
    return n;
  });
}

Servable<int, int> model() {
  return galley::map_batch("model", [](const Rows<int>& rows) {
    Rows<int> out;
    for (const int n : rows) out.push_back(support::tenfold(n));
    return out;
  });
}

Servable<int, int> graph_on(const ThreadPool& pool) {
  const galley::BatchOptions room{.max_queued_rows = threads * each * 20};
  const auto inner =
      galley::slot("slot", on(pool, checked()) | batched(pool, model(), room)).servable;
  return checked() | batched(pool, galley::map([](int n) { return n; }) | inner, room);
}

/// The traces of requests and how many rows each has: filled as they are asked.
struct Asked {
  std::mutex mutex;
  std::vector<std::pair<std::shared_ptr<Trace>, std::size_t>> traced;
  std::atomic<std::size_t> answered{0};
  std::atomic<std::size_t> wrong{0};

  void hear(const Rows<int>& rows, const Outcomes<int>& outcomes) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const bool good = rows[i] % 7 != 3;
      if (outcomes[i].has_value() != good) ++wrong;
      if (good && outcomes[i].has_value() && *outcomes[i] != support::tenfold(rows[i])) ++wrong;
    }
    ++answered;
  }
};

/// One thread's requests; those that are given no trace of their own share one.
void ask(const Servable<int, int>& graph, galley::TraceSampler& sampler,
         const std::shared_ptr<Trace>& shared, Asked& asked, std::size_t thread) {
  std::mt19937 random(static_cast<std::uint32_t>(thread));
  for (std::size_t number = 0; number < each; ++number) {
    Rows<int> rows;
    const std::size_t n = random() % 3 == 0 ? 1 + random() % 20 : 1;
    for (std::size_t r = 0; r < n; ++r) rows.push_back(static_cast<int>(random() % 1000));
    Context context{.request_id = thread * each + number + 1, .trace = sampler.next()};
    if (context.trace != nullptr) {
      const std::lock_guard lock(asked.mutex);
      asked.traced.emplace_back(context.trace, n);
    } else if (random() % 4 == 0) {
      context.trace = shared;
    }
    if (random() % 3 == 0) {
      asked.hear(rows, graph.serve_rows(rows, context));
    } else {
      graph.submit_rows(rows, context, {n, [&asked, rows](const Outcomes<int>& outcomes) {
                                          asked.hear(rows, outcomes);
                                        }});
    }
    if (random() % 16 == 0) (void)shared->spans();  // a trace may be read at any time
  }
}

}  // namespace

TEST_CASE("traced and untraced requests of many threads share batches", "[trace][stress]") {
  Asked asked;
  galley::TraceSampler sampler({.one_in = 3});
  const auto shared = std::make_shared<Trace>(galley::Clock(), galley::TraceOptions{100'000});
  {
    const ThreadPool pool({.workers = 3});
    const auto graph = graph_on(pool);
    std::vector<std::thread> callers;
    for (std::size_t t = 0; t < threads; ++t) {
      callers.emplace_back([&, t] { ask(graph, sampler, shared, asked, t); });
    }
    for (std::thread& caller : callers) caller.join();
    while (asked.answered != threads * each) std::this_thread::yield();
  }
  CHECK(asked.wrong == 0);
  CHECK(asked.traced.size() > threads * each / 5);
  for (const auto& [trace, rows] : asked.traced) {
    const std::vector<Span> spans = trace->spans();
    REQUIRE(support::wrong_with(spans) == "");
    REQUIRE(galley::children_of(spans, galley::no_span).size() == 1);
    REQUIRE(spans[0].row_count() == rows);
    std::size_t computed = 0;
    for (const Span& span : spans) computed += span.name == "model" ? span.row_count() : 0;
    REQUIRE(computed == rows - spans[0].failed);
  }
  CHECK(shared->lost() == 0);
  CHECK(support::wrong_with(shared->spans()) == "");
  CHECK(shared->spans().size() > 100);
}
