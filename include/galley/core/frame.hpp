// Frame: the one piece of memory that a request in flight lives in.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/context.hpp>
#include <galley/core/rows.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

namespace galley::inline v1 {

class FramePool;

/// The memory of one request in flight: its contexts and keys, the graph it runs through, and the
/// state of every node that waits for something.
///
/// A graph knows the bytes it needs (`NodeHeader::frame_bytes`), so nodes take their states from a
/// frame without allocating. Each node destroys its own state before it answers. The frame returns
/// to its pool when the last `FrameRef` goes: a node whose child may outlive the answer holds one.
///
/// Threads  `make` by one thread at a time; references are counted atomically
class Frame {
 public:
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  /// Whose rows these are; views of it stay valid as long as the frame.
  OwnedBatchContext context;
  /// Keeps the graph, and with it the frame's pool, alive.
  std::shared_ptr<const void> graph;
  /// A count of those who read a version of a slot, or null: decremented once the frame is back in
  /// its pool, which may be the version's own.
  std::atomic<std::uint64_t>* readers = nullptr;

  /// A T in the frame's memory; whoever makes it destroys it.
  template <class T, class... Args>
  T& make(Args&&... args) {
    constexpr std::size_t bytes = bytes_for<T>();
    GALLEY_ASSERT(used_ + bytes <= capacity_);
    std::byte* at = memory() + used_;
    if constexpr (alignof(T) > unit) at += -reinterpret_cast<std::uintptr_t>(at) % alignof(T);
    used_ += bytes;
    return *new (at) T(std::forward<Args>(args)...);
  }

  /// The bytes that one `make<T>` takes.
  template <class T>
  static constexpr std::size_t bytes_for() noexcept {
    constexpr std::size_t padding = alignof(T) > unit ? alignof(T) - unit : 0;
    return (sizeof(T) + unit - 1) / unit * unit + padding;
  }

 private:
  friend class FramePool;
  friend class FrameRef;

  static constexpr std::size_t unit = alignof(std::max_align_t);

  Frame(FramePool& pool, std::size_t capacity) noexcept : pool_(&pool), capacity_(capacity) {}
  std::byte* memory() noexcept { return reinterpret_cast<std::byte*>(this) + bytes_for<Frame>(); }

  FramePool* pool_;
  Frame* next_ = nullptr;
  std::size_t capacity_;
  std::size_t used_ = 0;
  std::atomic<std::uint32_t> references_{0};
};

/// Keeps a frame; the last one returns it to its pool.
class FrameRef {
 public:
  FrameRef() = default;
  explicit FrameRef(Frame& frame) noexcept : frame_(&frame) {
    frame_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  FrameRef(FrameRef&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  FrameRef& operator=(FrameRef&& other) noexcept {
    FrameRef taken(std::move(other));
    std::swap(frame_, taken.frame_);
    return *this;
  }
  ~FrameRef();

  Frame* get() const noexcept { return frame_; }
  Frame& operator*() const noexcept { return *frame_; }
  Frame* operator->() const noexcept { return frame_; }
  explicit operator bool() const noexcept { return frame_ != nullptr; }

 private:
  friend class FramePool;

  /// The first of a frame that nobody else has.
  static FrameRef first(Frame* frame) noexcept {
    FrameRef only;
    only.frame_ = frame;
    frame->references_.store(1, std::memory_order_relaxed);
    return only;
  }

  Frame* frame_ = nullptr;
};

/// A bounded pool of frames of one size. Memory is taken when first needed and kept.
///
/// Threads  thread-safe. Outlives its frames: each frame's `graph` holds the node the pool is part
///          of
/// Cost     one atomic operation to take the frame that was given back last, and to give it back;
///          an uncontended lock for the others
class FramePool {
 public:
  /// Frames for `bytes` of states each, at most `bound` in flight.
  explicit FramePool(std::size_t bytes, std::size_t bound = 4096) noexcept
      : bytes_(bytes), bound_(bound) {}

  ~FramePool() {
    if (Frame* const frame = latest_.load(std::memory_order_acquire)) keep(*frame);
    for (Frame* frame = free_; frame != nullptr;) {
      Frame* next = frame->next_;
      frame->~Frame();
      ::operator delete(static_cast<void*>(frame));
      frame = next;
    }
  }
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  std::size_t bytes() const noexcept { return bytes_; }
  std::size_t bound() const noexcept { return bound_; }

  /// A frame for a request, or none when the pool is exhausted.
  FrameRef take() {
    Frame* frame = take_latest();
    if (frame != nullptr) return FrameRef::first(frame);
    const std::lock_guard lock(mutex_);
    frame = free_;
    if (frame != nullptr) {
      free_ = frame->next_;
    } else if (Frame* const latest = take_latest(); latest != nullptr) {
      frame = latest;
    } else if (made_ < bound_) {
      const std::size_t size = Frame::bytes_for<Frame>() + bytes_;
      void* at = ::operator new(size, std::nothrow);
      if (at == nullptr) return FrameRef();
      frame = new (at) Frame(*this, bytes_);
      ++made_;
    } else {
      return FrameRef();
    }
    return FrameRef::first(frame);
  }

 private:
  friend class FrameRef;

  Frame* take_latest() noexcept {
    if (latest_.load(std::memory_order_relaxed) == nullptr) return nullptr;
    return latest_.exchange(nullptr, std::memory_order_acquire);  // pairs with `give_back`
  }
  void give_back(Frame& frame) noexcept {
    frame.used_ = 0;
    // Release: who takes it sees what was done to it.
    Frame* none = nullptr;
    if (latest_.compare_exchange_strong(none, &frame, std::memory_order_release,
                                        std::memory_order_relaxed)) {
      return;
    }
    const std::lock_guard lock(mutex_);
    keep(frame);
  }
  void keep(Frame& frame) noexcept {
    frame.next_ = free_;
    free_ = &frame;
  }

  std::size_t bytes_;
  std::size_t bound_;
  std::mutex mutex_;
  std::atomic<Frame*> latest_{nullptr};  // given back last, where nobody has taken it since
  Frame* free_ = nullptr;
  std::size_t made_ = 0;
};

inline FrameRef::~FrameRef() {
  // The acquire side pairs with the releases of the other references.
  if (frame_ == nullptr || frame_->references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  // The pins go last: while they hold their versions, the graph is not destroyed on this thread.
  const std::shared_ptr<const Pins> pins = frame_->context.clear();
  const std::shared_ptr<const void> graph = std::move(frame_->graph);  // and with it the pool
  std::atomic<std::uint64_t>* readers = std::exchange(frame_->readers, nullptr);
  frame_->pool_->give_back(*frame_);
  // Release: pairs with the publisher's load, which must see our reads done.
  if (readers != nullptr) readers->fetch_sub(1, std::memory_order_release);
}

}  // namespace galley::inline v1
