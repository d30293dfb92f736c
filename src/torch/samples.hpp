// Sample rows: what a model is checked and warmed with.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/result.hpp>
#include <galley/core/signature.hpp>
#include <galley/torch/options.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// One batch `[m, *F]` for each input, on the model's device.
using Columns = std::vector<at::Tensor>;

/// The fewest rows a model is checked with: enough for a first, a last and one between.
inline constexpr std::size_t fewest_samples = 4;

/// The signature of sample rows: an extent in which they differ is free. `names` may be empty.
///
/// Errors  failed_precondition: no rows, rows of different tensors
Result<std::vector<TensorSpec>> inputs_of(std::span<const std::string> names,
                                          const SampleRows& rows);

/// The rows of the user's that have the shapes of the first, made up to `fewest_samples` with the
/// first's elements in other orders. Throws what LibTorch throws.
///
/// Errors  failed_precondition: a row that the inputs refuse
Result<Columns> given_samples(std::span<const TensorSpec> inputs, const SampleRows& rows,
                              at::Device device);

/// Rows of random values. `growth` multiplies the extents that stand for free ones. Throws.
Columns made_samples(std::span<const TensorSpec> inputs, const FunctionOptions& options,
                     std::int64_t growth, at::Device device);

/// `rows` rows, over and over those of `columns`.
Columns repeated(const Columns& columns, std::size_t rows);

}  // namespace galley::inline v1::detail
