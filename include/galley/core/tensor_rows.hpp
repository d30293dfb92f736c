// Rows<Tensor>: a batch of tensors, as one dense block or as rows of any shapes.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>
#include <galley/core/tensor.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// A batch of tensors: either one dense *block* `[n, *F]`, or *ragged*: n tensors of any shapes.
///
/// Reading a row gives a handle that shares the block's memory. Rows pushed one at a time stay
/// ragged until `dense` makes a block of them.
///
/// Threads  thread-compatible
/// Cost     a block and a single row are held inline; n ragged rows take one allocation
template <>
class Rows<Tensor> {
 public:
  using value_type = Tensor;

  Rows() = default;

  /// No rows yet, room for `capacity` ragged ones, taken from `workspace`.
  explicit Rows(std::size_t capacity, Workspace* workspace = nullptr) : list_(heap_or(workspace)) {
    reserve(capacity);
  }

  Rows(std::initializer_list<Tensor> rows)
      : Rows(std::span<const Tensor>(rows.begin(), rows.size())) {}

  /// These tensors as ragged rows, sharing their memory.
  explicit Rows(std::span<const Tensor> rows, Workspace* workspace = nullptr)
      : Rows(rows.size(), workspace) {
    for (const Tensor& row : rows) push_back(row);
  }

  /// Shares the memory of the rows; a list of ragged rows is copied to the heap.
  Rows(const Rows& other)
      : one_(other.one_),
        list_(other.list_, heap_or(nullptr)),
        size_(other.size_),
        is_block_(other.is_block_) {}
  Rows(Rows&& other) noexcept
      : one_(std::move(other.one_)),
        list_(std::move(other.list_)),
        size_(std::exchange(other.size_, 0)),
        is_block_(std::exchange(other.is_block_, false)) {}
  Rows& operator=(const Rows& other) { return *this = Rows(other); }
  Rows& operator=(Rows&& other) noexcept {
    if (this == &other) return *this;
    std::destroy_at(this);  // a pmr vector would keep its own workspace, and copy
    return *std::construct_at(this, std::move(other));
  }
  ~Rows() = default;

  /// A batch of this one row. Allocates nothing.
  static Rows single(Tensor row) {
    Rows rows;
    rows.push_back(std::move(row));
    return rows;
  }

  /// The rows of a block `[n, *F]`, sharing its memory.
  ///
  /// Errors  invalid_argument: undefined, rank 0, or 2³² rows or more
  static Result<Rows> of_block(Tensor block);

  /// The rows of the block that `Tensor(Unchecked, memory...)` is: what `of_block` asks of it, a
  /// backend vouches for. Made in its place, nothing is moved.
  template <class... Memory>
  explicit Rows(Unchecked vouched, Memory&&... memory) noexcept
      : one_(vouched, std::forward<Memory>(memory)...),
        size_(static_cast<RowIndex>(one_.shape()[0])),
        is_block_(true) {}

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  /// Row i: a view into the block, or the ragged row itself. Rows that are moved from give up their
  /// share in the memory.
  Tensor operator[](std::size_t row) const& noexcept {
    GALLEY_ASSERT(row < size_);
    if (is_block_) return one_.row(row);
    return list_.empty() ? one_ : list_[row];
  }
  Tensor operator[](std::size_t row) && noexcept {
    GALLEY_ASSERT(row < size_);
    if (is_block_) return std::move(one_).row(row);
    return std::move(list_.empty() ? one_ : list_[row]);
  }

  /// A batch of row i alone, sharing its memory. Allocates nothing.
  Rows alone(std::size_t row) const {
    GALLEY_ASSERT(row < size_);
    return is_block_ ? Rows(one_, row) : single((*this)[row]);
  }

  /// Makes room for `capacity` ragged rows in all.
  void reserve(std::size_t capacity) {
    if (!is_block_ && capacity > 1) list_.reserve(capacity);
  }

  /// Puts one row at the end; a block becomes ragged.
  void push_back(Tensor row);

  /// The block, or null when the rows are ragged.
  const Tensor* block() const noexcept { return is_block_ ? &one_ : nullptr; }

  /// The rows when they are ragged; empty for a block.
  std::span<const Tensor> ragged() const noexcept {
    if (is_block_) return {};
    return list_.empty() ? std::span(&one_, size_) : std::span<const Tensor>(list_);
  }

  /// True when all rows are defined and have one dtype, shape and device.
  bool is_uniform() const noexcept;

  /// The rows as one block `[n, *F]`. A block and a single row are shared, as strided as they are;
  /// more rows are copied into fresh row-major memory.
  ///
  /// Errors  invalid_argument: no ragged rows, rows that differ, are undefined or not in host
  ///         memory, naming the row; resource_exhausted
  Result<Tensor> dense(Workspace* workspace = nullptr) const;

  /// True when all rows are in memory that is safe to keep.
  bool is_owned() const noexcept {
    if (is_block_ || list_.empty()) return one_.is_owned() || size_ == 0;
    return list_.get_allocator().resource() == heap_or(nullptr) &&
           std::ranges::all_of(list_, [](const Tensor& row) { return row.is_owned(); });
  }

