#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <galley/torch/package.hpp>
#include <galley/torch/tensor.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/model.hpp>
#include <src/torch/package_call.hpp>
#include <src/torch/package_facts.hpp>
#include <src/torch/package_folder.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace galley::inline v1 {

namespace {

using detail::PackageCall;
using detail::PackageFacts;
using detail::PackageFolder;
using detail::PackageLoader;

Error prefixed(std::string_view what, Error error) {
  error.detail = detail::text({what, error.detail});
  return error;
}

Result<PackageFacts> facts_of(const PackageFolder& folder, const std::string& model) {
  try {
    return PackageFacts::of(PackageLoader::metadata(folder.path(), model));
  } catch (...) {
    return prefixed("the package's metadata cannot be read: ", detail::caught(Status::data_loss));
  }
}

Result<std::unique_ptr<PackageLoader>> load(const PackageFolder& folder, const std::string& model,
                                            std::size_t runners, at::Device device) {
  try {
    return std::make_unique<PackageLoader>(folder.path(), model, runners, device.index());
  } catch (...) {
    return prefixed(
        detail::text({"it cannot be loaded by LibTorch ", detail::libtorch_version(), ": "}),
        detail::caught(Status::failed_precondition));
  }
}

std::vector<std::string> names_of(const std::vector<TensorSpec>& specs) {
  std::vector<std::string> names;
  for (const TensorSpec& spec : specs) names.push_back(spec.name);
  return names;
}

void add_facts(detail::ModelDraft& draft, const PackageFacts& facts, const PackageLoader& loader,
               const PackageBatch& batch, std::size_t runners) {
  std::int64_t elements = 0;
  std::uint64_t bytes = 0;
  for (const auto& [name, tensor] : loader.constants()) {
    elements += tensor.numel();
    bytes += tensor.nbytes();
  }
  draft.facts.emplace_back("format", "AOTInductor");
  draft.facts.emplace_back("device", facts.device);
  draft.facts.emplace_back("instructions", facts.instructions);
  draft.facts.emplace_back("batch_min", std::to_string(batch.min));
  draft.facts.emplace_back("batch_max", std::to_string(batch.max));
  draft.facts.emplace_back("runners", std::to_string(runners));
  draft.facts.emplace_back("parameters", std::to_string(elements));
  draft.facts.emplace_back("bytes", std::to_string(bytes));
}

FunctionOptions function_options(PackageOptions&& options, Signature&& signature) {
  return {.inputs = std::move(signature.inputs),
          .outputs = std::move(signature.outputs),
          .samples = std::move(options.samples),
          .sample_sizes = std::move(options.sample_sizes),
          .seed = options.seed,
          .tolerance = options.tolerance,
          .warm_batches = std::move(options.warm_batches),
          .threads = options.threads};
}

Result<std::shared_ptr<const detail::Model>> make_model(const std::string& path,
                                                        PackageOptions options) {
  if (!PackageLoader::exists()) {
    return Error(Status::unimplemented,
                 detail::text({"LibTorch ", detail::libtorch_version(),
                               " has no loader of AOTInductor packages; 2.8 and later have"}));
  }
  GALLEY_TRY(const at::Device device, to_torch(options.device));
  GALLEY_TRY(PackageFolder folder, PackageFolder::open(path, options.model, options.unpack_in));
  GALLEY_TRY(const PackageFacts facts, facts_of(folder, options.model));
  GALLEY_TRY(facts.check(options.device));

  Signature signature;
  GALLEY_TRY(signature.inputs,
             detail::agreed("input", std::move(options.inputs), facts.signature.inputs));
  GALLEY_TRY(signature.outputs,
             detail::agreed("output", std::move(options.outputs), facts.signature.outputs));
  GALLEY_TRY(const PackageBatch batch, detail::agreed(options.batch, facts.batch));

  const std::size_t threads = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t runners = options.runners != 0 ? options.runners : threads;
  GALLEY_TRY(std::unique_ptr<PackageLoader> loader, load(folder, options.model, runners, device));

  detail::ModelDraft draft;
  draft.kind = "torch_package";
  draft.device = device;
  try {
    add_facts(draft, facts, *loader, batch, runners);
  } catch (...) {
    return detail::caught(Status::failed_precondition);
  }
  draft.call = std::make_unique<PackageCall>(
      std::move(folder), std::move(loader),
      PackageCall::About{.batch = batch,
                         .batch_is_known = facts.batch != PackageBatch(),
                         .output_names = names_of(facts.signature.outputs)});
  draft.options = function_options(std::move(options), std::move(signature));
  return detail::Model::make(std::move(draft));
}

}  // namespace

template <TensorRow In, TensorRow Out>
Result<Servable<In, Out>> torch_package(const std::string& path, PackageOptions options) {
  try {
    const std::string where = "\"" + path + "\"";
    std::string name =
        options.name.empty() ? std::filesystem::path(path).stem().string() : options.name;
    const c10::InferenceMode inference;
    auto model = make_model(path, std::move(options));
    if (!model.has_value()) return within(where, std::move(model).error());
    auto servable = detail::serve_model<In, Out>(std::move(name), *std::move(model));
    if (!servable.has_value()) return within(where, std::move(servable).error());
    return servable;
  } catch (...) {
    return detail::caught();
  }
}

template Result<Servable<Tensor, Tensor>> torch_package(const std::string&, PackageOptions);
template Result<Servable<Tensor, NamedTensors>> torch_package(const std::string&, PackageOptions);
template Result<Servable<NamedTensors, Tensor>> torch_package(const std::string&, PackageOptions);
template Result<Servable<NamedTensors, NamedTensors>> torch_package(const std::string&,
                                                                    PackageOptions);

}  // namespace galley::inline v1
