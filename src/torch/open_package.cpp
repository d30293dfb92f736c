#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <galley/torch/tensor.hpp>
#include <src/torch/describe.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/open_package.hpp>
#include <src/torch/package_call.hpp>
#include <src/torch/package_folder.hpp>
#include <src/torch/torch_compat.hpp>

#include <algorithm>
#include <filesystem>
#include <thread>
#include <utility>

namespace galley::inline v1::detail {

namespace {

Error prefixed(std::string_view what, Error error) {
  error.detail = text({what, error.detail});
  return error;
}

Result<PackageFacts> facts_of(const PackageFolder& folder, const std::string& model) {
  try {
    return PackageFacts::of(PackageLoader::metadata(folder.path(), model));
  } catch (...) {
    return prefixed("the package's metadata cannot be read: ", caught(Status::data_loss));
  }
}

Result<std::unique_ptr<PackageLoader>> load(const PackageFolder& folder, const std::string& model,
                                            std::size_t runners, at::Device device) {
  try {
    return std::make_unique<PackageLoader>(folder.path(), model, runners, device);
  } catch (...) {
    return prefixed(text({"it cannot be loaded by LibTorch ", libtorch_version(), ": "}),
                    caught(Status::failed_precondition));
  }
}

std::vector<std::string> output_names_of(const PackageFacts& facts) {
  std::vector<std::string> names;
  for (const TensorSpec& spec : facts.signature.outputs) names.push_back(spec.name);
  return names;
}

/// The weights that may be replaced.
///
/// Errors  failed_precondition: they are not known, or some are not constants of the package
Result<std::vector<std::string>> replaceable_weights(
    const std::optional<std::vector<std::string>>& weights,
    const std::unordered_map<std::string, at::Tensor>& constants) {
  const auto not_replaceable = [](const std::string& why) {
    return refused(text({"options.replacement: its weights cannot be replaced in place: ", why,
                         "; publish a new package to a slot"}));
  };
  if (!weights.has_value()) return not_replaceable("the package does not say which it has");
  if (weights->empty()) return not_replaceable("it has none");
  std::string in_code;
  for (const std::string& name : *weights) {
    if (constants.contains(name)) continue;
    in_code.append(in_code.empty() ? "\"" : ", \"").append(name).append("\"");
  }
  if (!in_code.empty()) return not_replaceable(in_code + " are part of its code");
  return *weights;
}

}  // namespace

Result<OpenPackage> open_package(const std::string& path, const PackageOptions& options) {
  if (!PackageLoader::exists()) {
    return Error(Status::unimplemented,
                 text({"LibTorch ", libtorch_version(),
                       " has no loader of AOTInductor packages; 2.8 and later have"}));
  }
  if (options.replacement == WeightReplacement::in_place) {
    if (!options.forms.packages.empty()) {
      return Error(Status::invalid_argument,
                   "options.replacement: the packages in options.forms would keep their weights");
    }
    if (!options.device.is_cpu()) {
      return Error(Status::unimplemented,
                   text({"options.replacement: weights are replaced in place on a CPU only, got ",
                         to_string(options.device), ": publish a new package to a slot"}));
    }
  }
  OpenPackage package;
  GALLEY_TRY(const at::Device device, to_torch(options.device));
  const std::filesystem::path unpack_in = options.unpack_in.empty()
                                              ? std::filesystem::temp_directory_path()
                                              : std::filesystem::path(options.unpack_in);
  GALLEY_TRY(PackageFolder folder, PackageFolder::open(path, options.model, unpack_in));
  GALLEY_TRY(package.facts, facts_of(folder, options.model));
  const PackageFacts& facts = package.facts;
  GALLEY_TRY(facts.check(options.device));
  GALLEY_TRY(package.signature.inputs, agreed("input", options.inputs, facts.signature.inputs));
  GALLEY_TRY(package.signature.outputs, agreed("output", options.outputs, facts.signature.outputs));
  GALLEY_TRY(package.batch, agreed(options.batch, facts.batch));

  const std::size_t threads = std::max(1U, std::thread::hardware_concurrency());
  package.runners = options.runners != 0 ? options.runners : threads;
  GALLEY_TRY(std::unique_ptr<PackageLoader> loader,
             load(folder, options.model, package.runners, device));
  // On a processor all there is has been mapped or read; other devices read files when they need
  // them.
  if (device.is_cpu()) folder.remove_own();
  TensorCounter counter;
  const std::unordered_map<std::string, at::Tensor> constants = loader->constants();
  for (const auto& [name, tensor] : constants) counter.add(package.weights, tensor);
  std::vector<std::string> replaceable;
  if (options.replacement == WeightReplacement::in_place) {
    GALLEY_TRY(replaceable, replaceable_weights(facts.weights, constants));
  }
  package.call = std::make_unique<PackageCall>(
      std::move(folder), std::move(loader),
      PackageCall::About{.batch = package.batch,
                         .batch_is_known = facts.batch != PackageBatch(),
                         .output_names = output_names_of(facts),
                         .replaceable = std::move(replaceable)});
  return package;
}

std::vector<FormMaker> package_forms(const FormOptions& forms, std::vector<TensorSpec> inputs,
                                     const Device& device, const Tolerance& tolerance) {
  std::vector<FormMaker> makers;
  for (const std::string& path : forms.packages) {
    PackageOptions options;
    options.inputs = inputs;
    options.device = device;
    const auto make = [path, options]() -> Result<std::unique_ptr<Call>> {
      GALLEY_TRY(OpenPackage package, open_package(path, options));
      package.call->match_outputs_by_name();
      return std::unique_ptr<Call>(std::move(package.call));
    };
    makers.push_back(
        {"package " + std::filesystem::path(path).filename().string(), make, tolerance});
  }
  return makers;
}

}  // namespace galley::inline v1::detail
