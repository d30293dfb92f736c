// Many threads through user logic and expansion, over servables that answer on other threads: for
// TSan and ASan.
#include <galley/compose/batched.hpp>
#include <galley/compose/expand.hpp>
#include <galley/compose/logic.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/core/slot.hpp>
#include <galley/runtime/thread_pool.hpp>

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

using galley::Batch;
using galley::Context;
using galley::Error;
using galley::Executor;
using galley::Outcomes;
using galley::Result;
using galley::RowIndex;
using galley::Rows;
using galley::RowTask;
using galley::Servable;
using galley::Status;
using galley::ThreadPool;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t threads = 6;
constexpr std::size_t each = 150;

/// What a row becomes, in each of the three ways below.
int halved(int n) {
  for (int i = 0; i < 5 && n % 2 == 0; ++i) n /= 2;
  return 3 * n;
}

/// Halves by calls of `half` while it can, then triples by `triple`.
RowTask<int> halve(int n, auto& half, auto& triple) {
  for (int i = 0; i < 5 && n % 2 == 0; ++i) {
    const Result<int> found = co_await half(n);
    if (!found.has_value()) co_return found;
    n = *found;
  }
  co_return co_await triple(n);
}

struct Parts {
  Servable<int, int> half, triple;
};

Servable<int, int> coroutines(const Parts& parts) {
  return galley::logic<int>(
      "halve",
      [](int n, auto& half, auto& triple) -> RowTask<int> { return halve(n, half, triple); },
      parts.half, parts.triple);
}

Servable<int, int> whole_batches(const Executor& executor, const Parts& parts) {
  return galley::logic_batch<int>(
      executor, "halve",
      [](const Batch<int>& rows, auto& half, auto& triple) {
        Outcomes<int> now{Rows<int>(rows.borrowed().to_rows())};
        for (int i = 0; i < 5; ++i) {
          std::vector<RowIndex> even;
          Rows<int> values;
          for (std::size_t r = 0; r < rows.size(); ++r) {
            if (!now[r].has_value() || *now[r] % 2 != 0) continue;
            even.push_back(static_cast<RowIndex>(r));
            values.push_back(*now[r]);
          }
          now = galley::with_later(std::move(now), even, half(even, std::move(values)));
        }
        std::vector<RowIndex> good;
        Rows<int> values;
        for (std::size_t r = 0; r < rows.size(); ++r) {
          if (!now[r].has_value()) continue;
          good.push_back(static_cast<RowIndex>(r));
          values.push_back(*now[r]);
        }
        return galley::with_later(std::move(now), good, triple(good, std::move(values)));
      },
      parts.half, parts.triple);
}

/// Three items that are `halved` together make it.
Servable<int, int> items(const Parts& parts) {
  return galley::expand(
      [](const int& n) {
        const int m = halved(n) / 3;
        return Rows<int>{m - m % 3, m % 3, 0};
      },
      parts.triple,
      [](const int&, const Rows<int>& found) { return found[0] + found[1] + found[2]; },
      {.max_items = 3, .max_batch = 12});
}

/// One thread's requests: served and submitted, with deadlines and stops.
struct Caller {
  const Servable<int, int>& graph;
  const Executor& executor;
  std::atomic<std::size_t>&asked, &answered, &wrong, &values;

  void check(const Rows<int>& rows, const Outcomes<int>& outcomes) const {
    if (outcomes.size() != rows.size()) ++wrong;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (!outcomes[i].has_value()) continue;
      ++values;
      if (*outcomes[i] != halved(rows[i])) ++wrong;
    }
    ++answered;
  }

  void ask(std::size_t seed) const {
    std::mt19937 random(static_cast<std::uint32_t>(seed));
    for (std::size_t number = 0; number < each; ++number) {
      Rows<int> rows;
      for (std::size_t n = 1 + random() % 9; n > 0; --n) {
        rows.push_back(static_cast<int>(random() % 4096));
      }
      Context context;
      if (random() % 4 == 0) context.deadline = executor.now() + 1us * (random() % 2000);
      std::stop_source stop;
      if (random() % 4 == 0) context.stop = stop.get_token();
      ++asked;
      if (random() % 3 == 0) {
        check(rows, graph.serve_rows(rows, context));
      } else {
        graph.submit_rows(rows, context,
                          galley::BatchCompletion<int>(
                              rows.size(), [caller = *this, rows](const Outcomes<int>& outcomes) {
                                caller.check(rows, outcomes);
                              }));
      }
      if (random() % 2 == 0) stop.request_stop();
    }
  }
};

void round(std::size_t workers, int way, std::optional<galley::Duration> grace) {
  CAPTURE(workers, way, grace.has_value());
  std::atomic<std::size_t> asked{0}, answered{0}, wrong{0}, values{0};
  {
    ThreadPool pool{{.workers = workers}};
    const Executor executor = pool;
    const auto half = galley::map("half", [](int n) { return n / 2; });
    const auto triple = galley::map("triple", [](int n) { return 3 * n; });
    const Parts parts{galley::batched(executor, half),
                      galley::slot("slot", galley::on(executor, triple)).servable};
    auto graph = std::make_unique<Servable<int, int>>(way == 0   ? coroutines(parts)
                                                      : way == 1 ? whole_batches(executor, parts)
                                                                 : items(parts));
    std::vector<std::thread> callers;
    for (std::size_t t = 0; t < threads; ++t) {
      callers.emplace_back([&, copy = *graph, t] {
        Caller{copy, executor, asked, answered, wrong, values}.ask(t + 1);
      });
    }
    graph.reset();  // from now on the callers and their requests own it
    if (grace.has_value()) {
      while (answered < threads * each / 3) std::this_thread::yield();
      pool.shutdown(*grace);
    }
    for (std::thread& caller : callers) caller.join();
    while (answered < asked) std::this_thread::yield();
  }
  CHECK(asked == threads * each);
  CHECK(wrong == 0);
  CHECK(values > 0);
}

}  // namespace

TEST_CASE("on many threads each row of user logic is answered once, with its own answer",
          "[logic][expand][runtime][soak]") {
  for (const std::size_t workers : {1U, 3U}) {
    for (const int way : {0, 1, 2}) {
      round(workers, way, std::nullopt);
      round(workers, way, 0ns);
      round(workers, way, 1ms);
    }
  }
}
