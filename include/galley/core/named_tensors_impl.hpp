// The implementation of batches of named tensors; include <galley/core/named_tensors.hpp>.
#pragma once

#include <galley/core/named_tensors.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1 {

inline Result<Rows<NamedTensors>> Rows<NamedTensors>::of_columns(std::vector<NamedColumn> columns) {
  if (columns.empty()) {
    return Error(Status::invalid_argument, "columns of named tensors: expected one or more, got 0");
  }
  const std::size_t size = columns.front().rows.size();
  for (const NamedColumn& column : columns) {
    if (detail::find_named(std::span(columns), column.name) != &column) {
      return Error(Status::invalid_argument,
                   detail::text({"column \"", column.name, "\": the name is there twice"}));
    }
    if (column.rows.size() != size) {
      return Error(Status::invalid_argument,
                   detail::text({"column \"", column.name, "\": expected ", std::to_string(size),
                                 " rows as in \"", columns.front().name, "\", got ",
                                 std::to_string(column.rows.size())}));
    }
  }
  Rows rows;
  rows.columns_ = std::move(columns);
  rows.size_ = static_cast<RowIndex>(size);
  return rows;
}

inline NamedTensors Rows<NamedTensors>::operator[](std::size_t row) const {
  GALLEY_ASSERT(row < size_);
  if (!has_columns_) return list_[row];
  NamedTensors made;
  for (const NamedColumn& column : columns_) made.set(column.name, column.rows[row]);
  return made;
}

inline bool Rows<NamedTensors>::has_names_of(const NamedTensors& row) const noexcept {
  if (row.size() != columns_.size()) return false;
  for (const NamedColumn& column : columns_) {
    if (row.find(column.name) == nullptr) return false;
  }
  return true;
}

inline bool Rows<NamedTensors>::has_names_of(const Rows& other) const noexcept {
  if (!has_columns_ || !other.has_columns_ || columns_.size() != other.columns_.size())
    return false;
  for (const NamedColumn& column : columns_) {
    if (detail::find_named(other.columns(), column.name) == nullptr) return false;
  }
  return true;
}

inline void Rows<NamedTensors>::drop_columns() {
  list_.reserve(std::max(capacity_, std::size_t{size_} + 1));
  for (std::size_t i = 0; i < size_; ++i) list_.push_back((*this)[i]);
  columns_.clear();
  has_columns_ = false;
}

inline void Rows<NamedTensors>::push_back(NamedTensors row) {
  if (size_ == 0 && !has_names_of(row)) {
    columns_.clear();
    has_columns_ = true;
    columns_.reserve(row.size());
    for (const NamedTensor& t : row) {
      columns_.push_back({t.name, Rows<Tensor>(capacity_, workspace_)});
    }
  }
  if (has_columns_ && !has_names_of(row)) drop_columns();
  if (has_columns_) {
    for (NamedColumn& column : columns_) column.rows.push_back(*row.find(column.name));
  } else {
    list_.push_back(std::move(row));
  }
  ++size_;
}

inline Result<const Rows<Tensor>*> Rows<NamedTensors>::column(std::string_view name) const {
  if (!has_columns_) {
    for (std::size_t i = 0; i < list_.size(); ++i) {
      if (list_[i].find(name) == nullptr) {
        return detail::no_such_name(detail::text({"row ", std::to_string(i)}), name,
                                    list_[i].span());
      }
    }
    return Error(Status::invalid_argument,
                 detail::text({"column \"", name, "\": the rows' names differ"}));
  }
  const NamedColumn* known = detail::find_named(columns(), name);
  if (known == nullptr) return detail::no_such_name("columns of named tensors", name, columns());
  return &known->rows;
}

template <class Change>
Rows<NamedTensors> Rows<NamedTensors>::each_column(Change&& change) const {
  Rows rows;
  rows.columns_.reserve(columns_.size());
  for (const NamedColumn& column : columns_) {
    rows.columns_.push_back({column.name, change(column.rows)});
  }
  return rows;
}

inline bool Rows<NamedTensors>::is_owned() const noexcept {
  const auto is_kept = [](const NamedTensor& named) { return named.tensor.is_owned(); };
  return workspace_ == nullptr &&
         std::ranges::all_of(columns_, [](const auto& column) { return column.rows.is_owned(); }) &&
         std::ranges::all_of(list_,
                             [&](const auto& row) { return std::ranges::all_of(row, is_kept); });
}

inline Result<Rows<NamedTensors>> Rows<NamedTensors>::owned() const {
  Rows kept;
  if (has_columns_) {
    for (const NamedColumn& column : columns_) {
      GALLEY_TRY(Rows<Tensor> rows, column.rows.owned());
      kept.columns_.push_back({column.name, std::move(rows)});
    }
    kept.size_ = size_;
    return kept;
  }
  for (const NamedTensors& row : list_) {
    NamedTensors own;
    for (const NamedTensor& t : row) {
      if (!t.tensor.is_defined()) {  // for who judges rows to refuse it alone
        own.set(t.name, t.tensor);
        continue;
      }
      GALLEY_TRY(Tensor tensor, t.tensor.owned());
      own.set(t.name, std::move(tensor));
    }
    kept.push_back(std::move(own));
  }
  return kept;
}

inline Rows<NamedTensors> Rows<NamedTensors>::select(std::span<const RowIndex> indices,
                                                     Workspace* workspace) const {
  if (!has_columns_) {
    Rows rows(indices.size(), workspace);
    for (RowIndex i : indices) rows.push_back(list_[i]);
    return rows;
  }
  Rows rows = each_column([&](const auto& column) { return column.select(indices, workspace); });
  rows.size_ = static_cast<RowIndex>(indices.size());
  return rows;
}

inline Rows<NamedTensors> Rows<NamedTensors>::slice(std::size_t first, std::size_t count,
                                                    Workspace* workspace) const {
  GALLEY_ASSERT(first + count <= size_);
  if (!has_columns_) return Rows(std::span(list_).subspan(first, count), workspace);
  Rows rows =
      each_column([&](const auto& column) { return column.slice(first, count, workspace); });
  rows.size_ = static_cast<RowIndex>(count);
  return rows;
}

inline Rows<NamedTensors> Rows<NamedTensors>::concatenate(std::span<Rows> parts,
                                                          Workspace* workspace) {
  std::size_t total = 0;
  Rows* filled = nullptr;
  for (Rows& part : parts) {
    total += part.size();
    if (!part.empty() || filled == nullptr) filled = &part;
  }
  if (filled == nullptr) return {};
  if (filled->size() == total) return std::move(*filled);  // all rows are in one part

  bool agree = true;
  for (const Rows& part : parts) agree = agree && (part.empty() || filled->has_names_of(part));
  Rows all(total, workspace);
  if (agree) {
    std::vector<Rows<Tensor>> same_name(parts.size());
    for (const NamedColumn& column : filled->columns_) {
      for (std::size_t p = 0; p < parts.size(); ++p) {
        if (parts[p].empty()) continue;
        same_name[p] = detail::find_named(parts[p].columns(), column.name)->rows;
      }
      all.columns_.push_back({column.name, Rows<Tensor>::concatenate(same_name, workspace)});
    }
    all.size_ = static_cast<RowIndex>(total);
  } else {
    for (const Rows& part : parts) {
      for (std::size_t i = 0; i < part.size(); ++i) all.push_back(part[i]);
    }
  }
  for (Rows& part : parts) part = Rows();
  return all;
}

static_assert(RowBatch<Rows<NamedTensors>>);

}  // namespace galley::inline v1
