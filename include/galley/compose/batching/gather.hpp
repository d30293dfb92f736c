// How rows of several requests become one batch, and its outcomes each request's again.
#pragma once

#include <galley/core/batch.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/rows.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <memory_resource>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// Where to take memory from: the heap where nothing is lent.
inline std::pmr::memory_resource* resource_of(Workspace* workspace) noexcept {
  return workspace != nullptr ? workspace : std::pmr::new_delete_resource();
}

/// What rows must have in common to share a batch. Rows of an ordinary type: nothing.
template <class T>
struct RowKind {
  static RowKind of(const Rows<T>&) { return {}; }
  static RowKind of(const Batch<T>&) { return {}; }
  static std::size_t bytes(const Rows<T>&) { return sizeof(T); }
  std::string text() const { return "rows"; }
  friend bool operator==(const RowKind&, const RowKind&) = default;
};

/// Tensors: dtype, shape and device. Rows of one request that differ among themselves share a batch
/// with others that do, and the model's door sorts them.
template <>
struct RowKind<Tensor> {
  bool mixed = true;
  DType dtype = DType::f32;
  Shape shape = {};
  Device device = {};

  static RowKind of(const Rows<Tensor>& rows) {
    if (rows.empty() || !rows.is_uniform()) return {};
    const Tensor* block = rows.block();
    const Tensor& like = block != nullptr ? *block : rows.ragged().front();
    if (!like.is_defined()) return {};
    return {false, like.dtype(), block != nullptr ? like.shape().row_shape() : like.shape(),
            like.device()};
  }
  static RowKind of(const Batch<Tensor>& rows) {
    if (const Rows<Tensor>* all = rows.whole(); all != nullptr) return of(*all);
    return rows.empty() ? RowKind() : of(rows.slice(0, 1).borrowed().to_rows());
  }
  static std::size_t bytes(const Rows<Tensor>& rows) {
    if (rows.empty()) return 0;
    if (const Tensor* block = rows.block()) return block->byte_size() / rows.size();
    std::size_t all = 0;
    for (const Tensor& row : rows.ragged()) all += row.byte_size();
    return all / rows.size();
  }
  std::string text() const {
    if (mixed) return "tensors";
    return std::string(to_string(dtype)) + " " + to_string(shape) + " " + to_string(device);
  }
  friend bool operator==(const RowKind&, const RowKind&) = default;
};

template <class T>
inline constexpr bool rows_are_references = std::same_as<decltype(std::declval<Rows<T>&>()[0]), T&>;

/// Memory in which the rows of a batch are gathered, used again for the next.
///
/// In order: `begin`, `add` for each part, `batch`, and `clear` when it has run.
template <class T>
class Gathered {
 public:
  /// Rows `first` to `first + count - 1` of `from` go next; they are moved out.
  void add(Rows<T>& from, std::size_t first, std::size_t count) {
    if constexpr (rows_are_references<T>) {
      for (std::size_t i = first; i < first + count; ++i) rows_.push_back(std::move(from[i]));
    } else {
      rows_.push_back(first == 0 && count == from.size() ? std::move(from)
                                                         : Rows<T>(from.slice(first, count)));
    }
  }
  /// Instead of all that: these rows of one request alone, until `clear`.
  Batch<T> only(Rows<T>& from, std::size_t first, std::size_t count) {
    if constexpr (rows_are_references<T>) {
      return Batch<T>::last_use(std::span<T>(from.data() + first, count));
    } else {
      whole_ = from.slice(first, count);
      return Batch<T>::last_use(whole_);
    }
  }
  /// Room for `rows` of them.
  void begin(const RowKind<T>&, std::size_t rows) { rows_.reserve(rows); }
  /// The rows so far, at their last use, until `clear`.
  Batch<T> batch() {
    if constexpr (rows_are_references<T>) {
      return Batch<T>::last_use(std::span<T>(rows_));
    } else {
      whole_ = Rows<T>::concatenate(rows_);
      return Batch<T>::last_use(whole_);
    }
  }
  void clear() {
    if constexpr (std::same_as<T, bool>) {
      rows_ = Rows<bool>();
    } else {
      rows_.clear();
    }
    if constexpr (!rows_are_references<T>) whole_ = Rows<T>();
  }

