// TensorFlow Serving's AdaptiveSharedBatchScheduler.
#pragma once

#include <rivals/queue_view.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace bench::rivals {

/// Takes what is there, up to `max_batch_size`, while fewer than a limit of batches are in flight;
/// every thousand batches the limit takes a step, on in the direction that made batches faster.
///
/// Source  tensorflow core/kernels/batching_util/adaptive_shared_batch_scheduler.h, with its
///         defaults. Differs: one queue, so no choice between queues; `threads` is the number of
///         executors, with one of which the limit is always 1.
class TfServingAdaptive {
 public:
  TfServingAdaptive(std::size_t max_batch_size, std::size_t threads)
      : max_batch_size_(max_batch_size),
        threads_(static_cast<double>(threads)),
        limit_(std::min(3.0, threads_)) {}

  BatchDecision decide(const QueueView& view) {
    const double room = limit_ - static_cast<double>(view.in_flight);
    if (room <= 0 || (room < 1 && draw() >= room)) {
      return BatchDecision::wait_for(std::chrono::milliseconds(1));
    }
    return BatchDecision::close(std::min({view.rows, view.limit, max_batch_size_}),
                                CloseReason::idle);
  }

  void observe(const BatchDone& done) {
    total_ += static_cast<double>((done.waited + done.took).count());
    if (++batches_ < 1000) return;
    const double mean = total_ / 1000;
    if (last_ > 0) move(mean);
    last_ = mean;
    total_ = 0;
    batches_ = 0;
  }

 private:
  void move(double mean) {
    if (mean < last_) {
      step_ = std::clamp(step_ * (improved_ ? 2 : 0.5), 1.0 / 128, 1.0 / 8);
      improved_ = true;
    } else {
      direction_ = -direction_;
      improved_ = false;
    }
    limit_ = std::clamp(limit_ + direction_ * limit_ * step_, 1.0, threads_);
  }

  /// A number from 0 up to 1.
  double draw() {
    random_ = random_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<double>(random_ >> 40) / static_cast<double>(1U << 24);
  }

  std::size_t max_batch_size_;
  double threads_;
  double limit_;
  double step_ = 1.0 / 8;
  double direction_ = 1;
  bool improved_ = false;
  double last_ = 0;
  double total_ = 0;
  int batches_ = 0;
  std::uint64_t random_ = 1;
};

}  // namespace bench::rivals
