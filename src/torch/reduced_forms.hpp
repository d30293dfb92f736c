// Forms of TorchScript models in lower precision.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/result.hpp>
#include <galley/torch/reduced_forms.hpp>
#include <src/torch/forms.hpp>
#include <src/torch/script_call.hpp>

#include <vector>

namespace galley::inline v1::detail {

/// The forms of a module that `reduced` names.
///
/// Errors  failed_precondition: no error is allowed, or none that there can be
Result<std::vector<FormMaker>> reduced_forms(const ReducedForms& reduced,
                                             const torch::jit::Module& module,
                                             const ScriptCall::Signature& signature,
                                             Profiling profiling);

}  // namespace galley::inline v1::detail
