// Weights: named tensors put in the place of a module's parameters and buffers.
#pragma once

#include <galley/core/named_tensors.hpp>
#include <galley/core/result.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace torch::nn {
class Module;  // complete wherever one is made
}

namespace galley::inline v1 {

/// What has to fit for weights to be loaded: every name of either side, or whatever does.
enum class WeightFit : std::uint8_t { all, partial };

/// Whether a weight may be converted to the dtype that the module has, from one type of floating
/// point to another. What is out of range becomes infinite.
enum class WeightConversion : std::uint8_t { none, floating };

/// How weights are loaded.
struct WeightOptions {
  WeightFit fit = WeightFit::all;
  WeightConversion conversion = WeightConversion::none;
};

/// How a module's parameters and buffers and the weights for them fit.
struct WeightReport {
  /// One name, whose tensors are "float32 [3, 4]" and the like.
  struct Mismatch {
    std::string name = {};
    std::string got = {};
    std::string wanted = {};
    friend bool operator==(const Mismatch&, const Mismatch&) = default;
  };

  /// Those that fit.
  std::vector<std::string> fitting = {};
  /// Of the module only. A name that shares its tensor with one that fits is not missing.
  std::vector<std::string> missing = {};
  /// Of the weights only.
  std::vector<std::string> unexpected = {};
  /// Of both, with another shape or dtype; or sharing a tensor and not having equal weights.
  std::vector<Mismatch> mismatched = {};

  bool all_fit() const noexcept {
    return missing.empty() && unexpected.empty() && mismatched.empty();
  }
};

/// `3 fit; missing "a", "b"; mismatched "c": expected float32 [3], got float32 [4]`: the first few
/// of each.
std::string to_string(const WeightReport& report);

/// Puts other weights in the place of a servable's, where that was asked for when it was made
/// (`PackageOptions::replacement`): `servable.control(path, replace)` fills in the report.
///
/// Errors  unimplemented: not of this servable, or not asked for; else as `load_weights`
struct ReplaceWeights {
  std::vector<NamedTensor> weights = {};
  WeightOptions options = {};
  WeightReport report = {};
};

/// How weights fit a module; changes nothing.
///
/// Errors  invalid_argument: two weights of one name
Result<WeightReport> compare_weights(const torch::nn::Module& module,
                                     std::span<const NamedTensor> weights,
                                     WeightOptions options = {});

/// Copies weights into a module's parameters and buffers, by their names: what `load_safetensors`
/// or `load_state_dict` gives, say. A `torch::nn` holder's module is `*holder`.
///
/// Nothing is changed unless everything fits, or `WeightFit::partial` is asked for: then what fits
/// is loaded, and the report says what does not. The module keeps its tensors, their device and
/// whether they require gradients; the weights are no longer needed. Where a module is being
/// served, load into another one and publish that.
///
/// Errors   failed_precondition: not all fit, naming the first few, or in part none at all;
///          invalid_argument: two weights of one name; resource_exhausted
/// Threads  nobody else may use the module meanwhile
/// Cost     one copy of the weights; converted ones twice
Result<WeightReport> load_weights(torch::nn::Module& module, std::span<const NamedTensor> weights,
                                  WeightOptions options = {});

}  // namespace galley::inline v1
