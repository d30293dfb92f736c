// The simulation: one queue, exclusive executors, virtual time.
#pragma once

#include <rivals/scheduler.hpp>
#include <sim/curve.hpp>
#include <sim/random.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench::sim {

using galley::BatchDecision;
using rivals::QueueView;
using rivals::Scheduler;

/// What is simulated.
struct World {
  const Curve* curve = nullptr;
  std::size_t executors = 1;
  std::uint64_t seed = 1;
  /// Do requests have deadlines, an objective of the curve after they arrive? Then the first batch
  /// takes 27 ms longer, as LibTorch's first call does.
  bool deadlines = false;
  /// When requests arrive; where there are clients, only how many there are.
  std::vector<Duration> arrivals = {};
  /// Closed loop: so many clients, which begin one after another and each of which asks anew a
  /// wake-up after it was answered.
  std::size_t clients = 0;

  /// By how much a batch whose first row is request `first` takes longer than the curve says, in
  /// 65536ths: 5 % of noise, the same whoever decides, so that schedulers are compared in pairs.
  std::int64_t noise(std::size_t first) const {
    return Random(seed * 0x100000001b3U + first).normal() / 20;
  }
  /// What such a batch takes.
  Duration cost(std::size_t first, std::size_t rows) const {
    const Duration mean = curve->at(rows);
    const bool cold = deadlines && first == 0;
    return mean + mean * noise(first) / 65536 + (cold ? std::chrono::milliseconds(27) : Duration{});
  }
};

/// A batch that ran: rows `first` … `first + rows - 1`.
struct RanBatch {
  std::size_t first = 0;
  std::size_t rows = 0;
  std::size_t executor = 0;
  Duration started = {};
  Duration ended = {};
};

/// What came of it, as a log.
struct Log {
  std::vector<rivals::Waiting> requests;  ///< In order of arrival.
  std::vector<Duration> answered;         ///< When; no time where it was given up.
  std::vector<RanBatch> batches;          ///< By start.
  std::size_t dropped = 0;
  /// How many were refused on arrival, which are not among the requests.
  std::size_t refused = 0;
  /// Did the scheduler decide something that it may not?
  bool broken = false;
  /// How many waited when the last request arrived.
  std::size_t waiting_at_end = 0;

  static constexpr Duration never = Duration::max();
};

/// Serves every request of the world.
Log simulate(const World& world, Scheduler scheduler);

/// What is wrong with a log, or nothing: each request is in one batch, given up or refused; a batch
/// has arrived when it starts, is no larger than allowed, takes what it costs, and has its executor
/// to itself.
std::string fault_of(const World& world, const Log& log);

/// The figures of a log, without its first twentieth.
struct Figures {
  Duration p50 = {};
  Duration p99 = {};
  double mean_us = 0;
  /// Answers a second, as part of the capacity.
  double throughput = 0;
  /// Answers in time a second, of the requests that arrived, as part of the capacity.
  double goodput = 0;
  double mean_batch = 0;
  /// More than a fiftieth of all requests still waited when the last arrived.
  bool diverges = false;
};
Figures figures_of(const World& world, const Log& log);

}  // namespace bench::sim
