// How many batches run, and how many rows queue.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace galley::inline v1::detail {

/// Places for batches that run at once, taken by workers and by callers of `serve`.
///
/// A place is given back and then the queue is looked at; the queue grows and then the places are
/// looked at. Both are sequentially consistent, so that of a caller who leaves and a request that
/// finds no place free, one sees the other.
///
/// Threads  thread-safe
/// Cost     two atomic operations a run
class Slots {
 public:
  explicit Slots(std::size_t places) noexcept : places_(static_cast<std::uint64_t>(places)) {}

  std::size_t places() const noexcept { return static_cast<std::size_t>(places_); }
  bool all_taken() const noexcept {
    return running(state_.load(std::memory_order_seq_cst)) >= places_;
  }
  /// How many run.
  std::size_t running() const noexcept {
    return static_cast<std::size_t>(running(state_.load(std::memory_order_seq_cst)));
  }
  bool any_taken() const noexcept { return running(state_.load(std::memory_order_seq_cst)) > 0; }

  /// Takes a place for a worker's batch; false when all are taken.
  bool enter() noexcept { return take(1); }
  void leave() noexcept { state_.fetch_sub(1, std::memory_order_seq_cst); }

  /// Takes a place for a caller when nobody queues and one is free.
  bool enter_inline() noexcept {
    if (queued_.load(std::memory_order_relaxed) != 0) return false;
    return take(1 + one_inline);
  }
  /// Gives the place back. True when requests queue: the caller sends a worker.
  bool leave_inline() noexcept {
    leave();
    return queued_.load(std::memory_order_seq_cst) != 0;
  }

  void queued(std::size_t rows) noexcept { queued_.fetch_add(rows, std::memory_order_seq_cst); }
  /// Not beside another `unqueued` or `queued`. Who sees it late takes the queue for longer than it
  /// is, and looks.
  void unqueued(std::size_t rows) noexcept {
    queued_.store(queued_.load(std::memory_order_relaxed) - rows, std::memory_order_relaxed);
  }

  /// How many callers have run a batch themselves.
  std::uint64_t inline_runs() const noexcept {
    return state_.load(std::memory_order_relaxed) / one_inline;
  }

 private:
  static constexpr std::uint64_t one_inline = std::uint64_t{1} << 16U;

  static std::uint64_t running(std::uint64_t state) noexcept { return state % one_inline; }

  bool take(std::uint64_t add) noexcept {
    std::uint64_t now = state_.load(std::memory_order_seq_cst);
    do {
      if (running(now) >= places_) return false;
    } while (!state_.compare_exchange_weak(now, now + add, std::memory_order_seq_cst));
    return true;
  }

  const std::uint64_t places_;
  std::atomic<std::uint64_t> state_{0};  // inline runs ever, and what runs now in the low 16 bits
  std::atomic<std::size_t> queued_{0};   // rows
};

/// The batches that run on this thread, the innermost first. A worker that waits in one runs other
/// tasks above it; where those serve the same batcher, they would wait for a place that lies
/// beneath them.
class RunsHere {
 public:
  explicit RunsHere(const void* batcher) noexcept
      : batcher_(batcher), beneath_(std::exchange(innermost_, this)) {}
  ~RunsHere() { innermost_ = beneath_; }
  RunsHere(const RunsHere&) = delete;
  RunsHere& operator=(const RunsHere&) = delete;

  static bool has(const void* batcher) noexcept {
    for (const RunsHere* run = innermost_; run != nullptr; run = run->beneath_) {
      if (run->batcher_ == batcher) return true;
    }
    return false;
  }

 private:
  static inline constinit thread_local const RunsHere* innermost_ = nullptr;

  const void* batcher_;
  const RunsHere* beneath_;
};

}  // namespace galley::inline v1::detail
