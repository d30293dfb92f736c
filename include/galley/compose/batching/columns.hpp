// Rows of several named tensors, gathered for a batch: each name into a slab of its own.
#pragma once

#include <galley/compose/batching/gather.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// Rows that are kept by column, as `Rows<NamedTensors>` are: known by what they offer, since the
/// umbrella leaves named tensors out.
template <class T>
concept RowsByColumn = requires(const Rows<T>& rows) {
  { rows.has_columns() } -> std::same_as<bool>;
  { rows.columns()[0].rows } -> std::same_as<const Rows<Tensor>&>;
  { rows.columns()[0].name } -> std::same_as<const std::string&>;
};

/// The names, and of each what tensors must have in common. Told apart by a hash (G. Fowler,
/// L. C. Noll, P. Vo, FNV-1a): where two kinds share it their rows share a batch, which stays
/// ragged.
template <class T>
  requires RowsByColumn<T>
struct RowKind<T> {
  std::uint64_t columns = 0;  // 0 is for rows that differ among themselves

  static RowKind of(const Rows<T>& rows) {
    if (rows.empty() || !rows.has_columns()) return {};
    std::uint64_t sum = 1;
    for (const auto& column : rows.columns()) {
      const auto kind = RowKind<Tensor>::of(column.rows);
      if (kind.mixed) return {};
      sum += hash(column.name, kind);  // names may come in any order
    }
    return {sum};
  }
  static RowKind of(const Batch<T>& rows) {
    if (const Rows<T>* all = rows.whole(); all != nullptr) return of(*all);
    return rows.empty() ? RowKind() : of(rows.slice(0, 1).borrowed().to_rows());
  }
  static std::size_t bytes(const Rows<T>& rows) {
    std::size_t all = 0;
    for (const auto& column : rows.columns()) all += RowKind<Tensor>::bytes(column.rows);
    if (rows.has_columns()) return all;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (const auto& named : rows[i]) all += named.tensor.byte_size();
    }
    return (all + rows.size() - 1) / rows.size();
  }
  std::string text() const { return "named tensors " + std::to_string(columns); }
  friend bool operator==(const RowKind&, const RowKind&) = default;

 private:
  static std::uint64_t hash(std::string_view name, const RowKind<Tensor>& kind) {
    std::uint64_t hash = 0xCBF29CE484222325U;
    const auto mix = [&hash](std::uint64_t next) { hash = (hash ^ next) * 0x100000001B3U; };
    for (const char c : name) mix(static_cast<unsigned char>(c));
    for (const char c : kind.device.kind()) mix(static_cast<unsigned char>(c));
    mix(static_cast<std::uint64_t>(kind.device.index()));
    mix(static_cast<std::uint64_t>(kind.dtype));
    for (std::size_t i = 0; i < kind.shape.rank(); ++i) {
      mix(static_cast<std::uint64_t>(kind.shape[i]));
    }
    return hash;
  }
};

template <class T>
  requires RowsByColumn<T>
class Gathered<T> {
 public:
  void begin(const RowKind<T>&, std::size_t rows) { rows_ = rows; }

  Batch<T> only(const Rows<T>& from, std::size_t first, std::size_t count) {
    whole_ = from.slice(first, count);
    return Batch<T>(whole_);
  }

  void add(const Rows<T>& from, std::size_t first, std::size_t count) {
    parts_.push_back(from.slice(first, count));
  }

  Batch<T> batch() {
    Result<Rows<T>> columns = are_alike() ? by_column() : Rows<T>();
    const bool dense = columns.has_value() && !columns->empty();
    whole_ = dense ? *std::move(columns) : Rows<T>::concatenate(parts_);
    return Batch<T>(whole_);
  }

  void clear() {
    whole_ = Rows<T>();
    parts_.clear();
    for (Gathered<Tensor>& slab : slabs_) slab.clear();
  }

 private:
  using Column = std::remove_cvref_t<decltype(std::declval<const Rows<T>&>().columns()[0])>;

  static const Rows<Tensor>* column_of(const Rows<T>& rows, std::string_view name) {
    for (const Column& column : rows.columns()) {
      if (column.name == name) return &column.rows;
    }
    return nullptr;
  }

  bool are_alike() const {
    const Rows<T>& like = parts_.front();
    if (like.columns().empty()) return false;
    for (const Rows<T>& part : parts_) {
      if (!part.has_columns() || part.columns().size() != like.columns().size()) return false;
      for (const Column& column : like.columns()) {
        const Rows<Tensor>* const same = column_of(part, column.name);
        const auto kind = RowKind<Tensor>::of(column.rows);
        if (same == nullptr || kind.mixed || !(RowKind<Tensor>::of(*same) == kind)) return false;
      }
    }
    return true;
  }

  Result<Rows<T>> by_column() {
    std::vector<Column> columns;
    std::size_t next = 0;
    for (const Column& column : parts_.front().columns()) {
      if (next == slabs_.size()) slabs_.emplace_back();
      Gathered<Tensor>& slab = slabs_[next++];
      slab.begin(RowKind<Tensor>::of(column.rows), rows_);
      for (const Rows<T>& part : parts_) {
        const Rows<Tensor>& rows = *column_of(part, column.name);
        slab.add(rows, 0, rows.size());
      }
      columns.push_back({column.name, slab.batch().to_rows()});
    }
    return Rows<T>::of_columns(std::move(columns));
  }

  std::vector<Gathered<Tensor>> slabs_;  // by name, in the order of the first part's
  std::vector<Rows<T>> parts_;
  std::size_t rows_ = 0;
  Rows<T> whole_;
};

}  // namespace galley::inline v1::detail
