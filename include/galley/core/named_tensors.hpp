// NamedTensors: a row made of several tensors, each with a name, and batches of such rows.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/core/text.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// A tensor and its name.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

namespace detail {
/// `"image", "length"`, of things that have a name.
template <class Named>
std::string names_of(std::span<const Named> things) {
  std::string text;
  for (const Named& thing : things) {
    if (!text.empty()) text.append(", ");
    text.append("\"").append(thing.name).append("\"");
  }
  return text.empty() ? "none" : text;
}

template <class Named>
Error no_such_name(std::string_view what, std::string_view name, std::span<const Named> things) {
  return Error(Status::invalid_argument,
               text({what, ": expected \"", name, "\", got ", names_of(things)}));
}

template <class Named>
auto* find_named(std::span<Named> things, std::string_view name) noexcept {
  for (Named& thing : things) {
    if (thing.name == name) return &thing;
  }
  return static_cast<Named*>(nullptr);
}
}  // namespace detail

/// One row of several tensors, each under a name of its own, in the order they were set.
///
/// Threads  thread-compatible
/// Cost     one allocation for the list, none for looking up; O(size) to look up
class NamedTensors {
 public:
  NamedTensors() = default;

  /// `{{"image", image}, {"length", length}}`; the last of two equal names counts.
  NamedTensors(std::initializer_list<NamedTensor> tensors) {
    tensors_.reserve(tensors.size());
    for (const NamedTensor& t : tensors) set(t.name, t.tensor);
  }

  /// Adds a tensor at the end, or replaces the one of this name.
  void set(std::string_view name, Tensor tensor) {
    if (NamedTensor* known = detail::find_named(std::span(tensors_), name)) {
      known->tensor = std::move(tensor);
    } else {
      tensors_.push_back({std::string(name), std::move(tensor)});
    }
  }

  std::size_t size() const noexcept { return tensors_.size(); }
  bool empty() const noexcept { return tensors_.empty(); }
  std::span<const NamedTensor> span() const noexcept { return tensors_; }
  auto begin() const noexcept { return tensors_.begin(); }
  auto end() const noexcept { return tensors_.end(); }

  /// The tensor of this name, or null.
  const Tensor* find(std::string_view name) const noexcept {
    const NamedTensor* known = detail::find_named(span(), name);
    return known == nullptr ? nullptr : &known->tensor;
  }

  /// The tensor of this name, sharing its memory.
  ///
  /// Errors  invalid_argument: no such name, listing those there are
  Result<Tensor> get(std::string_view name) const {
    if (const Tensor* tensor = find(name)) return *tensor;
    return detail::no_such_name("row of named tensors", name, span());
  }

  /// True when the same names hold equal tensors, in whatever order.
  friend bool operator==(const NamedTensors& a, const NamedTensors& b) noexcept {
    if (a.size() != b.size()) return false;
    for (const NamedTensor& t : a) {
      const Tensor* other = b.find(t.name);
      if (other == nullptr || !(*other == t.tensor)) return false;
    }
    return true;
  }

 private:
  std::vector<NamedTensor> tensors_;
};

/// The rows of one name.
struct NamedColumn {
  std::string name;
  Rows<Tensor> rows;
};

/// A batch of rows of named tensors: one `Rows<Tensor>` per name, so that a model reads each input
/// as one block.
///
/// Names may come in any order. When a row's names are not those of the rows before it the batch
/// keeps plain rows instead of columns: every row stays as it was given, and `column` says why
/// there is none.
///
/// Threads  thread-compatible
/// Cost     one allocation for the columns; reading a row makes a `NamedTensors`
template <>
class Rows<NamedTensors> {
 public:
  using value_type = NamedTensors;

  Rows() = default;

  /// No rows yet, room for `capacity` in each column, taken from `workspace`.
  explicit Rows(std::size_t capacity, Workspace* workspace = nullptr)
      : capacity_(capacity), workspace_(workspace) {}

  Rows(std::initializer_list<NamedTensors> rows)
      : Rows(std::span<const NamedTensors>(rows.begin(), rows.size())) {}

  /// Copies of `rows`, sharing the memory of their tensors.
  explicit Rows(std::span<const NamedTensors> rows, Workspace* workspace = nullptr)
      : Rows(rows.size(), workspace) {
    for (const NamedTensors& row : rows) push_back(row);
  }

  Rows(const Rows&) = default;
  Rows(Rows&& other) noexcept
      : columns_(std::move(other.columns_)),
        list_(std::move(other.list_)),
        size_(std::exchange(other.size_, 0)),
        has_columns_(std::exchange(other.has_columns_, true)),
        capacity_(other.capacity_),
        workspace_(other.workspace_) {}
  Rows& operator=(const Rows&) = default;
  Rows& operator=(Rows&& other) noexcept {
    if (this == &other) return *this;
    std::destroy_at(this);
    return *std::construct_at(this, std::move(other));
  }
  ~Rows() = default;

  /// A batch of this one row.
  static Rows single(NamedTensors row) {
    Rows rows;
    rows.push_back(std::move(row));
    return rows;
  }

  /// The rows whose i-th has row i of each column.
  ///
  /// Errors  invalid_argument: no columns, two of one name, or columns of different sizes
  static Result<Rows> of_columns(std::vector<NamedColumn> columns);

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  /// Row i.
  NamedTensors operator[](std::size_t row) const;

  void reserve(std::size_t capacity) { capacity_ = std::max(capacity_, capacity); }

  /// Puts one row at the end.
  void push_back(NamedTensors row);

  /// The columns; empty when the rows' names differ.
  std::span<const NamedColumn> columns() const noexcept { return columns_; }

  /// True when all rows have the same names.
  bool has_columns() const noexcept { return has_columns_; }

  /// The rows of one name.
  ///
  /// Errors  invalid_argument: no such name, listing those there are; the rows' names differ
  Result<const Rows<Tensor>*> column(std::string_view name) const;

  /// True when all rows are in memory that is safe to keep.
  bool is_owned() const noexcept;

  /// The same rows in memory that is safe to keep.
  ///
  /// Errors  as `Tensor::owned`
  Result<Rows> owned() const;

  /// The rows at `indices`, each column as `Rows<Tensor>` does it.
  Rows select(std::span<const RowIndex> indices, Workspace* workspace = nullptr) const;

  /// Rows `first` to `first + count - 1`, sharing memory.
  Rows slice(std::size_t first, std::size_t count, Workspace* workspace = nullptr) const;

  /// All rows of `parts`, in order; the parts are left empty.
  static Rows concatenate(std::span<Rows> parts, Workspace* workspace = nullptr);

  friend bool operator==(const Rows& a, const Rows& b) {
    if (a.size_ != b.size_) return false;
    for (std::size_t i = 0; i < a.size_; ++i) {
      if (!(a[i] == b[i])) return false;
    }
    return true;
  }

 private:
  bool has_names_of(const NamedTensors& row) const noexcept;
  bool has_names_of(const Rows& other) const noexcept;
  void drop_columns();
  template <class Change>
  Rows each_column(Change&& change) const;

  std::vector<NamedColumn> columns_;  // each of size_ rows
  std::vector<NamedTensors> list_;    // the rows, where there are no columns
  RowIndex size_ = 0;
  bool has_columns_ = true;
  std::size_t capacity_ = 0;
  Workspace* workspace_ = nullptr;
};

}  // namespace galley::inline v1

#include <galley/core/named_tensors_impl.hpp>
