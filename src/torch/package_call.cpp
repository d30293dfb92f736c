#include <src/torch/torch_headers.hpp>

#include <src/torch/output_names.hpp>
#include <src/torch/package_call.hpp>
#include <src/torch/samples.hpp>
#include <src/torch/weight_targets.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <unordered_map>
#include <utility>

namespace galley::inline v1::detail {

namespace {

// Batches of this size are tried where a package does not say what it takes: of one whose size is
// fixed, and no larger, they come back shorter.
constexpr std::int64_t tried_batch = 64;

// Rows `first` … of a batch, its last row again and again after them.
at::Tensor filled_up(const at::Tensor& batch, std::int64_t first, std::int64_t count,
                     std::int64_t wanted) {
  const at::Tensor rows = batch.narrow(0, first, count);
  if (count == wanted) return rows;
  std::vector<std::int64_t> sizes = batch.sizes().vec();
  sizes.front() = wanted - count;
  return at::cat({rows, rows.narrow(0, count - 1, 1).expand(sizes)});
}

void check_rows(const at::Tensor& output, std::size_t index, std::int64_t wanted) {
  if (output.dim() > 0 && output.size(0) == wanted) return;
  const std::string got = output.dim() == 0 ? "a scalar" : std::to_string(output.size(0));
  throw std::runtime_error("output " + std::to_string(index) + ": expected " +
                           std::to_string(wanted) + " rows, got " + got);
}

}  // namespace

PackageCall::PackageCall(PackageFolder folder, std::unique_ptr<PackageLoader> loader, About about)
    : folder_(std::move(folder)),
      loader_(std::move(loader)),
      about_(std::move(about)),
      gate_(about_.replaceable.empty() ? nullptr : std::make_unique<CallGate>()),
      least_(static_cast<std::int64_t>(about_.batch.min)),
      most_(static_cast<std::int64_t>(about_.batch.max)) {}

// Compiled code takes the strides of what it was exported with, and does not look.
void PackageCall::run(std::span<const at::Tensor> inputs, Tensors& outputs) const {
  Tensors contiguous;
  for (const at::Tensor& input : inputs) contiguous.push_back(input.contiguous());
  loader_->run({contiguous.data(), contiguous.size()}, outputs);
}

[[gnu::hot]] at::Tensor PackageCall::one(const at::Tensor& input) const {
  if (takes(input.size(0)) && input.is_contiguous() && gate_ == nullptr) [[likely]]
    return loader_->one(input);
  Tensors outputs;
  (*this)({&input, 1}, outputs);
  check_output_count(outputs.size(), 1);
  return std::move(outputs.front());
}

void PackageCall::operator()(std::span<const at::Tensor> inputs, Tensors& outputs) const {
  if (gate_ == nullptr) [[likely]]
    return pass(inputs, outputs);
  const std::shared_lock within(*gate_);  // all parts of a batch by the same weights
  pass(inputs, outputs);
}

void PackageCall::pass(std::span<const at::Tensor> inputs, Tensors& outputs) const {
  if (takes(inputs.front().size(0))) [[likely]] {
    run(inputs, outputs);
  } else {
    run_in_parts(inputs, outputs);
  }
  if (order_.empty()) [[likely]]
    return;
  check_output_count(outputs.size(), order_.size());
  Tensors ordered;
  for (const std::size_t i : order_) ordered.push_back(std::move(outputs[i]));
  outputs = std::move(ordered);
}

void PackageCall::run_part(std::span<const at::Tensor> inputs, std::int64_t first,
                           std::int64_t count, Tensors& outputs) const {
  const std::int64_t wanted = std::max(count, least_);
  Tensors part;
  for (const at::Tensor& input : inputs) part.push_back(filled_up(input, first, count, wanted));
  run({part.data(), part.size()}, outputs);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    check_rows(outputs[i], i, wanted);
    if (count != wanted) outputs[i] = outputs[i].narrow(0, 0, count);
  }
}

void PackageCall::run_in_parts(std::span<const at::Tensor> inputs, Tensors& outputs) const {
  const std::int64_t rows = inputs.front().size(0);
  if (rows <= most_) return run_part(inputs, 0, rows, outputs);
  std::vector<std::vector<at::Tensor>> parts;  // of each output
  for (std::int64_t first = 0; first < rows; first += most_) {
    Tensors part;
    run_part(inputs, first, std::min(most_, rows - first), part);
    parts.resize(part.size());
    for (std::size_t i = 0; i < part.size(); ++i) parts[i].push_back(std::move(part[i]));
  }
  for (const std::vector<at::Tensor>& output : parts) outputs.push_back(at::cat(output));
}

std::vector<std::string> PackageCall::bind_outputs(std::span<const at::Tensor> inputs,
                                                   std::span<const TensorSpec> declared) {
  const Columns samples(inputs.begin(), inputs.end());
  Tensors outputs;
  if (!about_.batch_is_known) {
    const std::int64_t rows = std::clamp(tried_batch, least_, most_);
    const Columns many = repeated(samples, static_cast<std::size_t>(rows));
    run(many, outputs);
    for (std::size_t i = 0; i < outputs.size(); ++i) check_rows(outputs[i], i, rows);
    outputs.clear();
  }
  (*this)(inputs, outputs);
  if (by_name_) order_ = order_by_name(declared, about_.output_names, outputs.size());
  return names_by_position(outputs.size(), declared, about_.output_names);
}

Result<void> PackageCall::replace_weights(ReplaceWeights& request) const {
  if (gate_ == nullptr) return Call::replace_weights(request);
  const std::lock_guard one_at_a_time(replacing_);
  const std::unordered_map<std::string, at::Tensor> in_use = loader_->constants();
  std::unordered_map<std::string, at::Tensor> weights;
  WeightTargets targets;
  for (const std::string& name : about_.replaceable) {
    targets.push_back({name, in_use.at(name).clone()});
    weights.emplace(name, targets.back().tensor);
  }
  GALLEY_TRY(request.report, load_weights(targets, request.weights, request.options));
  loader_->set_other_constants(std::move(weights));
  gate_->alone([this] { loader_->swap_constants(); });
  return {};
}

std::uint64_t PackageCall::fingerprint() const {
  const auto found = loader_->constants();
  const std::map<std::string, at::Tensor> by_name(found.begin(), found.end());
  std::uint64_t all = 1;
  for (const auto& [name, tensor] : by_name) all = mix(all, tensor);
  return all;
}

}  // namespace galley::inline v1::detail
