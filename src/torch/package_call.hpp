// PackageCall: a model in an AOTInductor package as a Call.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/torch/package.hpp>
#include <src/torch/call.hpp>
#include <src/torch/call_gate.hpp>
#include <src/torch/package_folder.hpp>
#include <src/torch/torch_compat.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// A package's model, called with batches of any size.
class PackageCall final : public Call {
 public:
  /// What is known of the package before it is called.
  struct About {
    PackageBatch batch;
    /// The package says so itself; else it is looked whether large batches are kept.
    bool batch_is_known = false;
    /// What the package calls its outputs; may be empty.
    std::vector<std::string> output_names = {};
    /// Which of its constants may be replaced; none where that was not asked for.
    std::vector<std::string> replaceable = {};
  };

  PackageCall(PackageFolder folder, std::unique_ptr<PackageLoader> loader, About about);

  /// From `bind_outputs` on the outputs come in the order of those declared, by their names, where
  /// both the package and the declaration have names. To be called before it.
  void match_outputs_by_name() noexcept { by_name_ = true; }

  void operator()(std::span<const at::Tensor> inputs, Tensors& outputs) const override;
  at::Tensor one(const at::Tensor& input) const override;
  std::vector<std::string> bind_outputs(std::span<const at::Tensor> inputs,
                                        std::span<const TensorSpec> declared) override;
  std::uint64_t fingerprint() const override;
  Result<void> replace_weights(ReplaceWeights& request) const override;

 private:
  void pass(std::span<const at::Tensor> inputs, Tensors& outputs) const;
  bool takes(std::int64_t rows) const noexcept { return rows >= least_ && rows <= most_; }
  void run(std::span<const at::Tensor> inputs, Tensors& outputs) const;
  void run_part(std::span<const at::Tensor> inputs, std::int64_t first, std::int64_t count,
                Tensors& outputs) const;
  void run_in_parts(std::span<const at::Tensor> inputs, Tensors& outputs) const;

  PackageFolder folder_;  // removed after the loader
  std::unique_ptr<const PackageLoader> loader_;
  About about_;
  std::unique_ptr<CallGate> gate_;  // null: nothing is replaced, and every call passes
  mutable std::mutex replacing_;
  std::int64_t least_;
  std::int64_t most_;
  bool by_name_ = false;
  std::vector<std::size_t> order_ = {};  // of the package's outputs; empty: as they come
};

}  // namespace galley::inline v1::detail
