#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <galley/torch/tensor.hpp>
#include <src/torch/describe.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/weight_targets.hpp>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace galley::inline v1 {

namespace {

using detail::WeightTarget;
using detail::WeightTargets;

/// "float32 [3, 4]" of a LibTorch tensor, also of one that galley has no form for.
std::string form_of(const at::Tensor& tensor) {
  std::string text = detail::dtype_name(tensor.scalar_type());
  text += " [";
  for (std::int64_t d = 0; d < tensor.dim(); ++d) {
    text.append(d == 0 ? "" : ", ").append(std::to_string(tensor.size(d)));
  }
  return text + "]";
}

bool fits(const Tensor& weight, const at::Tensor& target, WeightOptions options) {
  if (!weight.is_defined() || target.layout() != at::kStrided) return false;
  const at::IntArrayRef sizes = target.sizes();
  if (!std::ranges::equal(weight.shape().extents(), std::span(sizes.data(), sizes.size()))) {
    return false;
  }
  const Result<DType> dtype = from_torch(target.scalar_type());
  if (!dtype.has_value()) return false;
  return *dtype == weight.dtype() || (options.conversion == WeightConversion::floating &&
                                      is_floating(*dtype) && is_floating(weight.dtype()));
}

/// What is loaded into what, and the report of it.
struct Plan {
  struct Pair {
    const WeightTarget* target;
    const NamedTensor* weight;
  };
  std::vector<Pair> pairs = {};
  WeightReport report = {};
};

bool is_same_tensor(const at::Tensor& a, const at::Tensor& b) {
  return a.is_same(b) || (a.data_ptr() == b.data_ptr() && a.sizes() == b.sizes() &&
                          a.strides() == b.strides() && a.scalar_type() == b.scalar_type());
}

/// The targets that weights were found for, by where their memory begins.
class SharedTensors {
 public:
  /// The weight for the same tensor under another name, or null.
  const NamedTensor* find(const at::Tensor& tensor) const {
    if (!has_memory(tensor)) return nullptr;
    const auto [first, last] = found_.equal_range(tensor.data_ptr());
    for (auto at = first; at != last; ++at) {
      if (is_same_tensor(at->second.target->tensor, tensor)) return at->second.weight;
    }
    return nullptr;
  }
  void add(const Plan::Pair& pair) {
    if (has_memory(pair.target->tensor)) found_.emplace(pair.target->tensor.data_ptr(), pair);
  }

 private:
  static bool has_memory(const at::Tensor& tensor) {
    return tensor.layout() == at::kStrided && tensor.numel() > 0 && tensor.has_storage();
  }
  std::unordered_multimap<const void*, Plan::Pair> found_;
};

using ByName = std::unordered_map<std::string_view, const NamedTensor*>;

Result<ByName> by_name(std::span<const NamedTensor> weights) {
  ByName named;
  named.reserve(weights.size());
  for (const NamedTensor& weight : weights) {
    if (!named.emplace(weight.name, &weight).second) {
      return Error(Status::invalid_argument,
                   detail::text({"weights: two of the name \"", weight.name, "\""}));
    }
  }
  return named;
}

Result<Plan> make_plan(const WeightTargets& targets, std::span<const NamedTensor> weights,
                       WeightOptions options) {
  GALLEY_TRY(ByName named, by_name(weights));
  Plan plan;
  SharedTensors shared;
  std::vector<const WeightTarget*> without;
  for (const WeightTarget& target : targets) {
    const auto found = named.find(target.name);
    if (found == named.end()) {
      without.push_back(&target);
      continue;
    }
    const NamedTensor& weight = *found->second;
    named.erase(found);
    const NamedTensor* other = shared.find(target.tensor);
    if (!fits(weight.tensor, target.tensor, options)) {
      plan.report.mismatched.push_back(
          {target.name, to_string(weight.tensor), form_of(target.tensor)});
    } else if (other != nullptr && !(other->tensor == weight.tensor)) {
      plan.report.mismatched.push_back(
          {target.name, "other values", "those of \"" + other->name + "\", whose tensor it is"});
    } else {
      plan.pairs.push_back({&target, &weight});
      shared.add(plan.pairs.back());
      plan.report.fitting.push_back(target.name);
    }
  }
  for (const WeightTarget* target : without) {
    if (shared.find(target->tensor) == nullptr) plan.report.missing.push_back(target->name);
  }
  for (const NamedTensor& weight : weights) {
    if (named.contains(weight.name)) plan.report.unexpected.push_back(weight.name);
  }
  return plan;
}

/// Copies what is planned. All that may fail is done before anything is changed.
void apply(const Plan& plan) {
  // Parameters require gradients, and a module's tensors may be of this mode or not.
  const c10::InferenceMode inference;
  std::vector<at::Tensor> sources;
  sources.reserve(plan.pairs.size());
  for (const Plan::Pair& pair : plan.pairs) {
    const Result<at::Tensor> source = to_torch(pair.weight->tensor);
    if (!source.has_value()) throw std::runtime_error(source.error().detail);
    const at::Tensor& target = pair.target->tensor;
    sources.push_back(source->to(target.device(), target.scalar_type()));
  }
  for (std::size_t i = 0; i < sources.size(); ++i) {
    plan.pairs[i].target->tensor.copy_(sources[i]);
  }
}

constexpr std::size_t most_named = 4;

/// `missing "a", "b" and 3 more`.
template <class Items, class Text>
void append_some(std::string& to, std::string_view what, const Items& items, Text&& text_of) {
  if (items.empty()) return;
  to.append("; ").append(what);
  for (std::size_t i = 0; i < std::min(items.size(), most_named); ++i) {
    to.append(i == 0 ? " " : ", ").append(text_of(items[i]));
  }
  if (items.size() > most_named) {
    to.append(" and ").append(std::to_string(items.size() - most_named)).append(" more");
  }
}

}  // namespace