  /// The same rows in memory that is safe to keep: rows that are not `owned` are copied. Undefined
  /// ones stay so, for who judges rows to refuse them alone.
  ///
  /// Errors  as `Tensor::owned`
  Result<Rows> owned() const;

  /// The rows at `indices`, in that order; an index may be named more than once.
  ///
  /// A run of a block shares its memory; another choice from a block in host memory is copied into
  /// a new block. All else are ragged rows that share memory.
  Rows select(std::span<const RowIndex> indices, Workspace* workspace = nullptr) const;

  /// Rows `first` to `first + count - 1`, sharing memory.
  Rows slice(std::size_t first, std::size_t count, Workspace* workspace = nullptr) const;

  /// All rows of `parts`, in order; the parts are left empty.
  ///
  /// Blocks of one row type in host memory are copied into one block; all else become ragged rows
  /// that share memory.
  static Rows concatenate(std::span<Rows> parts, Workspace* workspace = nullptr);

  /// True when all rows are equal, in whatever form they are held.
  friend bool operator==(const Rows& a, const Rows& b) noexcept {
    if (a.size_ != b.size_) return false;
    if (a.is_block_ && b.is_block_) return a.one_ == b.one_;
    for (std::size_t i = 0; i < a.size_; ++i) {
      if (!(a[i] == b[i])) return false;
    }
    return true;
  }

 private:
  Rows(const Tensor& block, std::size_t row) noexcept
      : one_(block, row, Owner(block.owner())), size_(1) {}

  static Workspace* heap_or(Workspace* workspace) noexcept {
    return workspace != nullptr ? workspace : std::pmr::new_delete_resource();
  }
  static Rows of_valid_block(Tensor&& block) noexcept {
    Rows rows;
    rows.hold_block(std::move(block));
    return rows;
  }
  void hold_block(Tensor&& block) noexcept {
    size_ = static_cast<RowIndex>(block.shape()[0]);
    one_ = std::move(block);
    is_block_ = true;
  }
  static bool blocks_agree(std::span<const Rows> parts) noexcept;
  static Error row_differs(std::size_t row, const Tensor& got, const Tensor& wanted);
  Rows chosen(std::span<const RowIndex> indices, Workspace* workspace) const;

  // A block, or the only ragged row; several ragged rows (or one, after `reserve`) are in list_.
  Tensor one_;
  std::pmr::vector<Tensor> list_{std::pmr::new_delete_resource()};
  RowIndex size_ = 0;
  bool is_block_ = false;
};

// ---- implementation ----------------------------------------------------------------------------

inline Result<Rows<Tensor>> Rows<Tensor>::of_block(Tensor block) {
  if (!block.is_defined() || block.rank() == 0 || block.shape()[0] > UINT32_MAX) {
    return Error(Status::invalid_argument,
                 detail::text({"a block: expected shape [n, ...] of fewer than 2^32 rows, got ",
                               to_string(block)}));
  }
  Result<Rows> rows;
  rows->hold_block(std::move(block));  // in its place: a move of rows is 200 bytes
  return rows;
}

inline void Rows<Tensor>::push_back(Tensor row) {
  if (is_block_) {
    const Tensor block = std::move(one_);
    is_block_ = false;
    list_.reserve(std::size_t{size_} + 1);
    for (std::size_t i = 0; i < size_; ++i) list_.push_back(block.row(i));
  }
  if (size_ == 0 && list_.capacity() == 0) {
    one_ = std::move(row);
  } else {
    if (size_ == 1 && list_.empty()) {
      list_.reserve(4);
      list_.push_back(std::move(one_));
    }
    list_.push_back(std::move(row));
  }
  ++size_;
}

inline bool Rows<Tensor>::is_uniform() const noexcept {
  if (is_block_) return true;
  const std::span<const Tensor> rows = ragged();
  for (const Tensor& row : rows) {
    const Tensor& first = rows.front();
    if (!row.is_defined() || row.dtype() != first.dtype() || row.shape() != first.shape() ||
        !(row.device() == first.device())) {
      return false;
    }
  }
  return true;
}

inline Error Rows<Tensor>::row_differs(std::size_t row, const Tensor& got, const Tensor& wanted) {
  return Error(Status::invalid_argument,
               detail::text({"row ", std::to_string(row), ": expected ", to_string(wanted),
                             " in host memory as row 0, got ", to_string(got)}));
}

inline Result<Tensor> Rows<Tensor>::dense(Workspace* workspace) const {
  if (is_block_) return one_;
  const std::span<const Tensor> rows = ragged();
  if (rows.empty()) {
    return Error(Status::invalid_argument, "a block of no rows: the shape of a row is not known");
  }
  const Tensor& first = rows.front();
  if (rows.size() == 1 || !first.is_defined()) return first.as_block();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Tensor& row = rows[i];
    if (!row.is_defined() || !row.device().is_cpu() || row.dtype() != first.dtype() ||
        row.shape() != first.shape()) {
      return row_differs(i, row, first);
    }
  }
  GALLEY_TRY(const Shape shape, first.shape().batch_shape(static_cast<std::int64_t>(rows.size())));
  GALLEY_TRY(Tensor block, Tensor::empty(first.dtype(), shape, workspace));
  auto* to = static_cast<std::byte*>(block.mutable_data());
  const std::size_t bytes = first.byte_size();
  for (const Tensor& row : rows) {
    GALLEY_TRY(row.copy_into({to, bytes}));
    to += bytes;
  }
  return block;
}

