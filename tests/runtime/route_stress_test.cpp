// Many threads, one route whose weights change: for TSan and ASan.
#include <galley/compose/batched.hpp>
#include <galley/compose/guard.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/route.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchCompletion;
using galley::Key;
using galley::Outcomes;
using galley::route;
using galley::RouteStatistics;
using galley::Rows;
using galley::Servable;
using galley::SetWeights;
using galley::ThreadPool;

namespace {

constexpr std::size_t threads = 6;
constexpr std::size_t each = 400;  // all together fewer than the frames of a graph

struct Heard {
  std::atomic<std::size_t> rows{0};
  std::atomic<std::size_t> wrong{0};
  std::atomic<std::size_t> requests{0};

  void hear(const Rows<int>& asked, const Outcomes<int>& outcomes) {
    if (outcomes.size() != asked.size()) ++wrong;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      // Whatever the arm, one more or a thousand more; negative rows are the guard's.
      const bool bad = asked[i] < 0;
      if (bad ? outcomes[i].has_value()
              : !outcomes[i].has_value() || (*outcomes[i] - asked[i] - 1) % 1000 != 0) {
        ++wrong;
      }
    }
    rows += outcomes.size();
    ++requests;
  }
};

std::size_t ask(const Servable<int, int>& graph, Heard& heard, std::size_t thread) {
  std::mt19937 random(static_cast<std::uint32_t>(thread));
  std::size_t sent = 0;
  for (std::size_t number = 0; number < each; ++number) {
    Rows<int> rows;
    std::vector<Key> keys;
    const std::size_t n = random() % 3 == 0 ? 1 + random() % 20 : 1;
    for (std::size_t r = 0; r < n; ++r) {
      rows.push_back(static_cast<int>(random() % 1000) - 50);
      keys.push_back(random() % 64);
    }
    sent += n;
    if (random() % 2 == 0) {
      heard.hear(rows, graph.serve_rows(rows, {}, {.keys = keys}));
    } else {
      graph.submit_rows(rows, {},
                        BatchCompletion<int>(
                            n, [&heard, rows](const Outcomes<int>& out) { heard.hear(rows, out); }),
                        {.keys = keys});
    }
  }
  return sent;
}

/// Sets weights again and again until told to stop.
void widen(const Servable<int, int>& graph, const std::atomic<bool>& stop) {
  for (int i = 0; !stop; ++i) {
    const double share = i % 11;
    SetWeights weights{{10 - share, share}};
    if (!graph.control("", weights).has_value()) return;
    std::this_thread::yield();
  }
}

template <class Policy>
void round(const Policy& policy, std::size_t workers) {
  CAPTURE(workers);
  Heard heard;
  std::atomic<std::size_t> sent{0};
  {
    const ThreadPool pool{{.workers = workers}};
    const auto arm = [](int by) { return galley::map("arm", [by](int n) { return n + by; }); };
    const auto fit = [](int n) { return n >= 0; };
    const auto graph = route(policy, {galley::guard(fit, galley::on(pool, arm(1))),
                                      galley::guard(fit, galley::batched(pool, arm(1001)))});
    std::atomic<bool> stop{false};
    std::thread widener([&] { widen(graph, stop); });
    std::vector<std::thread> callers;
    for (std::size_t t = 0; t < threads; ++t) {
      callers.emplace_back([&, copy = graph, t] { sent += ask(copy, heard, t); });
    }
    for (std::thread& caller : callers) caller.join();
    while (heard.requests < threads * each) std::this_thread::yield();
    stop = true;
    widener.join();
    RouteStatistics statistics;
    REQUIRE(graph.control("", statistics).has_value());
    CHECK(statistics.rows[0] + statistics.rows[1] == sent);
    CHECK(statistics.refused == 0);
    CHECK(statistics.rows[0] > 0);
    CHECK(statistics.rows[1] > 0);
  }
  CHECK(heard.wrong == 0);
  CHECK(heard.rows == sent);
}

}  // namespace

TEST_CASE("weights change under load, and no request is dropped", "[route][runtime][soak]") {
  for (const std::size_t workers : {1U, 2U, 3U}) {
    round(galley::by_weight({1, 1}), workers);
    round(galley::sticky({1, 1}), workers);
  }
}

TEST_CASE("a reader of weights sees one writing whole", "[route][runtime][soak]") {
  galley::detail::LiveWeights live(galley::RouteWeights{0, 0, 0});
  std::atomic<bool> stop{false};
  std::atomic<std::size_t> torn{0}, reads{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      std::array<double, galley::RouteWeights::max_arms> to;
      double before = 0;
      while (!stop) {
        const auto now = live.read(to);
        if (now[0] != now[1] || now[1] != now[2] || now[0] < before) ++torn;
        before = now[0];
        ++reads;
      }
    });
  }
  for (int i = 1; i <= 200'000 || reads < 1000; ++i) {
    const double number = i;
    live.write(std::array{number, number, number});
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(torn == 0);
}
