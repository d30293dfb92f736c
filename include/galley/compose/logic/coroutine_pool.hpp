// Memory for the frames of coroutines, kept from one request to the next.
#pragma once

#include <galley/core/assert.hpp>

#include <atomic>
#include <bit>
#include <cstddef>
#include <mutex>
#include <new>
#include <utility>

namespace galley::inline v1::detail {

/// Blocks of one size that no coroutine is in: of a node, shared by its requests.
///
/// The size is that of the first frame seen, up to the next power of two; larger frames are not
/// kept.
///
/// Threads  thread-safe. Outlives its requests' memory
/// Cost     one lock to take any number of blocks, one to give them back
class CoroutinePool {
 public:
  struct Block {
    Block* next;
  };

  /// Keeps at most `most` blocks.
  explicit CoroutinePool(std::size_t most) noexcept : most_(most) {}
  CoroutinePool(const CoroutinePool&) = delete;
  CoroutinePool& operator=(const CoroutinePool&) = delete;
  ~CoroutinePool() { free_all(free_); }

  /// The bytes of a block, decided by the first who asks.
  std::size_t block_bytes(std::size_t wanted) noexcept {
    // Relaxed: it stands alone.
    std::size_t bytes = bytes_.load(std::memory_order_relaxed);
    if (bytes != 0) [[likely]]
      return bytes;
    const std::size_t decided = std::bit_ceil(wanted);
    return bytes_.compare_exchange_strong(bytes, decided, std::memory_order_relaxed) ? decided
                                                                                     : bytes;
  }

  /// Up to `count` blocks, as a list.
  Block* take(std::size_t count) noexcept {
    const std::lock_guard lock(mutex_);
    Block* first = free_;
    Block** last = &free_;
    for (; count > 0 && *last != nullptr; --count, --kept_) last = &(*last)->next;
    if (last == &free_) return nullptr;
    free_ = std::exchange(*last, nullptr);
    return first;
  }

  /// Keeps the blocks of a list, or frees them.
  void give_back(Block* blocks) noexcept {
    {
      const std::lock_guard lock(mutex_);
      for (; blocks != nullptr && kept_ < most_; ++kept_) {
        Block* next = blocks->next;
        blocks->next = std::exchange(free_, blocks);
        blocks = next;
      }
    }
    free_all(blocks);
  }

 private:
  static void free_all(Block* blocks) noexcept {
    while (blocks != nullptr) ::operator delete(std::exchange(blocks, blocks->next));
  }

  const std::size_t most_;
  std::atomic<std::size_t> bytes_{0};
  std::mutex mutex_;
  Block* free_ = nullptr;
  std::size_t kept_ = 0;
};

/// The memory of one request's coroutines.
///
/// Threads  one at a time. Outlives its coroutines
class CoroutineMemory {
 public:
  /// For a request of `rows` rows.
  CoroutineMemory(CoroutinePool& pool, std::size_t rows) noexcept
      : pool_(pool), free_(pool.take(rows)) {}
  CoroutineMemory(const CoroutineMemory&) = delete;
  CoroutineMemory& operator=(const CoroutineMemory&) = delete;
  ~CoroutineMemory() {
    if (free_ != nullptr) pool_.give_back(free_);
  }

  /// `bytes` for a coroutine's frame; from the heap where `memory` is null.
  [[gnu::noinline]] static void* take(CoroutineMemory* memory, std::size_t bytes) {
    const std::size_t all = bytes + sizeof(Header);
    const std::size_t block = memory == nullptr ? 0 : memory->pool_.block_bytes(all);
    CoroutineMemory* owner = all <= block ? memory : nullptr;
    void* at = owner == nullptr ? ::operator new(all) : owner->take_block(block);
    return new (at) Header{owner} + 1;
  }
  static void give(void* frame) noexcept {
    Header* header = static_cast<Header*>(frame) - 1;
    if (CoroutineMemory* owner = header->owner; owner == nullptr) {
      ::operator delete(static_cast<void*>(header));
    } else {
      owner->free_ = new (static_cast<void*>(header)) CoroutinePool::Block{owner->free_};
    }
  }

 private:
  /// Before each frame: where it goes back to.
  struct alignas(std::max_align_t) Header {
    CoroutineMemory* owner;
  };

  void* take_block(std::size_t bytes) {
    if (free_ == nullptr) return ::operator new(bytes);
    return std::exchange(free_, free_->next);
  }

  CoroutinePool& pool_;
  CoroutinePool::Block* free_;
};

}  // namespace galley::inline v1::detail