 private:
  struct Nothing {};
  // Side by side, which a vector of bool is not.
  using Side = std::conditional_t<std::same_as<T, bool>, Rows<bool>, std::vector<T>>;
  std::conditional_t<rows_are_references<T>, Side, std::vector<Rows<T>>> rows_;
  [[no_unique_address]] std::conditional_t<rows_are_references<T>, Nothing, Rows<T>> whole_;
};

/// Tensors of one shape in host memory are written into a slab, one copy each; others stay ragged.
///
/// The slab is used again unless an answer shares it: then that keeps it, and the next batch has a
/// new one.
template <>
class Gathered<Tensor> {
 public:
  void begin(const RowKind<Tensor>& kind, std::size_t rows) {
    rows_ = 0;
    dense_ = !kind.mixed && kind.device.is_cpu() && kind.shape.rank() < Shape::max_rank &&
             has_room(kind, rows);
  }

  Batch<Tensor> only(const Rows<Tensor>& from, std::size_t first, std::size_t count) {
    whole_ = from.slice(first, count);
    return Batch<Tensor>(whole_);
  }

  void add(const Rows<Tensor>& from, std::size_t first, std::size_t count) {
    if (!dense_) return parts_.push_back(from.slice(first, count));
    auto* to = static_cast<std::byte*>(slab_.mutable_data()) + rows_ * row_bytes_;
    rows_ += count;
    if (row_bytes_ == 0) return;
    if (const Tensor* block = from.block(); block != nullptr) {
      if (block->is_contiguous()) {
        const auto* bytes = static_cast<const std::byte*>(block->data()) + first * row_bytes_;
        std::memcpy(to, bytes, count * row_bytes_);
      } else {
        copy(block->slice(first, count), to, count * row_bytes_);
      }
      return;
    }
    for (const Tensor& row : from.ragged().subspan(first, count)) {
      copy(row, to, row_bytes_);
      to += row_bytes_;
    }
  }

  Batch<Tensor> batch() {
    if (dense_) {
      whole_ = *Rows<Tensor>::of_block(slab_.slice(0, rows_));
    } else {
      whole_ = Rows<Tensor>::concatenate(parts_);
    }
    return Batch<Tensor>(whole_);
  }

  void clear() {
    whole_ = Rows<Tensor>();
    parts_.clear();
    if (!slab_.owner().is_only_share()) slab_ = Tensor();
  }

 private:
  static void copy(const Tensor& from, std::byte* to, std::size_t bytes) {
    if (from.is_contiguous()) {
      std::memcpy(to, from.data(), bytes);
      return;
    }
    [[maybe_unused]] const Result<void> copied = from.copy_into({to, bytes});
    GALLEY_ASSERT(copied.has_value());
  }

  bool has_room(const RowKind<Tensor>& kind, std::size_t rows) {
    if (slab_.is_defined() && slab_.dtype() == kind.dtype && slab_.shape().rows_match(kind.shape) &&
        slab_.shape()[0] >= static_cast<std::int64_t>(rows)) {
      return true;
    }
    rows = std::bit_ceil(rows);  // so that it is soon large enough for all
    Result<Shape> shape = kind.shape.batch_shape(static_cast<std::int64_t>(rows));
    if (!shape.has_value()) return false;
    Result<Tensor> slab = Tensor::empty(kind.dtype, *shape);
    if (!slab.has_value()) return false;
    slab_ = *std::move(slab);
    row_bytes_ = slab_.byte_size() / rows;
    return true;
  }

  Tensor slab_;
  std::size_t row_bytes_ = 0;
  std::size_t rows_ = 0;
  bool dense_ = false;
  std::vector<Rows<Tensor>> parts_;
  Rows<Tensor> whole_;
};

/// Survivors `first` to `first + count - 1`, moved out.
template <class Out>
Rows<Out> survivors_out(Rows<Out>& all, std::size_t first, std::size_t count) {
  if (count == 0) return Rows<Out>();  // all may have been moved out before
  if (first == 0 && count == all.size()) return std::move(all);
  if constexpr (rows_are_references<Out>) {
    Rows<Out> part(count);
    for (std::size_t i = first; i < first + count; ++i) part.push_back(std::move(all[i]));
    return part;
  } else {
    if constexpr (requires { all.alone(first); }) {
      if (count == 1) return all.alone(first);
    }
    return all.slice(first, count);
  }
}

