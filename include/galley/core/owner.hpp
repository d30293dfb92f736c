// Owner: shared ownership of memory that anyone may have allocated.
#pragma once

#include <galley/core/rows.hpp>

#include <atomic>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <utility>

namespace galley::inline v1 {

/// How a kind of owner counts its references. One constant per kind: its address tells a backend
/// its own handles again.
///
/// 1. `retain` and `release` may be called from any thread; the last `release` frees.
/// 2. `lent` is true where the memory must not outlive the call that lent it (a `Workspace`).
/// 3. `shares` says how many references there are, and may be left out.
struct OwnerTable {
  void (*retain)(void* handle) noexcept = nullptr;
  void (*release)(void* handle) noexcept = nullptr;
  bool lent = false;
  std::size_t (*shares)(void* handle) noexcept = nullptr;
};

template <class T>
struct Held;

/// A share in the ownership of some memory; null stands for memory that is only borrowed.
///
/// Threads  thread-compatible; owners that share may live on different threads
/// Cost     two words; copying calls `retain`, never allocates
class Owner {
 public:
  /// Owns nothing.
  Owner() = default;

  /// Takes over one reference that the caller holds on `handle`.
  Owner(const OwnerTable& table, void* handle) noexcept : table_(&table), handle_(handle) {}

  Owner(const Owner& other) noexcept : table_(other.table_), handle_(other.handle_) {
    if (table_ != nullptr) table_->retain(handle_);
  }
  Owner(Owner&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)),
        handle_(std::exchange(other.handle_, nullptr)) {}
  Owner& operator=(Owner other) noexcept {
    std::swap(table_, other.table_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owner() {
    if (table_ != nullptr) table_->release(handle_);
  }

  /// Moves `value` into one new shared holder; it is destroyed with the last share.
  template <class T>
  static Held<T> hold(T value);

  /// A share that keeps what `pointer` owns. Allocates one holder.
  template <class T>
  static Owner of(std::shared_ptr<T> pointer);

  /// Calls `free(pointer)` once, after the last share. Allocates one holder.
  static Owner with_deleter(void* pointer, void (*free)(void*) noexcept);

  explicit operator bool() const noexcept { return table_ != nullptr; }

  /// The kind of owner, or null.
  const OwnerTable* table() const noexcept { return table_; }
  void* handle() const noexcept { return handle_; }

  /// True when nobody else has a share in memory that is galley's own, which may then be written
  /// again; false of a backend's, which may be known elsewhere.
  bool is_only_share() const noexcept;

  /// How many shares there are, this one among them; 0 where that is not known.
  std::size_t shares() const noexcept {
    return table_ != nullptr && table_->shares != nullptr ? table_->shares(handle_) : 0;
  }

  /// Gives the reference up without releasing it, to who knows the table. Leaves this null.
  void* detach() noexcept {
    table_ = nullptr;
    return std::exchange(handle_, nullptr);
  }

 private:
  const OwnerTable* table_ = nullptr;
  void* handle_ = nullptr;
};

/// A value moved into a shared holder: its owner, and where it now lies.
template <class T>
struct Held {
  Owner owner;
  T* value = nullptr;
};

/// Fresh memory and its owner; `data` is null where none could be had.
struct Allocation {
  Owner owner;
  std::byte* data = nullptr;
};

/// What a tensor's own memory is aligned to.
inline constexpr std::size_t memory_alignment = 64;

/// Reference-counted memory aligned to `memory_alignment`, uninitialised.
///
/// Errors  `data` is null when the heap is out of memory
/// Cost    one allocation of `bytes` + 64, from `workspace` or the heap
inline Allocation allocate_memory(std::size_t bytes, Workspace* workspace = nullptr);

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

template <class T>
struct Holder {
  explicit Holder(T&& v) : value(std::move(v)) {}

  static void retain(void* handle) noexcept {
    static_cast<Holder*>(handle)->references.fetch_add(1, std::memory_order_relaxed);
  }
  static void release(void* handle) noexcept {
    auto* holder = static_cast<Holder*>(handle);
    // acq_rel pairs with itself: the last release sees what every other share did before its own.
    if (holder->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete holder;
  }
  static std::size_t shares(void* handle) noexcept {
    return static_cast<Holder*>(handle)->references.load(std::memory_order_acquire);
  }
  static constexpr OwnerTable table{&retain, &release, false, &shares};

  std::atomic<std::size_t> references{1};
  T value;
};

struct Freed {
  Freed(void* p, void (*f)(void*) noexcept) noexcept : pointer(p), free(f) {}
  Freed(Freed&& other) noexcept
      : pointer(other.pointer), free(std::exchange(other.free, nullptr)) {}
  Freed& operator=(Freed&&) = delete;
  ~Freed() {
    if (free != nullptr) free(pointer);
  }
  void* pointer;
  void (*free)(void*) noexcept;
};

/// Lies before the data in one allocation; its size keeps the data aligned.
struct alignas(memory_alignment) MemoryHeader {
  std::atomic<std::size_t> references{1};
  Workspace* workspace = nullptr;
  std::size_t bytes = 0;

  static void retain(void* handle) noexcept {
    static_cast<MemoryHeader*>(handle)->references.fetch_add(1, std::memory_order_relaxed);
  }
  static void release(void* handle) noexcept {
    auto* header = static_cast<MemoryHeader*>(handle);
    // acq_rel pairs with itself, as in Holder.
    if (header->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    Workspace* workspace = header->workspace;
    const std::size_t bytes = header->bytes;
    header->~MemoryHeader();
    if (workspace != nullptr) {
      workspace->deallocate(header, bytes, memory_alignment);
    } else {
      ::operator delete(header, std::align_val_t{memory_alignment});
    }
  }
  // Acquire: pairs with the releases of the other shares, whose reads and writes are then over.
  static std::size_t shares(void* handle) noexcept {
    return static_cast<MemoryHeader*>(handle)->references.load(std::memory_order_acquire);
  }
};
static_assert(sizeof(MemoryHeader) == memory_alignment);

inline constexpr OwnerTable heap_table{&MemoryHeader::retain, &MemoryHeader::release, false,
                                       &MemoryHeader::shares};
inline constexpr OwnerTable workspace_table{&MemoryHeader::retain, &MemoryHeader::release, true,
                                            &MemoryHeader::shares};

}  // namespace detail

template <class T>
Held<T> Owner::hold(T value) {
  auto* holder = new detail::Holder<T>(std::move(value));
  return {Owner(detail::Holder<T>::table, holder), &holder->value};
}

inline bool Owner::is_only_share() const noexcept {
  return table_ == &detail::heap_table && shares() == 1;
}

template <class T>
Owner Owner::of(std::shared_ptr<T> pointer) {
  return hold(std::move(pointer)).owner;
}

inline Owner Owner::with_deleter(void* pointer, void (*free)(void*) noexcept) {
  return hold(detail::Freed(pointer, free)).owner;
}

inline Allocation allocate_memory(std::size_t bytes, Workspace* workspace) {
  constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max() - memory_alignment;
  if (bytes > most) return {};
  const std::size_t total = bytes + sizeof(detail::MemoryHeader);
  void* memory = workspace != nullptr
                     ? workspace->allocate(total, memory_alignment)
                     : ::operator new(total, std::align_val_t{memory_alignment}, std::nothrow);
  if (memory == nullptr) return {};
  auto* header = new (memory) detail::MemoryHeader;
  header->workspace = workspace;
  header->bytes = total;
  return {Owner(workspace != nullptr ? detail::workspace_table : detail::heap_table, header),
          static_cast<std::byte*>(memory) + sizeof(detail::MemoryHeader)};
}

}  // namespace galley::inline v1
