// Padder: which rows of a batch go together, and the blocks they are written into.
#pragma once

#include <galley/compose/padding/options.hpp>
#include <galley/compose/padding/rows.hpp>
#include <galley/core/batch.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/result.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/policy/cost_table.hpp>
#include <galley/policy/padding.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// Rows that become one block: of one dtype, and of one shape once they are filled up.
struct PaddedPart {
  DType dtype = DType::f32;
  Shape shape = {};        ///< Of a row, filled up.
  std::size_t length = 0;  ///< The number of its length among the options'.
  std::uint64_t rows = 0;
  std::uint64_t merged = 0;    ///< Of those, rows that fit a lesser length.
  std::uint64_t elements = 0;  ///< That the rows had.

  bool is_alike(const PaddedPart& other) const noexcept {
    return dtype == other.dtype && shape == other.shape;
  }
};

/// The rows of a batch, sorted.
struct PaddedParts {
  std::vector<PaddedPart> parts;
  std::vector<RowIndex> of_row;  ///< The part of each row; for one that fits none, their count.
  std::vector<Error> unfit;      ///< Why, for each of these.
};

/// What was learned and counted while padding.
///
/// Threads  thread-safe
class PaddingRecord {
 public:
  explicit PaddingRecord(const std::vector<std::size_t>& lengths) : costs_(lengths.size()) {
    for (const std::size_t length : lengths) counted_.lengths.push_back({.length = length});
  }

  /// Which lengths are to run together. One decision in thirty-two leaves them apart, so that what
  /// they cost so stays known.
  MergedLengths merge(std::vector<PaddedLoad>& loads) {
    constexpr std::uint64_t apart_every = 32;
    const std::lock_guard lock(mutex_);
    const bool apart = ++decisions_ % apart_every == 0;
    for (std::size_t i = 0; i < loads.size(); ++i) loads[i].costs = apart ? nullptr : &costs_[i];
    return merge_upward(loads);
  }

  /// A call that took `took`, where that is known.
  void add(const PaddedPart& part, std::optional<Duration> took) {
    const std::uint64_t elements =
        part.rows * static_cast<std::uint64_t>(part.shape.numel().value_or(0));
    const std::lock_guard lock(mutex_);
    if (took.has_value()) costs_[part.length].observe(part.rows, *took);
    counted_.rows += part.rows;
    counted_.elements += elements;
    counted_.filling += elements - part.elements;
    PaddedLengthStatistics& length = counted_.lengths[part.length];
    ++length.calls;
    length.rows += part.rows;
    length.merged += part.merged;
  }

  PaddingStatistics statistics() const {
    const std::lock_guard lock(mutex_);
    return counted_;
  }

 private:
  mutable std::mutex mutex_;  // guards everything below
  std::vector<CostTable> costs_;
  PaddingStatistics counted_;
  std::uint64_t decisions_ = 0;
};

/// Sorts rows and pads them as its options say.
///
/// Threads  thread-safe
class Padder {
 public:
  explicit Padder(Padding options) : options_(std::move(options)) {}

  const Padding& options() const noexcept { return options_; }
  std::int64_t length(std::size_t number) const noexcept {
    return static_cast<std::int64_t>(options_.lengths[number]);
  }

  /// Why `row` cannot be padded, if it cannot. Not which row it is: in a merged batch that would be
  /// another number than in its request.
  std::optional<Error> unfit(const Tensor& row) const;
  /// The row by itself, to be filled up to that length.
  PaddedPart part_of(const Tensor& row, std::size_t number) const;
  /// What all rows of a batch have in common; none where they do not.
  std::optional<PaddedPart> only_part(const Batch<Tensor>& batch) const;
  /// The rows by part, none of a lesser length than the one numbered `least`.
  PaddedParts sort(const Batch<Tensor>& batch, std::size_t least = 0) const;
  /// Puts those parts together that `record` says run together.
  void merge(PaddedParts& sorted, PaddingRecord& record) const;

