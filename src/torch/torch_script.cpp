#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <galley/torch/script.hpp>
#include <galley/torch/tensor.hpp>
#include <src/torch/archive.hpp>
#include <src/torch/describe.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/model.hpp>
#include <src/torch/open_package.hpp>
#include <src/torch/reduced_forms.hpp>
#include <src/torch/script_call.hpp>
#include <src/torch/stateful_model.hpp>
#include <src/torch/torch_compat.hpp>
#include <src/torch/weight_targets.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <istream>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace {

using torch::jit::Module;

Result<Module> load(std::istream& in, at::Device device) {
  GALLEY_TRY(detail::check_archive(in, "TorchScript model"));
  try {
    return torch::jit::load(in, device);
  } catch (...) {
    Error error = detail::caught(Status::data_loss);
    error.detail = "no readable TorchScript model: " + error.detail;
    return error;
  }
}

Result<Module> load(const std::string& path, at::Device device) {
  GALLEY_TRY(std::ifstream in, detail::open_archive(path));
  return load(in, device);
}

void add_options(ScriptDescription& script, const ScriptOptions& options) {
  script.method = options.method;
  script.arguments = options.arguments;
  script.rows = options.rows;
  script.freeze = options.freeze;
  script.optimize = options.optimize;
  script.profiling = options.profiling;
}

FunctionOptions function_options(ScriptOptions options) {
  return {.inputs = std::move(options.inputs),
          .outputs = std::move(options.outputs),
          .samples = std::move(options.samples),
          .sample_sizes = std::move(options.sample_sizes),
          .seed = options.seed,
          .tolerance = options.tolerance,
          .warm_batches = std::move(options.warm_batches),
          .threads = options.threads};
}

detail::ScriptCall::Form form_of(ScriptForm form, Profiling profiling) {
  using Layout = detail::ScriptCall::Layout;
  using Convolutions = detail::ScriptCall::Convolutions;
  const bool optimized =
      form == ScriptForm::optimized || form == ScriptForm::optimized_channels_last;
  const bool images_last =
      form == ScriptForm::channels_last || form == ScriptForm::optimized_channels_last;
  return {.freeze = Freeze::yes,
          .optimize = optimized ? Optimize::for_inference : Optimize::no,
          .profiling = profiling,
          .layout = images_last ? Layout::channels_last : Layout::contiguous,
          .convolutions = form == ScriptForm::convolutions ? Convolutions::in_own_layout
                                                           : Convolutions::as_written};
}

/// What the model is called as `options` say it is.
std::string own_form(const ScriptOptions& options) {
  if (options.freeze == Freeze::no) {
    return options.optimize == Optimize::no ? "as saved" : "optimized, not frozen";
  }
  return to_string(options.optimize == Optimize::no ? ScriptForm::frozen : ScriptForm::optimized);
}

std::vector<detail::FormMaker> other_forms(const Module& module,
                                           const detail::ScriptCall::Signature& signature,
                                           const ScriptOptions& options) {
  std::vector<detail::FormMaker> makers;
  for (const ScriptForm form : options.forms.tried) {
    if (own_form(options) == to_string(form)) continue;
    const auto make = [=,
                       profiling = options.profiling]() -> Result<std::unique_ptr<detail::Call>> {
      GALLEY_TRY(auto call, detail::ScriptCall::make(module, signature, form_of(form, profiling)));
      return std::unique_ptr<detail::Call>(std::move(call));
    };
    makers.push_back({to_string(form), make, options.tolerance});
  }
  return makers;
}

/// Loads the weights that `options` give, if they do.
Result<void> replace_weights(const Module& module, const ScriptOptions& options,
                             ModelDescription& about) {
  if (!options.weights.has_value()) return {};
  GALLEY_TRY(about.weights, detail::load_weights(detail::weight_targets(module), *options.weights,
                                                 options.weight_options));
  return {};
}

