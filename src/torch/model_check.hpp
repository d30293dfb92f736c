// What a model is put through before it may serve.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/result.hpp>
#include <galley/core/signature.hpp>
#include <src/torch/call.hpp>
#include <src/torch/samples.hpp>

#include <span>
#include <vector>

namespace galley::inline v1::detail {

/// What the check found out.
struct CheckedModel {
  std::vector<TensorSpec> outputs;
  /// The model writes to its inputs, so that it must be given copies.
  bool writes_inputs = false;
};

/// Runs `samples` together, again, in reverse and one by one.
///
/// `as_loaded` is null, or the model as it was before eval(), which must answer the same.
/// Needs InferenceMode. Throws what cannot be put down to the model.
///
/// Errors  failed_precondition: LibTorch refuses the rows, the row count is not kept, rows depend
///         on each other, equal rows give different answers, the model changes its own memory,
///         answers otherwise in training mode, or gives other outputs than declared;
///         resource_exhausted
Result<CheckedModel> check_model(Call& call, Call* as_loaded, std::span<const TensorSpec> inputs,
                                 const Columns& samples, const FunctionOptions& options,
                                 at::Device device);

}  // namespace galley::inline v1::detail
