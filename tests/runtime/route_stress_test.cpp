// Many threads, one route whose weights change: for TSan and ASan.
#include <galley/compose/batched.hpp>
#include <galley/compose/guard.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/route.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
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

namespace {

/// Reads many times; how often it saw parts of two writings, or an older one of a writer after a
/// newer one. Every writing is one number throughout, whose sign says whose it is.
std::size_t bad_reads(const galley::detail::LiveWeights& live) {
  constexpr int reads = 2'000'000;
  std::array<double, galley::RouteWeights::max_arms> to;
  std::array<double, 2> newest{};
  std::size_t bad = 0;
  for (int i = 0; i < reads; ++i) {
    const auto now = live.read(to);
    const bool is_whole = std::ranges::count(now, now[0]) == std::ssize(now);
    double& before = newest[now[0] < 0 ? 0 : 1];
    if (!is_whole || std::abs(now[0]) < before) ++bad;
    before = std::abs(now[0]);
  }
  return bad;
}

}  // namespace

TEST_CASE("a reader of weights sees one writing whole", "[route][runtime][soak]") {
  // As many as there may be: the longer a reading takes, the more writings it meets.
  constexpr std::array<double, galley::RouteWeights::max_arms> none{};
  galley::detail::LiveWeights live{galley::RouteWeights(none)};
  std::atomic<int> reading{4};
  std::atomic<std::size_t> bad{0};
  std::vector<std::thread> all;
  for (const int sign : {-1, 1}) {
    all.emplace_back([&, sign] {
      std::array<double, galley::RouteWeights::max_arms> weights;
      for (int i = 1; reading > 0; ++i) {
        weights.fill(sign * i);
        live.write(weights);
      }
    });
  }
  for (int t = 0; t < 4; ++t) {
    all.emplace_back([&] {
      bad += bad_reads(live);
      --reading;
    });
  }
  for (std::thread& thread : all) thread.join();
  CHECK(bad == 0);
}