std::string to_string(const WeightReport& report) {
  const auto quoted = [](const std::string& name) { return "\"" + name.substr(0, 100) + "\""; };
  std::string text = std::to_string(report.fitting.size()) + " fit";
  append_some(text, "missing", report.missing, quoted);
  append_some(text, "unexpected", report.unexpected, quoted);
  append_some(text, "mismatched", report.mismatched, [&](const WeightReport::Mismatch& m) {
    return detail::text({quoted(m.name), ": expected ", m.wanted, ", got ", m.got});
  });
  return text;
}

Result<WeightReport> compare_weights(const torch::nn::Module& module,
                                     std::span<const NamedTensor> weights, WeightOptions options) {
  try {
    return detail::compare_weights(detail::weight_targets(module), weights, options);
  } catch (...) {
    return detail::caught();
  }
}

Result<WeightReport> load_weights(torch::nn::Module& module, std::span<const NamedTensor> weights,
                                  WeightOptions options) {
  try {
    return detail::load_weights(detail::weight_targets(module), weights, options);
  } catch (...) {
    return detail::caught();
  }
}

namespace detail {

WeightTargets weight_targets(const torch::nn::Module& module) {
  WeightTargets targets;
  for (const auto& tensors : {module.named_parameters(), module.named_buffers()}) {
    for (const auto& item : tensors) {
      if (item.value().defined()) targets.push_back({item.key(), item.value()});
    }
  }
  return targets;
}

WeightTargets weight_targets(const torch::jit::Module& module) {
  WeightTargets targets;
  for (const auto& item : module.named_parameters()) {
    if (item.value.defined()) targets.push_back({item.name, item.value});
  }
  for (const auto& item : module.named_buffers()) {
    if (item.value.defined()) targets.push_back({item.name, item.value});
  }
  return targets;
}

Result<WeightReport> compare_weights(const WeightTargets& targets,
                                     std::span<const NamedTensor> weights, WeightOptions options) {
  GALLEY_TRY(Plan plan, make_plan(targets, weights, options));
  return std::move(plan.report);
}

Result<WeightReport> load_weights(const WeightTargets& targets,
                                  std::span<const NamedTensor> weights, WeightOptions options) {
  GALLEY_TRY(Plan plan, make_plan(targets, weights, options));
  const bool some_fit = !plan.pairs.empty();
  const bool enough = options.fit == WeightFit::partial ? some_fit : plan.report.all_fit();
  if (!enough && !(targets.empty() && weights.empty())) {
    return refused("the weights do not fit the module: " + to_string(plan.report));
  }
  try {
    apply(plan);
  } catch (...) {
    return within("loading weights", caught());
  }
  return std::move(plan.report);
}

}  // namespace detail

}  // namespace galley::inline v1