/// Answers that share memory: for rows of an ordinary type, none do.
template <class Out>
struct SharedBlocks {
  bool may_share(const Rows<Out>&) { return true; }
  static void unshare(Rows<Out>&) {}
};

/// The block that a batch was answered with lives as long as a row of it is kept. Beyond a bound of
/// such blocks that live, rows are copied out instead, so that who keeps one row of each batch
/// does not keep all. Ragged rows are taken to lie in one block, the first's.
template <>
class SharedBlocks<Tensor> {
 public:
  /// True where the rows of this batch may go out sharing its block.
  bool may_share(const Rows<Tensor>& rows) {
    std::erase_if(live_, [](const Tensor& block) { return block.owner().shares() <= 1; });
    if (rows.size() < 2) return true;
    const Tensor* const block = rows.block();
    const Tensor& first = block != nullptr ? *block : rows.ragged().front();
    const auto same = [&first](const Tensor& other) {
      return other.owner().handle() == first.owner().handle();
    };
    if (std::any_of(live_.begin(), live_.end(), same)) return true;  // one block for all batches
    if (live_.size() == most) return false;
    live_.push_back(first);
    return true;
  }

  /// The same rows in memory of their own; left as they are where there is none.
  static void unshare(Rows<Tensor>& rows) {
    if (const Tensor* const block = rows.block(); block != nullptr) {
      rows = *Rows<Tensor>::of_block(copy_of(*block));
      return;
    }
    Rows<Tensor> own(rows.size());
    for (const Tensor& row : rows.ragged()) own.push_back(copy_of(row));
    rows = std::move(own);
  }

 private:
  static Tensor copy_of(const Tensor& tensor) {
    if (!tensor.is_defined() || !tensor.device().is_cpu()) return tensor;
    Result<Tensor> own = Tensor::empty(tensor.dtype(), tensor.shape());
    if (!own.has_value()) return tensor;
    auto* const to = static_cast<std::byte*>(own->mutable_data());
    return tensor.copy_into({to, own->byte_size()}).has_value() ? *std::move(own) : tensor;
  }

  static constexpr std::size_t most = 16;
  std::vector<Tensor> live_;  // our shares
};

/// The outcomes of rows `first` to `first + count - 1` of a batch, moved out: each row once.
template <class Out>
Outcomes<Out> outcomes_out(Outcomes<Out>& all, std::size_t first, std::size_t count) {
  if (all.all_ok()) {
    return Outcomes<Out>(std::in_place,
                         [&] { return survivors_out(all.survivors(), first, count); });
  }
  const std::size_t before = all.casualties().before(first);
  const std::size_t until = all.casualties().before(first + count);
  Casualties casualties;
  for (Casualty& casualty : all.casualties().mutable_span().subspan(before, until - before)) {
    casualties.append(casualty.row - first, std::move(casualty.error));
  }
  const std::size_t failed = until - before;
  return Outcomes<Out>(survivors_out(all.survivors(), first - before, count - failed),
                       std::move(casualties));
}

/// Takes a piece of a request apart, whose rows begin with `first`: its rows go to `values`.
template <class Out, class List>
void append_piece(Outcomes<Out>& piece, std::size_t first, List& values, Casualties& casualties) {
  for (Casualty& casualty : piece.casualties().mutable_span()) {
    casualties.append(first + casualty.row, std::move(casualty.error));
  }
  values.push_back(std::move(piece).survivors());
}

/// The outcomes of the pieces that a request was split into, in order, as one.
template <class Out>
Outcomes<Out> joined(std::span<Outcomes<Out>> pieces, Workspace* workspace = nullptr) {
  std::pmr::vector<Rows<Out>> values(resource_of(workspace));
  values.reserve(pieces.size());
  Casualties casualties;
  std::size_t first = 0;
  for (Outcomes<Out>& piece : pieces) {
    const std::size_t rows = piece.size();
    append_piece(piece, first, values, casualties);
    first += rows;
  }
  return Outcomes<Out>(Rows<Out>::concatenate(values, workspace), std::move(casualties));
}

}  // namespace galley::inline v1::detail
