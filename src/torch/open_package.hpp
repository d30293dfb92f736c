// An AOTInductor package as a Call, for a servable of its own or as a form of another model.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/result.hpp>
#include <galley/core/signature.hpp>
#include <galley/torch/description.hpp>
#include <galley/torch/package.hpp>
#include <src/torch/call.hpp>
#include <src/torch/forms.hpp>
#include <src/torch/package_call.hpp>
#include <src/torch/package_facts.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// A package that was found fit and loaded.
struct OpenPackage {
  std::unique_ptr<PackageCall> call;
  PackageFacts facts;
  Signature signature;  ///< What counts of what is declared and what the package says.
  PackageBatch batch;
  std::size_t runners = 0;
  TensorCount weights = {};
};

/// Opens the package at `path`: of `options`, all that says what it is and where it is to run.
/// Needs InferenceMode. May throw what LibTorch throws.
///
/// Errors  as `torch_package`, but for those of models that were run
Result<OpenPackage> open_package(const std::string& path, const PackageOptions& options);

/// `options.forms.packages` as forms of a model that takes `inputs`. A package's outputs are the
/// model's of the same names, where both name them; else they come in the same order.
std::vector<FormMaker> package_forms(const FormOptions& forms, std::vector<TensorSpec> inputs,
                                     const Device& device, const Tolerance& tolerance);

}  // namespace galley::inline v1::detail
