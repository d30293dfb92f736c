// Runs worlds and looks for what must never happen.
#pragma once

#include <rivals/entrants.hpp>
#include <sim/arrivals.hpp>
#include <sim/engine.hpp>
#include <sim/oracle.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench::sim {

using rivals::Entrant;
using rivals::Setting;

/// Where and how requests arrive.
struct Scene {
  const Curve* curve = nullptr;
  Process process = Process::poisson;
  int percent = 80;  ///< Of the capacity.
  std::size_t executors = 1;
};

/// What may be set by hand of a curve, nothing tuned.
Setting by_hand(const Curve& curve);

/// What all parts of the benchmark run with.
class Runner {
 public:
  /// Runs of so many requests, that of the first seed printed.
  explicit Runner(std::size_t requests) : requests_(requests) {}

  World world(const Scene& scene, std::uint64_t seed) const;
  World closed_world(const Curve& curve, std::size_t clients) const;

  /// What may be set by hand in this scene, tuned on a seed of its own and a third of the requests.
  Setting setting(const Scene& scene) const;

  /// The figures of one run; whatever is wrong with it is kept in faults(). With a floor, every
  /// request has to be above it.
  Figures run(const World& world, const Entrant& entrant, const Setting& setting,
              const std::vector<Duration>& floor = {});

  /// Plants faults in a log; those that are overlooked are in faults().
  void check_audit();

  const std::vector<std::string>& faults() const { return faults_; }
  std::size_t runs() const { return runs_; }

 private:
  static constexpr std::uint64_t tuning_seed = 1000;

  std::size_t requests_;
  std::size_t runs_ = 0;
  std::vector<std::string> faults_;
};

/// Prints p50, p99 and batches of every policy at 10, 50 and 80 % of the capacity.
void print_latencies(Runner& runner, const Curve& curve, Process process, std::size_t executors);

/// Prints throughput and latency in a closed loop of 1, 4 and 32 clients.
void print_closed_loop(Runner& runner, const Curve& curve);

/// Prints what is answered in time under overload.
void print_goodput(Runner& runner, const Curve& curve);

}  // namespace bench::sim