  /// The rows, all of `part`, as the servable takes them.
  ///
  /// Errors  failed_precondition: no element of the dtype is `Padding::value`; resource_exhausted
  template <class In>
  Result<Rows<In>> rows(const PaddedPart& part, const Batch<Tensor>& batch,
                        Workspace* workspace) const {
    if constexpr (std::same_as<In, Tensor>) {
      return padded(part, batch, workspace);
    } else {
      std::vector<NamedColumn> columns;
      GALLEY_TRY(Rows<Tensor> rows, padded(part, batch, workspace));
      columns.push_back({options_.input, std::move(rows)});
      GALLEY_TRY(Rows<Tensor> masks, mask(part, batch, workspace));
      columns.push_back({options_.mask, std::move(masks)});
      return Rows<NamedTensors>::of_columns(std::move(columns));
    }
  }

 private:
  std::size_t number_for(const Tensor& row) const noexcept {
    return padded_length_for(options_.lengths,
                             static_cast<std::size_t>(row.shape()[options_.axis]));
  }
  /// By part: the part that its rows run in, itself or one that differs in length alone.
  std::vector<RowIndex> targets(const std::vector<PaddedPart>& parts, PaddingRecord& record) const;
  Result<Rows<Tensor>> padded(const PaddedPart& part, const Batch<Tensor>& batch,
                              Workspace* workspace) const;
  Result<Rows<Tensor>> mask(const PaddedPart& part, const Batch<Tensor>& batch,
                            Workspace* workspace) const;

  Padding options_;
};

// ---- implementation ----------------------------------------------------------------------------

inline std::optional<Error> Padder::unfit(const Tensor& row) const {
  const std::size_t axis = options_.axis;
  const bool has_axis = row.is_defined() && row.rank() > axis && row.rank() < Shape::max_rank;
  if (has_axis && row.device().is_cpu() && row.shape()[axis] > 0 &&
      number_for(row) < options_.lengths.size()) {
    return std::nullopt;
  }
  return Error(
      Status::invalid_argument,
      text({"expected rank ", std::to_string(axis + 1), " to ", std::to_string(Shape::max_rank - 1),
            " in host memory, 1 to ", std::to_string(options_.lengths.back()), " along axis ",
            std::to_string(axis), ", got ", to_string(row)}));
}

inline PaddedPart Padder::part_of(const Tensor& row, std::size_t number) const {
  return {.dtype = row.dtype(),
          .shape = with_length(row.shape(), options_.axis, length(number)),
          .length = number,
          .rows = 1,
          .elements = static_cast<std::uint64_t>(row.numel())};
}

inline std::optional<PaddedPart> Padder::only_part(const Batch<Tensor>& batch) const {
  std::optional<PaddedPart> all;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Tensor row = batch[i];
    if (unfit(row).has_value()) return std::nullopt;
    const PaddedPart part = part_of(row, number_for(row));
    if (!all.has_value()) {
      all = part;
      continue;
    }
    if (!all->is_alike(part)) return std::nullopt;
    ++all->rows;
    all->elements += part.elements;
  }
  return all;
}

inline PaddedParts Padder::sort(const Batch<Tensor>& batch, std::size_t least) const {
  constexpr RowIndex nowhere = ~RowIndex{0};
  PaddedParts sorted;
  sorted.of_row.reserve(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Tensor row = batch[i];
    if (std::optional<Error> why = unfit(row); why.has_value()) {
      sorted.unfit.push_back(*std::move(why));
      sorted.of_row.push_back(nowhere);
      continue;
    }
    const PaddedPart own = part_of(row, std::max(least, number_for(row)));
    std::size_t at = 0;
    while (at < sorted.parts.size() && !sorted.parts[at].is_alike(own)) ++at;
    sorted.of_row.push_back(static_cast<RowIndex>(at));
    if (at == sorted.parts.size()) {
      sorted.parts.push_back(own);
    } else {
      ++sorted.parts[at].rows;
      sorted.parts[at].elements += own.elements;
    }
  }
  for (RowIndex& part : sorted.of_row) {
    if (part == nowhere) part = static_cast<RowIndex>(sorted.parts.size());
  }
  return sorted;
}

