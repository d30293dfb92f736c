// Rows: an owned batch of rows, and what any type must offer to be one.
#pragma once

#include <galley/core/assert.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <memory_resource>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

/// The place of a row in its batch. A batch holds fewer than 2³² rows.
using RowIndex = std::uint32_t;

/// Memory that a caller lends for a call, such as a `std::pmr::unsynchronized_pool_resource`; null
/// stands for the heap.
///
/// Borrowed by every `Rows` made from it until that is destroyed. Used by the thread that lent it
/// only: rows that cross a thread are made on the heap.
using Workspace = std::pmr::memory_resource;

/// An owned batch of rows of T, contiguous, in order; one row is held inline.
///
/// A batch of one allocates nothing, a batch of n allocates once. This primary template serves any
/// movable T. A type that batches otherwise — a tensor as one dense block, a struct as one array
/// per member — specialises `Rows` and satisfies `RowBatch`.
///
/// Threads  thread-compatible
/// Cost     moving a batch of n > 1 rows moves a pointer; of one row, the row
template <class T>
class Rows {
 public:
  using value_type = T;

  Rows() = default;

  /// No rows yet, room for `capacity` of them, taken from `workspace`.
  explicit Rows(std::size_t capacity, Workspace* workspace = nullptr) : workspace_(workspace) {
    reserve(capacity);
  }

  Rows(std::initializer_list<T> rows)
    requires(std::copy_constructible<T>)
      : Rows(std::span<const T>(rows.begin(), rows.size())) {}

  /// Copies of `rows`, in order.
  explicit Rows(std::span<const T> rows, Workspace* workspace = nullptr)
    requires(std::copy_constructible<T>)
      : Rows(rows.size(), workspace) {
    for (const T& row : rows) push_back(row);
  }

  /// A copy on the heap, whatever `other` was lent.
  Rows(const Rows& other)
    requires(std::copy_constructible<T>)
      : Rows(other.span()) {}
  Rows(Rows&& other) noexcept : workspace_(other.workspace_) { steal(other); }

  Rows& operator=(const Rows& other)
    requires(std::copy_constructible<T>)
  {
    return *this = Rows(other);
  }
  Rows& operator=(Rows&& other) noexcept {
    if (this == &other) return *this;
    release();
    workspace_ = other.workspace_;
    steal(other);
    return *this;
  }

  ~Rows() { release(); }

  /// A batch of this one row.
  static Rows single(T row) {
    Rows rows;
    rows.push_back(std::move(row));
    return rows;
  }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  T& operator[](std::size_t row) noexcept {
    GALLEY_ASSERT(row < size_);
    return data()[row];
  }
  const T& operator[](std::size_t row) const noexcept {
    GALLEY_ASSERT(row < size_);
    return data()[row];
  }

  T* data() noexcept { return heap_ != nullptr ? heap_ : inline_row(); }
  const T* data() const noexcept { return heap_ != nullptr ? heap_ : inline_row(); }
  T* begin() noexcept { return data(); }
  T* end() noexcept { return data() + size_; }
  const T* begin() const noexcept { return data(); }
  const T* end() const noexcept { return data() + size_; }
  std::span<const T> span() const noexcept { return {data(), size_}; }

  /// Makes room for `capacity` rows in all.
  void reserve(std::size_t capacity) {
    if (capacity > this->capacity()) grow(capacity);
  }

  /// Lets go of all rows, and of their memory.
  void clear() noexcept { release(); }

  /// Puts one row at the end.
  void push_back(T row) {
    if (size_ == capacity()) [[unlikely]]
      grow(std::size_t{2} * size_);
    new (data() + size_) T(std::move(row));
    ++size_;
  }

  /// True when the rows are not in a lent workspace.
  bool is_owned() const noexcept { return workspace_ == nullptr; }

  /// The same rows in memory that is safe to keep: rows in a lent workspace move to the heap.
  Rows owned() && {
    if (workspace_ == nullptr) return std::move(*this);
    Rows lent = std::move(*this);
    Rows kept(lent.size());
    for (T& row : lent) kept.push_back(std::move(row));
    return kept;
  }

  /// The rows at `indices`, in that order; an index may be named more than once.
  Rows select(std::span<const RowIndex> indices, Workspace* workspace = nullptr) const&
    requires(std::copy_constructible<T>)
  {
    Rows chosen(indices.size(), workspace);
    for (RowIndex i : indices) chosen.push_back((*this)[i]);
    return chosen;
  }

  /// The rows at `indices`, moved out of this batch; each index is named at most once.
  Rows select(std::span<const RowIndex> indices, Workspace* workspace = nullptr) && {
    Rows chosen(indices.size(), workspace);
    for (RowIndex i : indices) chosen.push_back(std::move((*this)[i]));
    return chosen;
  }

