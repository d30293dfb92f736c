// EpochDomain: lets a few long-lived threads read shared versions without a reference count.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace galley::inline v1 {

/// Quiescent-state epochs for the workers of one executor.
///
/// A worker announces between tasks that it holds nothing it read before; whoever retires a version
/// asks whether every worker has announced so since. Readers pay one acquire load.
///
/// Threads  each reader's calls come from one thread at a time; the rest is thread-safe
/// Source   McKenney and Slingwine, "Read-copy update", PDCS 1998; quiescent-state based
///          reclamation as compared by Hart et al., JPDC 2007. Differs: a parked worker stores 0
///          and re-enters with a sequentially consistent exchange and load, so that no fence is
///          needed.
class EpochDomain {
 public:
  /// A domain of `readers` workers, all parked.
  explicit EpochDomain(std::size_t readers)
      : count_(readers), readers_(std::make_unique<Reader[]>(readers)) {}

  std::size_t readers() const noexcept { return count_; }

  /// Reader i comes out of parking: from here on what it reads is kept for it.
  void enter(std::size_t i) noexcept {
    // One total order holds: advance < its load of `seen` in `passed`, and this exchange < the load
    // after it. So if `passed` still saw the reader parked, the load sees the new epoch and
    // acquires what was unlinked before it; an acquire load is then enough for every later read.
    readers_[i].seen.exchange(epoch_.load(std::memory_order_acquire), std::memory_order_seq_cst);
    readers_[i].seen.store(epoch_.load(std::memory_order_seq_cst), std::memory_order_release);
  }

  /// Reader i holds nothing it read before this call.
  void quiescent(std::size_t i) noexcept {
    // The release pairs with the load in `passed`: all earlier reads are done.
    readers_[i].seen.store(epoch_.load(std::memory_order_acquire), std::memory_order_release);
  }

  /// Reader i parks: it holds nothing and will read nothing.
  void leave(std::size_t i) noexcept { readers_[i].seen.store(0, std::memory_order_release); }

  /// Starts a new epoch and names it: once `passed` holds for it, nobody reads what was unlinked
  /// before this call.
  std::uint64_t advance() noexcept {
    // Pairs with the loads of `epoch_`; in one total order with `enter`'s.
    return epoch_.fetch_add(1, std::memory_order_seq_cst) + 1;
  }

  /// True when every reader is parked or has announced itself in `epoch` or later.
  bool passed(std::uint64_t epoch) const noexcept {
    for (std::size_t i = 0; i < count_; ++i) {
      const std::uint64_t seen = readers_[i].seen.load(std::memory_order_seq_cst);
      if (seen != 0 && seen < epoch) return false;
    }
    return true;
  }

 private:
  struct alignas(64) Reader {
    std::atomic<std::uint64_t> seen{0};
  };
  std::atomic<std::uint64_t> epoch_{1};
  std::size_t count_;
  std::unique_ptr<Reader[]> readers_;
};

}  // namespace galley::inline v1