inline std::vector<RowIndex> Padder::targets(const std::vector<PaddedPart>& parts,
                                             PaddingRecord& record) const {
  const auto free_of_length = [this](const PaddedPart& part) {
    return with_length(part.shape, options_.axis, 0);
  };
  std::vector<RowIndex> into(parts.size());
  std::iota(into.begin(), into.end(), RowIndex{0});
  std::vector<bool> seen(parts.size());
  for (std::size_t first = 0; first < parts.size(); ++first) {
    if (seen[first]) continue;
    std::vector<PaddedLoad> loads(options_.lengths.size());
    std::vector<RowIndex> of_length(options_.lengths.size());
    std::vector<std::size_t> alike;  // in all but their length
    for (std::size_t i = first; i < parts.size(); ++i) {
      if (parts[i].dtype != parts[first].dtype) continue;
      if (free_of_length(parts[i]) != free_of_length(parts[first])) continue;
      seen[i] = true;
      alike.push_back(i);
      loads[parts[i].length].rows = parts[i].rows;
      of_length[parts[i].length] = static_cast<RowIndex>(i);
    }
    if (alike.size() < 2) continue;
    const MergedLengths together = record.merge(loads);
    for (const std::size_t i : alike) into[i] = of_length[together[parts[i].length]];
  }
  return into;
}

inline void Padder::merge(PaddedParts& sorted, PaddingRecord& record) const {
  const std::vector<PaddedPart>& parts = sorted.parts;
  const std::vector<RowIndex> into = targets(parts, record);
  std::vector<RowIndex> place(parts.size() + 1);  // of each part among those kept
  std::vector<PaddedPart> kept;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (into[i] != i) continue;
    place[i] = static_cast<RowIndex>(kept.size());
    kept.push_back(parts[i]);
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (into[i] == i) continue;
    place[i] = place[into[i]];
    PaddedPart& part = kept[place[i]];
    part.rows += parts[i].rows;
    part.merged += parts[i].rows;
    part.elements += parts[i].elements;
  }
  place.back() = static_cast<RowIndex>(kept.size());  // of rows that fit none
  for (RowIndex& part : sorted.of_row) part = place[part];
  sorted.parts = std::move(kept);
}

inline Result<Rows<Tensor>> Padder::padded(const PaddedPart& part, const Batch<Tensor>& batch,
                                           Workspace* workspace) const {
  if (const Rows<Tensor>* whole = batch.whole(); whole != nullptr && whole->block() != nullptr) {
    const Tensor& block = *whole->block();  // as long as it is to be: handed on as it is
    if (block.is_contiguous() && block.shape().row_shape() == part.shape) return *whole;
  }
  const std::optional<ElementBytes> value = element_of(part.dtype, options_.value);
  if (!value.has_value()) {
    return Error(Status::failed_precondition,
                 text({"options.value: expected a number that ", to_string(part.dtype),
                       " holds, got ", number_text(options_.value)}));
  }
  GALLEY_TRY(const Shape shape, part.shape.batch_shape(static_cast<std::int64_t>(batch.size())));
  GALLEY_TRY(Tensor block, Tensor::empty(part.dtype, shape, workspace));
  auto* to = static_cast<std::byte*>(block.mutable_data());
  const std::size_t bytes = block.byte_size() / batch.size();
  for (std::size_t i = 0; i < batch.size(); ++i, to += bytes) {
    write_padded(to, batch[i], options_.axis, part.shape[options_.axis], *value);
  }
  return Rows<Tensor>::of_block(std::move(block));
}

inline Result<Rows<Tensor>> Padder::mask(const PaddedPart& part, const Batch<Tensor>& batch,
                                         Workspace* workspace) const {
  const std::int64_t length = part.shape[options_.axis];
  GALLEY_TRY(Tensor mask,
             Tensor::zeros(boolean, {static_cast<std::int64_t>(batch.size()), length}, workspace));
  auto* to = static_cast<std::byte*>(mask.mutable_data());
  for (std::size_t i = 0; i < batch.size(); ++i, to += length) {
    std::memset(to, 1, static_cast<std::size_t>(batch[i].shape()[options_.axis]));
  }
  return Rows<Tensor>::of_block(std::move(mask));
}

}  // namespace galley::inline v1::detail
