// BentoML's dispatcher.
#pragma once

#include <rivals/queue_view.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>

namespace bench::rivals {

/// Fits ℓ = a·n + c to the last 50 batches, every 5 s; every ms it holds the queue back while
/// waiting costs the rows less than 0.95 of what rows wait in the mean, and gives up a first row
/// that would be late.
///
/// Source  bentoml src/bentoml/_internal/marshal/dispatcher.py. Differs: rows are taken in order of
///         arrival, where the original takes the latest; a full batch is `max_batch_size`, not one
///         less; while it learns from its first six batches it never waits. Use it with one
///         executor.
class BentoFit {
 public:
  BentoFit(std::size_t max_batch_size, Duration max_latency)
      : max_batch_size_(max_batch_size), max_latency_(ns(max_latency)) {}

  std::size_t drop(const QueueView& view) const {
    if (batches_ < training) return 0;
    std::size_t dropped = 0;
    for (; view.rows - dropped > 1; ++dropped) {
      const double age = ns(view.now - view.waiting[dropped].arrived);
      if (age + a_ * static_cast<double>(view.rows - dropped) + c_ < max_latency_) break;
    }
    return dropped;
  }

  BatchDecision decide(const QueueView& view) {
    const std::size_t most = std::min({view.rows, view.limit, max_batch_size_});
    if (batches_ < training) {
      const std::size_t size = batches_ < 4 ? 1 : batches_ - 2;
      return BatchDecision::close(std::min(most, size), CloseReason::probe);
    }
    // It sleeps a tick at a time from when a row arrived that could not go at once.
    const Duration asleep_from = std::max(last_start_, view.waiting.front().arrived);
    const Duration into_tick = (view.now - asleep_from) % tick;
    if (into_tick != Duration::zero()) return BatchDecision::wait_for(tick - into_tick);
    const double newest = ns(view.now - view.waiting.back().arrived);
    const double costs = static_cast<double>(view.rows) * (newest + ns(tick) + a_);
    if (view.rows < max_batch_size_ && costs <= 0.95 * wait_) return BatchDecision::wait_for(tick);
    return BatchDecision::close(most, CloseReason::idle);
  }

  void observe(const BatchDone& done) {
    ++batches_;
    last_start_ = done.started;
    if (batches_ <= skipped) return;
    latest_.push_back(done);
    if (latest_.size() > 50) latest_.pop_front();
    const Duration now = done.started + done.took;
    if (batches_ > training && now - fitted_ < std::chrono::seconds(5)) return;
    fitted_ = now;
    fit();
  }

 private:
  static constexpr std::size_t skipped = 2;
  static constexpr std::size_t training = 6;
  static constexpr Duration tick = std::chrono::milliseconds(1);

  static double ns(Duration time) { return static_cast<double>(time.count()); }

  void fit() {
    double n = 0, x = 0, y = 0, xx = 0, xy = 0, waited = 0;
    for (const BatchDone& done : latest_) {
      const auto rows = static_cast<double>(done.rows);
      n += 1;
      x += rows;
      y += ns(done.took);
      xx += rows * rows;
      xy += rows * ns(done.took);
      waited += ns(done.waited);
    }
    const double spread = n * xx - x * x;
    // All of one size: the solution of least norm.
    const double slope = spread > 0 ? (n * xy - x * y) / spread : x / n * y / (xx / n + 1) / n;
    a_ = std::max(slope, 1000.0);
    c_ = std::max(spread > 0 ? (y - slope * x) / n : slope / (x / n), 0.0);
    wait_ = waited / n;
  }

  std::size_t max_batch_size_;
  double max_latency_;
  double a_ = 0;
  double c_ = 0;
  double wait_ = 1e7;
  std::deque<BatchDone> latest_;
  std::size_t batches_ = 0;
  Duration last_start_ = {};
  Duration fitted_ = {};
};

}  // namespace bench::rivals