inline Result<Rows<Tensor>> Rows<Tensor>::owned() const {
  if (is_block_) {
    GALLEY_TRY(Tensor block, one_.owned());
    return of_valid_block(std::move(block));
  }
  Rows kept(size_);
  for (const Tensor& row : ragged()) {
    if (!row.is_defined()) {
      kept.push_back(row);
      continue;
    }
    GALLEY_TRY(Tensor own, row.owned());
    kept.push_back(std::move(own));
  }
  return kept;
}

inline Rows<Tensor> Rows<Tensor>::chosen(std::span<const RowIndex> indices,
                                         Workspace* workspace) const {
  Rows rows(indices.size(), workspace);
  for (RowIndex i : indices) rows.push_back((*this)[i]);
  return rows;
}

inline Rows<Tensor> Rows<Tensor>::select(std::span<const RowIndex> indices,
                                         Workspace* workspace) const {
  if (!is_block_) return chosen(indices, workspace);
  if (indices.empty()) return slice(0, 0, workspace);
  bool is_run = true;
  for (std::size_t i = 1; i < indices.size() && is_run; ++i) {
    is_run = indices[i] == indices[i - 1] + 1;
  }
  if (is_run) return slice(indices.front(), indices.size(), workspace);
  if (!one_.device().is_cpu()) return chosen(indices, workspace);

  const auto count = static_cast<std::int64_t>(indices.size());
  Result<Tensor> block = Tensor::empty(one_.dtype(), one_.shape().with_rows(count), workspace);
  if (!block.has_value()) return chosen(indices, workspace);  // no memory: share what there is
  const std::size_t bytes = block->byte_size() / indices.size();
  auto* to = static_cast<std::byte*>(block->mutable_data());
  const auto* from = static_cast<const std::byte*>(one_.data());
  for (RowIndex i : indices) {
    GALLEY_ASSERT(i < size_);
    if (one_.is_contiguous()) {
      if (bytes > 0) std::memcpy(to, from + i * bytes, bytes);
    } else {
      [[maybe_unused]] const Result<void> copied = one_.row(i).copy_into({to, bytes});
      GALLEY_ASSERT(copied.has_value());
    }
    to += bytes;
  }
  return of_valid_block(*std::move(block));
}

inline Rows<Tensor> Rows<Tensor>::slice(std::size_t first, std::size_t count,
                                        Workspace* workspace) const {
  GALLEY_ASSERT(first + count <= size_);
  if (is_block_) return of_valid_block(one_.slice(first, count));
  return Rows(ragged().subspan(first, count), workspace);
}

inline bool Rows<Tensor>::blocks_agree(std::span<const Rows> parts) noexcept {
  const Rows* first = nullptr;
  for (const Rows& part : parts) {
    if (part.empty()) continue;
    if (!part.is_block_ || !part.one_.device().is_cpu()) return false;
    if (first == nullptr) first = &part;
    if (part.one_.dtype() != first->one_.dtype() ||
        part.one_.shape().with_rows(0) != first->one_.shape().with_rows(0)) {
      return false;
    }
  }
  return first != nullptr;
}

inline Rows<Tensor> Rows<Tensor>::concatenate(std::span<Rows> parts, Workspace* workspace) {
  std::size_t total = 0;
  Rows* filled = nullptr;
  for (Rows& part : parts) {
    total += part.size();
    if (!part.empty() || filled == nullptr) filled = &part;
  }
  if (filled == nullptr) return {};
  if (filled->size() == total) return std::move(*filled);  // all rows are in one part

  if (blocks_agree(parts)) {
    const Tensor& like = filled->one_;
    Result<Tensor> block = Tensor::empty(
        like.dtype(), like.shape().with_rows(static_cast<std::int64_t>(total)), workspace);
    if (block.has_value()) {
      auto* to = static_cast<std::byte*>(block->mutable_data());
      for (Rows& part : parts) {
        if (part.empty()) continue;
        const std::size_t bytes = part.one_.byte_size();
        [[maybe_unused]] const Result<void> copied = part.one_.copy_into({to, bytes});
        GALLEY_ASSERT(copied.has_value());
        to += bytes;
        part = Rows();
      }
      return of_valid_block(*std::move(block));
    }
  }
  Rows all(total, workspace);
  for (Rows& part : parts) {
    for (std::size_t i = 0; i < part.size(); ++i) all.push_back(part[i]);
    part = Rows();
  }
  return all;
}

static_assert(RowBatch<Rows<Tensor>>);

}  // namespace galley::inline v1
