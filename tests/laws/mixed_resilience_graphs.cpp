// What stands between a graph and its faults: timeouts, retries, hedges, breakers, shadows.
#include <galley/compose/breaker.hpp>
#include <galley/compose/hedge.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/compose/retry.hpp>
#include <galley/compose/shadow.hpp>
#include <galley/compose/timeout.hpp>

#include <laws/mixed.hpp>

#include <chrono>
#include <functional>
#include <set>
#include <stdexcept>

namespace mixed {

using namespace std::chrono_literals;

Graph Maker::timed(int depth) {
  const Graph inner = graph(depth);
  const galley::Duration time = weather_ == Weather::rough ? 1us * (1 + number(1500)) : 24h;
  return {galley::timeout(executor_, inner.servable, time), inner.meaning};
}

/// Fails each value the first time it sees it.
Servable<int, int> Maker::flaky() {
  return galley::map("flaky", [seen = std::make_shared<std::set<int>>()](int n) -> Result<int> {
    if (n % 3 == 0 && seen->insert(n).second) return Error(Status::unavailable, "flaky");
    return n;
  });
}

Graph Maker::retried(int depth) {
  const Graph inner = graph(depth);
  galley::RetryOptions options{.attempts = 4, .seed = static_cast<std::uint64_t>(number(9))};
  options.budget.burst = 1e6;
  if (weather_ == Weather::rough && one_in(2)) options.budget = {.ratio = 0, .burst = 1};
  const Servable<int, int> unsure = flaky() | inner.servable;
  if (one_in(2)) return {galley::retry(unsure, options), inner.meaning};
  return {galley::retry(executor_, unsure, options), inner.meaning};
}

Graph Maker::hedged(int depth) {
  const Graph inner = graph(depth);
  const galley::HedgeOptions options{.share = 1, .burst = 50};
  Servable<int, int> made = galley::hedge(executor_, inner.servable, options);
  if (!inner.servable.traits().versioned && one_in(2)) {
    has_one_voice_ = false;
    made = galley::hedge(executor_, inner.servable, spoken("same", inner.meaning), options);
  }
  if (!one_in(3) || plan_ != nullptr) return {made, inner.meaning};
  // It learns how long requests of one row take.
  for (int i = 0; i < 20; ++i) {
    const galley::Key key = 0;
    made.submit(2, {}, [](const Result<int>&) {}, {.keys = {&key, 1}});
  }
  executor_.run_all();
  return {made, inner.meaning};
}

Graph Maker::broken(int depth) {
  const Graph inner = graph(depth);
  galley::BreakerOptions options{.failures = {Status::data_loss}};  // which nothing here answers
  if (weather_ == Weather::rough) {
    options = {.failure_rate = 0.3, .window = 8, .least_rows = 2, .open_for = 1ms, .probes = 2};
  }
  return {galley::breaker(executor_, inner.servable, options), inner.meaning};
}

Graph Maker::shadowed(int depth) {
  const Graph inner = graph(depth);
  const Graph other = one_in(2) ? inner : graph(0);
  const galley::ShadowOptions options{.share = one_in(2) ? 1.0 : 0.5,
                                      .max_requests = static_cast<std::size_t>(1 + number(8)),
                                      .max_running = static_cast<std::size_t>(1 + number(2))};
  const auto sink = [alive = alive_](const galley::ShadowBatch<int, int>& batch) {
    if (batch.rows[0] % 2 == 0) throw std::runtime_error("the sink");
  };
  return {
      galley::shadow(executor_, inner.servable, other.servable, options, sink, std::equal_to<>()),
      inner.meaning};
}

}  // namespace mixed
