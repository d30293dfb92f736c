// The door of a LibTorch model: rows are checked going in, outputs are made rows going out.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/named_tensors.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/signature.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/core/text.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// The rows that are not what a model takes.
template <class In>
Casualties check_inputs(const Signature& signature, const Batch<In>& rows) {
  if constexpr (std::same_as<In, Tensor>) {
    return signature.inputs.front().check_rows(rows);
  } else {
    return check_rows(std::span<const TensorSpec>(signature.inputs), rows);
  }
}

/// What `serve(rows, survivors)` answers to the rows that a model takes, the others told what is
/// wrong with them; `survivors` is null where all are taken, else which of `rows` they were.
template <class Out, class In, class Serve>
Outcomes<Out> serve_taken(std::string_view name, const Signature& signature, const Batch<In>& rows,
                          Serve&& serve) {
  Casualties bad = check_inputs(signature, rows);
  const std::vector<RowIndex>* all = nullptr;
  if (bad.empty()) [[likely]]
    return serve(rows, all);
  for (Casualty& casualty : bad.mutable_span()) {
    casualty.error = within(name, std::move(casualty.error));
  }
  if (bad.size() == rows.size()) return Outcomes<Out>(Rows<Out>(), std::move(bad));
  const std::vector<RowIndex> survivors = survivors_of(rows.size(), bad);
  std::vector<RowIndex> places;
  places.reserve(survivors.size());
  for (const RowIndex row : survivors) places.push_back(static_cast<RowIndex>(rows.place(row)));
  return with_earlier(std::move(bad), serve(rows.at_places(places), &survivors));
}

[[gnu::noinline]] inline std::string wrong_row_count(const TensorSpec& spec,
                                                     const at::Tensor& output, std::size_t rows) {
  const std::string got = output.dim() == 0 ? "a scalar" : std::to_string(output.size(0));
  return text({"output \"", spec.name, "\": expected ", std::to_string(rows),
               rows == 1 ? " row" : " rows", ", got ", got});
}

/// Throws unless an output has a row for each of the input's.
inline void check_row_count(const TensorSpec& spec, const at::Tensor& output, std::size_t rows) {
  const at::IntArrayRef sizes = output.sizes();
  if (!sizes.empty() && sizes[0] == static_cast<std::int64_t>(rows)) [[likely]]
    return;
  throw std::runtime_error(wrong_row_count(spec, output, rows));
}

/// A model's outputs, each the rows of one, as its rows. Throws where they cannot be.
template <class Out>
Rows<Out> rows_of(std::vector<NamedColumn>&& columns) {
  if constexpr (std::same_as<Out, Tensor>) {
    return std::move(columns.front().rows);
  } else {
    Result<Rows<NamedTensors>> named = Rows<NamedTensors>::of_columns(std::move(columns));
    if (!named.has_value()) throw std::runtime_error(named.error().detail);
    return *std::move(named);
  }
}

}  // namespace galley::inline v1::detail