  /// Rows `first` to `first + count - 1`.
  Rows slice(std::size_t first, std::size_t count, Workspace* workspace = nullptr) const
    requires(std::copy_constructible<T>)
  {
    GALLEY_ASSERT(first + count <= size_);
    return Rows(span().subspan(first, count), workspace);
  }

  /// All rows of `parts`, in order; the parts are left without their rows.
  static Rows concatenate(std::span<Rows> parts, Workspace* workspace = nullptr) {
    std::size_t total = 0;
    for (const Rows& part : parts) total += part.size();
    Rows all(total, workspace);
    for (Rows& part : parts) {
      for (T& row : part) all.push_back(std::move(row));
    }
    return all;
  }

  friend bool operator==(const Rows& a, const Rows& b)
    requires(std::equality_comparable<T>)
  {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  T* inline_row() noexcept { return std::launder(reinterpret_cast<T*>(inline_)); }
  const T* inline_row() const noexcept { return std::launder(reinterpret_cast<const T*>(inline_)); }
  std::size_t capacity() const noexcept { return heap_ != nullptr ? capacity_ : 1; }

  // Out of line: a batch of one never comes here.
  [[gnu::noinline]] void grow(std::size_t capacity) {
    T* fresh = allocate(capacity);
    T* old = data();
    for (std::size_t i = 0; i < size_; ++i) {
      new (fresh + i) T(std::move(old[i]));
      old[i].~T();
    }
    if (heap_ != nullptr) deallocate();
    heap_ = fresh;
    capacity_ = static_cast<RowIndex>(capacity);
  }
  T* allocate(std::size_t n) {
    if (workspace_ != nullptr) {
      return static_cast<T*>(workspace_->allocate(n * sizeof(T), alignof(T)));
    }
    return std::allocator<T>().allocate(n);
  }
  void deallocate() noexcept {
    if (workspace_ != nullptr) {
      workspace_->deallocate(heap_, capacity_ * sizeof(T), alignof(T));
    } else {
      std::allocator<T>().deallocate(heap_, capacity_);
    }
  }
  void release() noexcept {
    std::destroy_n(data(), size_);
    if (heap_ != nullptr) deallocate();
    heap_ = nullptr;
    size_ = 0;
  }
  void steal(Rows& other) noexcept {
    heap_ = std::exchange(other.heap_, nullptr);
    capacity_ = other.capacity_;
    if (heap_ == nullptr && other.size_ == 1) {
      new (inline_) T(std::move(*other.inline_row()));
      other.inline_row()->~T();
    }
    size_ = std::exchange(other.size_, 0);
  }

  T* heap_ = nullptr;
  RowIndex size_ = 0;
  RowIndex capacity_ = 0;
  Workspace* workspace_ = nullptr;
  alignas(T) std::byte inline_[sizeof(T)];
};

/// What a batch type must offer; a specialisation of `Rows` for a type of yours is checked by it.
///
/// 1. `size()`, `empty()`; `rows[i]` reads row i (a reference or a value).
/// 2. `reserve(n)` and `push_back(row)` build it; `R::single(row)` is a batch of one.
/// 3. `select(indices, workspace)` gives the named rows in the named order; indices may repeat.
/// 4. `slice(first, count, workspace)` gives a run of rows, and may share memory with this batch.
/// 5. `R::concatenate(parts, workspace)` gives all rows of the parts in order and may empty them.
/// 6. Where rows may share memory that is only borrowed or lent: `std::move(rows).owned()` gives an
///    R or a `Result<R>` of the same rows in memory that is safe to keep. Copies of such a batch
///    are so too. `rows.is_owned()`, where it is there, is true when that changes nothing.
///
/// The contract suite is `testing/contracts/rows.hpp`.
template <class R>
concept RowBatch =
    std::default_initializable<R> && std::movable<R> &&
    requires(R rows, const R& read, typename R::value_type row, std::size_t n,
             std::span<const RowIndex> indices, std::span<R> parts, Workspace* workspace) {
      { read.size() } -> std::same_as<std::size_t>;
      { read.empty() } -> std::same_as<bool>;
      { read[n] } -> std::convertible_to<const typename R::value_type&>;
      rows.reserve(n);
      rows.push_back(std::move(row));
      { R::single(std::move(row)) } -> std::same_as<R>;
      { std::move(rows).select(indices, workspace) } -> std::same_as<R>;
      { R::concatenate(parts, workspace) } -> std::same_as<R>;
    };

/// A type that can be a row: movable, and batched by `Rows`.
template <class T>
concept Row = std::same_as<T, std::remove_cvref_t<T>> && std::movable<T> && RowBatch<Rows<T>>;

}  // namespace galley::inline v1
