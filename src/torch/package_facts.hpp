// PackageFacts: what an AOTInductor package says of itself.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/signature.hpp>
#include <galley/torch/package.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// What LibTorch writes into every package, and what examples/export_model.py adds.
struct PackageFacts {
  std::string device;        // "cpu", "cuda"
  std::string platform;      // "linux"
  std::string machine;       // "x86_64"
  std::string instructions;  // "AVX512 AVX512_VNNI"
  std::string processor;     // "avx avx2 fma3"; empty where it does not say
  std::string libtorch;      // "2.13.0+cpu"; empty where it does not say
  Signature signature;       // empty where it does not say
  PackageBatch batch;        // zeros where it does not say
  /// The parameters and buffers that it computes with, those too that its code has as numbers;
  /// nothing where it does not say.
  std::optional<std::vector<std::string>> weights;

  /// Errors  data_loss: what was added cannot be understood
  static Result<PackageFacts> of(const std::map<std::string, std::string>& metadata);

  /// Whether this program, on this machine and with this LibTorch, may run it on `device`.
  ///
  /// Errors  unimplemented: it was made for another; the text names both
  Result<void> check(const Device& wanted) const;
};

/// What of a package's signature and of the user's counts: the user's where both are there.
///
/// Errors  failed_precondition: they contradict each other
Result<std::vector<TensorSpec>> agreed(std::string_view role, std::vector<TensorSpec> declared,
                                       const std::vector<TensorSpec>& found);

/// The same of batch sizes.
///
/// Errors  failed_precondition: they contradict each other, are none, or are not known
Result<PackageBatch> agreed(PackageBatch declared, PackageBatch found);

}  // namespace galley::inline v1::detail
