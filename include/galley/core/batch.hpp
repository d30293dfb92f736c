// Batch: a view of rows that a servable is asked to answer.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/rows.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

/// A view of n rows of T: a run of a `Rows<T>` or of an array, or a selection of either by index.
///
/// A selection copies no row; it is made dense only where a function asks for a `Rows`. The view
/// also says whether this is the *last use* of its rows: then `take` moves them out.
///
/// Threads  thread-compatible
/// Cost     copying a view copies five words
template <class T>
class Batch {
 public:
  using value_type = T;

  /// What reading a row gives: `const T&`, or a T where the batch keeps its rows otherwise.
  using Reference = decltype(std::declval<const Rows<T>&>()[0]);

  /// No rows.
  Batch() = default;

  /// All of `rows`, borrowed.
  Batch(const Rows<T>& rows) noexcept  // NOLINT: a batch is a view
      : rows_(const_cast<Rows<T>*>(&rows)), size_(static_cast<RowIndex>(rows.size())) {}

  /// An array of rows, borrowed.
  explicit Batch(std::span<const T> rows) noexcept
      : items_(const_cast<T*>(rows.data())), size_(static_cast<RowIndex>(rows.size())) {}

  /// This one row, borrowed.
  static Batch one(const T& row) noexcept { return Batch(std::span<const T>(&row, 1)); }

  /// This one row, which may be moved from.
  static Batch last_use(T& row) noexcept {
    Batch batch = one(row);
    batch.last_use_ = true;
    return batch;
  }

  /// An array of rows, which may be moved from.
  static Batch last_use(std::span<T> rows) noexcept {
    Batch batch{std::span<const T>(rows)};
    batch.last_use_ = true;
    return batch;
  }

  /// All of `rows`, which may be moved from.
  static Batch last_use(Rows<T>& rows) noexcept {
    Batch batch(rows);
    batch.last_use_ = true;
    return batch;
  }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  bool is_last_use() const noexcept { return last_use_; }

  /// Reads row i.
  Reference operator[](std::size_t i) const {
    const std::size_t at = place(i);
    return items_ != nullptr ? static_cast<Reference>(items_[at])
                             : static_cast<Reference>(std::as_const(*rows_)[at]);
  }

  /// Row i where it is held as a T of its own, to be looked at without a copy; else null.
  const T* peek(std::size_t i) const noexcept {
    return items_ != nullptr ? items_ + place(i) : nullptr;
  }

  /// Row i, moved out at the last use, else a copy.
  T take(std::size_t i) const {
    const std::size_t at = place(i);
    if constexpr (std::same_as<decltype(std::declval<Rows<T>&>()[0]), T&>) {
      T& row = items_ != nullptr ? items_[at] : (*rows_)[at];
      if constexpr (std::copy_constructible<T>) {
        if (!last_use_) return std::as_const(row);
      }
      GALLEY_ASSERT(last_use_);
      return std::move(row);
    } else {
      return (*this)[i];
    }
  }

  /// The rows at `places`, each as `place` gives it; `places` must outlive the result. Nothing is
  /// copied, and selecting from a selection stays one look-up deep.
  Batch at_places(std::span<const RowIndex> places) const noexcept {
    Batch chosen = *this;
    chosen.index_ = places.data();
    chosen.first_ = 0;
    chosen.size_ = static_cast<RowIndex>(places.size());
    return chosen;
  }

  /// Rows `first` to `first + count - 1` of this view.
  Batch slice(std::size_t first, std::size_t count) const noexcept {
    GALLEY_ASSERT(first + count <= size_);
    Batch part = *this;
    if (index_ != nullptr) {
      part.index_ += first;
    } else {
      part.first_ += static_cast<RowIndex>(first);
    }
    part.size_ = static_cast<RowIndex>(count);
    return part;
  }

  /// The same rows, which nobody may move from.
  Batch borrowed() const noexcept {
    Batch same = *this;
    same.last_use_ = false;
    return same;
  }

  /// True when this view is a selection by index.
  bool is_selection() const noexcept { return index_ != nullptr; }

  /// The place in the viewed rows of this view's row i.
  std::size_t place(std::size_t i) const noexcept {
    GALLEY_ASSERT(i < size_);
    return index_ != nullptr ? index_[i] : first_ + i;
  }

  /// The batch this is a view of, when it shows all of it in order; else null.
  const Rows<T>* whole() const noexcept {
    const bool all = rows_ != nullptr && index_ == nullptr && first_ == 0 && size_ == rows_->size();
    return all ? rows_ : nullptr;
  }

  /// The rows as one owned batch: moved at the last use, else copied.
  Rows<T> to_rows(Workspace* workspace = nullptr) const {
    if (last_use_ && whole() != nullptr) return std::move(*rows_);
    if constexpr (requires(const Rows<T>& r) { r.slice(0, 0, workspace); }) {
      // Where reading a row moves nothing anyway, a choice of rows keeps the batch's own form.
      const bool choose = !last_use_ || !std::is_lvalue_reference_v<Reference>;
      if (rows_ != nullptr && index_ == nullptr && choose) {
        return std::as_const(*rows_).slice(first_, size_, workspace);
      }
      if (rows_ != nullptr && index_ != nullptr && choose) {
        return std::as_const(*rows_).select(std::span(index_, size_), workspace);
      }
    }
    return gather(workspace);
  }

  /// The rows in a new batch of their own, one by one: moved at the last use, else copied.
  Rows<T> gather(Workspace* workspace = nullptr) const {
    Rows<T> rows;
    if constexpr (std::constructible_from<Rows<T>, std::size_t, Workspace*>) {
      rows = Rows<T>(size_, workspace);
    } else {
      rows.reserve(size_);
    }
    for (std::size_t i = 0; i < size_; ++i) rows.push_back(take(i));
    return rows;
  }

 private:
  Rows<T>* rows_ = nullptr;  // not both of these
  T* items_ = nullptr;
  const RowIndex* index_ = nullptr;
  RowIndex first_ = 0;
  RowIndex size_ = 0;
  bool last_use_ = false;
};

}  // namespace galley::inline v1
