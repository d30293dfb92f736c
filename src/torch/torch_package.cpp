#include <src/torch/torch_headers.hpp>

#include <galley/torch/package.hpp>
#include <galley/torch/tensor.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/model.hpp>
#include <src/torch/open_package.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

namespace galley::inline v1 {

namespace {

void describe_package(ModelDescription& about, const detail::OpenPackage& package) {
  const detail::PackageFacts& facts = package.facts;
  about.format = ModelFormat::aot_inductor;
  about.package = PackageDescription{.device = facts.device,
                                     .platform = facts.platform,
                                     .machine = facts.machine,
                                     .instructions = facts.instructions,
                                     .libtorch = facts.libtorch,
                                     .batch = package.batch,
                                     .runners = package.runners};
  about.constants = package.weights;
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
  if (!options.forms.reduced.tried.empty()) {
    return detail::refused(
        "options.forms.reduced: a package's precision is what it was exported in; expected none");
  }
  detail::ModelDraft draft;
  try {
    GALLEY_TRY(detail::OpenPackage package, detail::open_package(path, options));
    draft.kind = "torch_package";
    GALLEY_TRY(draft.device, to_torch(options.device));
    describe_package(draft.about, package);
    draft.about.name = options.name;
    draft.call = std::move(package.call);
    draft.form = "package " + std::filesystem::path(path).filename().string();
    if (options.device.is_cpu() && !package.signature.inputs.empty()) {
      draft.other_forms = detail::package_forms(options.forms, package.signature.inputs,
                                                options.device, options.tolerance);
    }
    draft.form_options = options.forms;
    draft.options = function_options(std::move(options), std::move(package.signature));
  } catch (...) {
    return detail::caught(Status::failed_precondition);
  }
  return detail::Model::make(std::move(draft));
}

}  // namespace

template <TensorRow In, TensorRow Out>
Result<Servable<In, Out>> torch_package(const std::string& path, PackageOptions options) {
  try {
    const std::string where = "\"" + path + "\"";
    if (options.name.empty()) options.name = std::filesystem::path(path).stem().string();
    const c10::InferenceMode inference;
    auto model = make_model(path, std::move(options));
    if (!model.has_value()) return within(where, std::move(model).error());
    auto servable = detail::serve_model<In, Out>(*std::move(model));
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
