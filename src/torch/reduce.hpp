// Frozen modules in lower precision.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/result.hpp>
#include <galley/torch/reduced_forms.hpp>

#include <string>

namespace galley::inline v1::detail {

/// What a 16-bit reduction computes in; of `int8_dynamic` float32, which it is between layers.
at::ScalarType computed_in(Reduction reduction) noexcept;

/// Changes a module whose weights are constants of its method's graph: a frozen one that nothing
/// else holds. Throws what LibTorch throws.
///
/// Errors  failed_precondition: there is nothing to reduce, or this LibTorch cannot compute so
Result<void> reduce(torch::jit::Module& frozen, const std::string& method, Reduction reduction);

}  // namespace galley::inline v1::detail
