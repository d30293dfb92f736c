// Pins: the versions that a request is bound to, counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// The number of a version within its slot: 1, 2, 3, … in the order of publishing, never reused.
using VersionId = std::uint64_t;

/// The versions that a request is bound to, one per slot beneath a node.
///
/// Taken by `pin` before a request is split, so that all its parts see the same versions. Holds
/// each version until destroyed; may be destroyed on any thread, and never destroys a version
/// itself.
///
/// Threads  filled by one thread, then immutable
class Pins {
 public:
  Pins() = default;
  Pins(Pins&&) = default;
  Pins& operator=(Pins&&) = delete;
  ~Pins() {
    // Release: what was read of the version happened before a publisher sees the count fall.
    for (const Pin& pin : pins_) pin.readers->fetch_sub(1, std::memory_order_release);
  }

  bool empty() const noexcept { return pins_.empty(); }

  /// The pinned version of `slot`, or null.
  void* find(const void* slot) const noexcept {
    for (const Pin& pin : pins_) {
      if (pin.slot == slot) return pin.version;
    }
    return nullptr;
  }

  /// A number that differs when any pinned version differs: part of a batch's or a cache entry's
  /// key.
  std::uint64_t stamp() const noexcept {
    std::uint64_t mixed = 0;
    for (const Pin& pin : pins_) {
      mixed = (mixed ^ pin.id) * 0x9E3779B97F4A7C15u;  // Fibonacci hashing; order matters
      mixed ^= mixed >> 32;
    }
    return mixed;
  }

  /// For slots: adds a version whose `readers` has been incremented; `keep` outlives the version.
  void add(const void* slot, void* version, VersionId id, std::atomic<std::uint64_t>& readers,
           std::shared_ptr<const void> keep) {
    pins_.push_back({slot, version, id, &readers, std::move(keep)});
  }

 private:
  struct Pin {
    const void* slot;
    void* version;
    VersionId id;
    std::atomic<std::uint64_t>* readers;
    std::shared_ptr<const void> keep;
  };
  std::vector<Pin> pins_;
};

}  // namespace galley::inline v1
