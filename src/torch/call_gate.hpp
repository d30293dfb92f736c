// CallGate: calls pass together, until somebody needs the model alone.
#pragma once

#include <atomic>
#include <mutex>
#include <shared_mutex>

namespace galley::inline v1::detail {

/// Lets any number of calls through at a time, and one that needs to be alone: it waits for those
/// that are within, while those that come wait for it. A plain `std::shared_mutex` may let it wait
/// for ever, as its readers go first.
///
/// Cost  a call: a lock and a load
class CallGate {
 public:
  /// A call's way through, as a guard for `std::shared_lock`.
  void lock_shared() {
    for (;;) {
      closed_.wait(true, std::memory_order_relaxed);
      mutex_.lock_shared();
      if (!closed_.load(std::memory_order_relaxed)) [[likely]]
        return;  // only says who goes first: the mutex is what orders
      mutex_.unlock_shared();
    }
  }
  void unlock_shared() { mutex_.unlock_shared(); }

  /// Runs `work` while no call is within. One at a time.
  template <class Work>
  void alone(Work&& work) {
    const Closed closed(*this);
    const std::lock_guard lock(mutex_);
    work();
  }

 private:
  struct Closed {
    explicit Closed(CallGate& gate) : gate_(gate) {
      gate_.closed_.store(true, std::memory_order_relaxed);
    }
    Closed(const Closed&) = delete;
    Closed& operator=(const Closed&) = delete;
    ~Closed() {
      gate_.closed_.store(false, std::memory_order_relaxed);
      gate_.closed_.notify_all();
    }
    CallGate& gate_;
  };

  std::shared_mutex mutex_;
  std::atomic<bool> closed_{false};
};

}  // namespace galley::inline v1::detail