Result<std::vector<detail::FormMaker>> packages_beside(const std::vector<std::string>& input_names,
                                                       const ScriptOptions& options) {
  if (options.forms.packages.empty()) return std::vector<detail::FormMaker>();
  std::vector<TensorSpec> inputs = options.inputs;
  if (inputs.empty()) {
    GALLEY_TRY(inputs, detail::inputs_of(input_names, options.samples));
  }
  return detail::package_forms(options.forms, std::move(inputs), options.device, options.tolerance);
}

/// Readies a module as it was loaded: weights, facts and eval(). The module as it was before that,
/// where it changed anything.
Result<std::optional<Module>> ready(Module& module, const ScriptOptions& options,
                                    ModelDescription& about) {
  try {
    detail::describe_module(about, module);
    about.name = options.name;
    add_options(*about.script, options);
    GALLEY_TRY(replace_weights(module, options, about));
    std::optional<Module> as_loaded;
    if (about.script->is_training) {
      as_loaded = module.deepcopy();
      module.eval();
    }
    return as_loaded;
  } catch (...) {
    return detail::caught(Status::failed_precondition);
  }
}

detail::ModelDraft draft_of(at::Device device) {
  detail::ModelDraft draft;
  draft.kind = "torch_script";
  draft.device = device;
  return draft;
}

Result<std::shared_ptr<const detail::StatefulModel>> make_stateful(Module module, at::Device device,
                                                                   ScriptOptions options) {
  detail::ModelDraft draft = draft_of(device);
  GALLEY_TRY(std::optional<Module> as_loaded, ready(module, options, draft.about));
  if (options.rows == RowsAs::list) {
    return Error(
        Status::invalid_argument,
        "options.rows: a module with a state is called with one row at a time, not a list");
  }
  draft.form_options = options.forms;
  detail::ScriptCall::Signature signature{options.method, options.inputs, options.arguments};
  const detail::ScriptCall::Form form{options.freeze, options.optimize, options.profiling};
  ModuleState state = *std::move(options.state);
  draft.options = function_options(std::move(options));
  return detail::StatefulModel::make({std::move(module), std::move(as_loaded), std::move(signature),
                                      form, std::move(state), std::move(draft)});
}

Result<std::shared_ptr<const detail::Model>> make_model(Module module, at::Device device,
                                                        ScriptOptions options) {
  detail::ModelDraft draft = draft_of(device);
  const detail::ScriptCall::Form form{options.freeze, options.optimize, options.profiling};
  const detail::ScriptCall::Signature signature{options.method, options.inputs, options.arguments,
                                                options.rows};
  GALLEY_TRY(const std::optional<Module> as_loaded, ready(module, options, draft.about));
  if (as_loaded.has_value()) {
    GALLEY_TRY(draft.as_loaded, detail::ScriptCall::make(*as_loaded, signature, {Freeze::no}));
  }
  GALLEY_TRY(std::unique_ptr<detail::ScriptCall> call,
             detail::ScriptCall::make(module, signature, form));
  draft.input_names = call->arguments().input_names();
  draft.values = call->arguments().values();
  draft.form = own_form(options);
  // On other devices a call returns before it is computed, which is not timed here.
  if (device.is_cpu()) draft.other_forms = other_forms(module, signature, options);
  if (!device.is_cpu() && !options.forms.reduced.tried.empty()) {
    return Error(Status::unimplemented,
                 detail::text({"options.forms.reduced: forms in lower precision are tried on a CPU "
                               "only, got ",
                               to_string(options.device)}));
  }
  GALLEY_TRY(auto reduced,
             detail::reduced_forms(options.forms.reduced, module, signature, options.profiling));
  if (device.is_cpu()) std::ranges::move(reduced, std::back_inserter(draft.other_forms));
  if (device.is_cpu() && draft.values.empty()) {
    GALLEY_TRY(auto packages, packages_beside(draft.input_names, options));
    std::ranges::move(packages, std::back_inserter(draft.other_forms));
  }
  draft.form_options = options.forms;
  draft.call = std::move(call);
  draft.options = function_options(std::move(options));
  return detail::Model::make(std::move(draft));
}

