// WeightTargets: the parameters and buffers that weights are loaded into, of whatever module.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/named_tensors.hpp>
#include <galley/core/result.hpp>
#include <galley/torch/weights.hpp>

#include <span>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// A parameter or buffer by its full name.
struct WeightTarget {
  std::string name;
  at::Tensor tensor;
};
using WeightTargets = std::vector<WeightTarget>;

/// Those of a module. Throws what LibTorch throws.
WeightTargets weight_targets(const torch::nn::Module& module);
WeightTargets weight_targets(const torch::jit::Module& module);

/// As `compare_weights` and `load_weights`.
Result<WeightReport> compare_weights(const WeightTargets& targets,
                                     std::span<const NamedTensor> weights, WeightOptions options);
Result<WeightReport> load_weights(const WeightTargets& targets,
                                  std::span<const NamedTensor> weights, WeightOptions options);

}  // namespace galley::inline v1::detail
