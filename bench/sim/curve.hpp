// Recorded cost curves: what a batch of b rows takes.
#pragma once

#include <galley/core/time.hpp>

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace bench::sim {

using galley::Duration;

/// ℓ(b), between recorded points linear; what may be asked of a model that has it.
class Curve {
 public:
  /// Points in µs, by ascending size from 1; the last is the largest batch.
  Curve(std::string name, std::vector<std::pair<std::size_t, std::int64_t>> points,
        Duration objective);

  const std::string& name() const { return name_; }
  /// The largest batch.
  std::size_t limit() const { return costs_.size() - 1; }
  /// ℓ(rows), of 1 … limit() rows.
  Duration at(std::size_t rows) const { return costs_[rows]; }
  /// ℓ of 0 … limit() rows.
  std::span<const Duration> costs() const { return costs_; }
  /// The size with the most rows a second.
  std::size_t best() const { return best_; }
  /// The sizes that have more rows a second than any smaller: what whoever sets sizes by hand sets.
  const std::vector<std::size_t>& records() const { return records_; }
  /// How soon an answer is wanted.
  Duration objective() const { return objective_; }

  /// Between two arrivals at `percent` of what `executors` can serve.
  Duration gap(int percent, std::size_t executors) const {
    return at(best_) * 100 / (static_cast<std::int64_t>(best_ * executors) * percent);
  }
  /// Rows a second that one executor can serve.
  double capacity() const {
    return 1e9 * static_cast<double>(best_) / static_cast<double>(at(best_).count());
  }

 private:
  std::string name_;
  Duration objective_;
  std::vector<Duration> costs_;
  std::size_t best_ = 1;
  std::vector<std::size_t> records_;
};

/// The curves of the benchmark: nearly monotone, GPU-like, with an early best size, one that
/// batches hardly improve, and one that no batch improves.
const std::vector<Curve>& curves();

}  // namespace bench::sim
