// CallThreads: what a model asks of the threads that call it.
#pragma once

#include <galley/core/executor.hpp>
#include <galley/core/result.hpp>
#include <galley/torch/options.hpp>
#include <galley/torch/threads.hpp>

#include <atomic>
#include <cstdint>

namespace galley::inline v1::detail {

/// Prepares workers, and counts calls on threads that nobody prepared.
///
/// Threads  thread-safe
class CallThreads {
 public:
  /// What each worker is asked. Before anybody calls.
  void set_options(ThreadOptions options) { options_ = options; }

  /// Prepares the calling thread if it is a worker: the host's own threads are the host's to
  /// prepare. A LibTorch that cannot be told is left as it is.
  Result<void> prepare_worker() const {
    if (Worker::current() == nullptr) return {};
    Result<void> set = prepare_thread(options_);
    if (set.status() == Status::unimplemented) return {};
    return set;
  }

  void count_call() const noexcept {
    if (is_thread_prepared()) [[likely]]
      return;
    unprepared_calls_.fetch_add(1, std::memory_order_relaxed);  // a count; orders nothing
  }

  TorchStatistics statistics() const noexcept {
    return {.unprepared_calls = unprepared_calls_.load(std::memory_order_relaxed)};
  }

 private:
  ThreadOptions options_;
  mutable std::atomic<std::uint64_t> unprepared_calls_{0};
};

}  // namespace galley::inline v1::detail