template <class In, class Out, class Source>
Result<Servable<In, Out>> script_servable(const std::string& where, Source&& source,
                                          ScriptOptions options) {
  const auto error_of = [&where](Error error) { return within(where, std::move(error)); };
  // Parameters made in the mode they will serve in: views of them then carry no autograd metadata,
  // which makes small models measurably faster.
  const c10::InferenceMode inference;
  Result<at::Device> device = to_torch(options.device);
  if (!device.has_value()) return error_of(std::move(device).error());
  Result<Module> module = load(source, *device);
  if (!module.has_value()) return error_of(std::move(module).error());
  const auto served = [&](auto model) -> Result<Servable<In, Out>> {
    if (!model.has_value()) return error_of(std::move(model).error());
    auto servable = detail::serve_model<In, Out>(*std::move(model));
    if (!servable.has_value()) return error_of(std::move(servable).error());
    return servable;
  };
  if (options.state.has_value()) {
    return served(make_stateful(*std::move(module), *device, std::move(options)));
  }
  return served(make_model(*std::move(module), *device, std::move(options)));
}

}  // namespace

const char* to_string(ScriptForm form) noexcept {
  switch (form) {
    case ScriptForm::frozen:
      return "frozen";
    case ScriptForm::optimized:
      return "optimized";
    case ScriptForm::channels_last:
      return "channels last";
    case ScriptForm::optimized_channels_last:
      return "optimized, channels last";
    case ScriptForm::convolutions:
      return "convolutions";
  }
  return "unknown";
}

Result<ModelDescription> describe_script(const std::string& path) {
  try {
    const c10::InferenceMode inference;
    Result<Module> module = load(path, at::kCPU);
    if (!module.has_value()) return within("\"" + path + "\"", std::move(module).error());
    ModelDescription about{.name = std::filesystem::path(path).stem().string(),
                           .libtorch = detail::libtorch_version()};
    detail::describe_module(about, *module);
    return about;
  } catch (...) {
    return within("\"" + path + "\"", detail::caught());
  }
}

template <TensorRow In, TensorRow Out>
Result<Servable<In, Out>> torch_script(const std::string& path, ScriptOptions options) {
  try {
    if (options.name.empty()) options.name = std::filesystem::path(path).stem().string();
    return script_servable<In, Out>("\"" + path + "\"", path, std::move(options));
  } catch (...) {
    return detail::caught();
  }
}

template <TensorRow In, TensorRow Out>
Result<Servable<In, Out>> torch_script(std::span<const std::byte> bytes, ScriptOptions options) {
  try {
    if (options.name.empty()) options.name = "script";
    detail::SpanBuffer buffer(bytes);
    std::istream in(&buffer);
    return script_servable<In, Out>("model in memory", in, std::move(options));
  } catch (...) {
    return detail::caught();
  }
}

template Result<Servable<Tensor, Tensor>> torch_script(const std::string&, ScriptOptions);
template Result<Servable<Tensor, NamedTensors>> torch_script(const std::string&, ScriptOptions);
template Result<Servable<NamedTensors, Tensor>> torch_script(const std::string&, ScriptOptions);
template Result<Servable<NamedTensors, NamedTensors>> torch_script(const std::string&,
                                                                   ScriptOptions);
template Result<Servable<Tensor, Tensor>> torch_script(std::span<const std::byte>, ScriptOptions);
template Result<Servable<Tensor, NamedTensors>> torch_script(std::span<const std::byte>,
                                                             ScriptOptions);
template Result<Servable<NamedTensors, Tensor>> torch_script(std::span<const std::byte>,
                                                             ScriptOptions);
template Result<Servable<NamedTensors, NamedTensors>> torch_script(std::span<const std::byte>,
                                                                   ScriptOptions);

}  // namespace galley::inline v1
