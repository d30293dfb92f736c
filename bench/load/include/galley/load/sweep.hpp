// The sweep: a servable's capacity, and its latencies at rates beneath and above it.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/time.hpp>
#include <galley/load/closed_loop.hpp>
#include <galley/load/machine.hpp>
#include <galley/load/open_loop.hpp>
#include <galley/load/run.hpp>
#include <galley/load/schedule.hpp>
#include <galley/load/timing.hpp>
#include <galley/load/traffic.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace galley::inline v1::load {

/// How a capacity is measured: in a closed loop, at the best of a few numbers of clients.
struct CapacityOptions {
  /// None is 1, 4, 16 and 64.
  std::vector<std::size_t> clients = {};
  Clients kind = Clients::submitting;
  /// Of each number of clients, warm-up among it.
  Duration length = std::chrono::milliseconds(600);
  Duration warm_up = std::chrono::milliseconds(100);
  /// The most requests of each number of clients.
  std::size_t requests = 1'000'000;
};

/// How much a servable answers when there is always more to do.
struct Capacity {
  /// Answers in time per second, of the best number of clients.
  double rate = 0;
  std::size_t clients = 0;
  /// One for each number of clients.
  std::vector<Run> runs = {};

  friend bool operator==(const Capacity&, const Capacity&) = default;
};

struct SweepOptions {
  /// Rates to send at, as shares of the capacity. Where there are none and no `rates` either: 0.1,
  /// 0.3, 0.5, 0.7, 0.8, 0.9, 1 and 1.2.
  std::vector<double> fractions = {};
  /// More rates to send at, in requests per second.
  std::vector<double> rates = {};
  Arrivals arrivals = Arrivals::poisson;
  /// The first run's; each other has the one after.
  std::uint64_t seed = 1;
  /// Of each rate, warm-up among it.
  Duration length = std::chrono::seconds(3);
  Duration warm_up = std::chrono::milliseconds(300);
  /// The most requests of each rate, whose run is then shorter.
  std::size_t requests = 1'000'000;
  // Last, because g++ 12 warns of what it destroys when a list before it throws.
  CapacityOptions capacity = {};
};

/// What a sweep found.
struct Sweep {
  std::string name = {};
  Machine machine = {};
  Arrivals arrivals = Arrivals::poisson;
  std::uint64_t seed = 1;
  Duration deadline = {};
  Capacity capacity = {};
  /// The capacity once more, after all else: the machine may have changed meanwhile.
  Run again = {};
  /// In the order asked for: fractions, then rates.
  std::vector<Run> points = {};

  /// What share of the capacity a run was offered.
  double share(const Run& run) const { return capacity.rate > 0 ? run.offered / capacity.rate : 0; }
  /// How many answers were wrong, in all runs.
  std::size_t wrong() const;
  /// What a program is to exit with: 1 after a wrong answer, else 0.
  int exit_status() const { return wrong() > 0 ? 1 : 0; }

  friend bool operator==(const Sweep&, const Sweep&) = default;
};

namespace detail {

/// The numbers of clients that a capacity is sought with.
std::vector<std::size_t> clients_of(const CapacityOptions& options);

/// The open loops that a sweep runs: fractions of the capacity, then rates.
///
/// Errors  `unavailable` for fractions of no capacity
Result<std::vector<OpenLoop>> open_loops(const Capacity& capacity, const SweepOptions& options);

}  // namespace detail

/// Measures how much a servable answers when there is always more to do.
///
/// Errors  as `run_closed`
template <class In, class Out>
Result<Capacity> measure_capacity(const Servable<In, Out>& servable,
                                  const std::type_identity_t<Traffic<In, Out>>& traffic,
                                  const CapacityOptions& options = {}, const Timing& timing = {}) {
  Capacity capacity = {};
  for (const std::size_t clients : detail::clients_of(options)) {
    const ClosedLoop loop{.clients = clients,
                          .kind = options.kind,
                          .length = options.length,
                          .requests = options.requests,
                          .warm_up = options.warm_up};
    GALLEY_TRY(const Run run, run_closed(servable, traffic, loop, timing));
    if (run.goodput() > capacity.rate) {
      capacity.rate = run.goodput();
      capacity.clients = clients;
    }
    capacity.runs.push_back(run);
  }
  return capacity;
}

/// Measures the capacity, then the latencies in an open loop at each rate, then the capacity again.
///
/// Errors   as `run_closed` and `run_open`; `unavailable` where nothing was answered in time, and
///          so there is no capacity to take fractions of
/// Example  bench/load.cpp
template <class In, class Out>
Result<Sweep> sweep(const Servable<In, Out>& servable,
                    const std::type_identity_t<Traffic<In, Out>>& traffic,
                    const SweepOptions& options = {}, const Timing& timing = {}) {
  Sweep sweep{.name = servable.name(),
              .machine = this_machine(),
              .arrivals = options.arrivals,
              .seed = options.seed,
              .deadline = traffic.deadline};
  GALLEY_TRY(sweep.capacity, measure_capacity(servable, traffic, options.capacity, timing));
  GALLEY_TRY(const std::vector<OpenLoop> loops, detail::open_loops(sweep.capacity, options));
  for (const OpenLoop& loop : loops) {
    GALLEY_TRY(const Run run, run_open(servable, traffic, loop, timing));
    sweep.points.push_back(run);
  }
  CapacityOptions best = options.capacity;
  best.clients = {std::max<std::size_t>(sweep.capacity.clients, 1)};
  GALLEY_TRY(const Capacity again, measure_capacity(servable, traffic, best, timing));
  sweep.again = again.runs.front();
  return sweep;
}

}  // namespace galley::inline v1::load
