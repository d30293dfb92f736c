// Call: what stands behind a LibTorch servable: a batch of each input in, a batch of each output
// out.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/result.hpp>
#include <galley/core/signature.hpp>
#include <galley/torch/weights.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// Few tensors, held inline.
using Tensors = c10::SmallVector<at::Tensor, 4>;

/// A LibTorch model in whatever form. Every member throws what LibTorch throws.
class Call {
 public:
  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  virtual ~Call() = default;

  /// Puts the outputs for `inputs` in `outputs`, in the order of `bind_outputs`. Needs
  /// InferenceMode; any thread.
  virtual void operator()(std::span<const at::Tensor> inputs, Tensors& outputs) const = 0;

  /// The only output for the only input: the same, the shortest way.
  virtual at::Tensor one(const at::Tensor& input) const = 0;

  /// Runs once, fixes which outputs are given in which order and returns their names. `declared`
  /// may be empty. Called once, before anything else runs.
  virtual std::vector<std::string> bind_outputs(std::span<const at::Tensor> inputs,
                                                std::span<const TensorSpec> declared) = 0;

  /// Whether outputs are the tensors of single rows, which may differ in shape: of the first output
  /// each row's in order, then of the second. Known once outputs are bound.
  virtual bool gives_rows() const noexcept { return false; }

  /// A number that changes when the model's own memory does.
  virtual std::uint64_t fingerprint() const = 0;

  /// Puts other weights in the place of the model's.
  ///
  /// Errors  as `ReplaceWeights`
  virtual Result<void> replace_weights(ReplaceWeights&) const {
    return Error(Status::unimplemented,
                 "its weights are not replaced in place: publish a new servable to a slot");
  }
};

/// The names of `count` outputs that come by position: as declared, else `found`, else "0", "1",
/// …. Throws when another number of them is declared.
std::vector<std::string> names_by_position(std::size_t count, std::span<const TensorSpec> declared,
                                           std::vector<std::string> found = {});

/// Throws unless a call gave as many outputs as when they were named.
void check_output_count(std::size_t got, std::size_t wanted);

/// Mixes a tensor's elements into a fingerprint; undefined and not strided ones count as nothing.
std::uint64_t mix(std::uint64_t fingerprint, const at::Tensor& tensor);

}  // namespace galley::inline v1::detail
