#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <galley/torch/script.hpp>
#include <galley/torch/tensor.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/model.hpp>
#include <src/torch/open_package.hpp>
#include <src/torch/script_call.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <istream>
#include <iterator>
#include <memory>
#include <span>
#include <streambuf>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace galley::inline v1 {

namespace {

using torch::jit::Module;

/// Reads bytes that lie in memory.
class SpanBuffer final : public std::streambuf {
 public:
  explicit SpanBuffer(std::span<const std::byte> bytes) {
    // A streambuf's get area is never written to.
    auto* begin = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
    setg(begin, begin, begin + bytes.size());
  }

 protected:
  pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode) override {
    const off_type base = from == std::ios_base::beg   ? 0
                          : from == std::ios_base::cur ? gptr() - eback()
                                                       : egptr() - eback();
    return seekpos(base + offset, std::ios_base::in);
  }
  pos_type seekpos(pos_type position, std::ios_base::openmode) override {
    const off_type offset = position;
    if (offset < 0 || offset > egptr() - eback()) return pos_type(off_type(-1));
    setg(eback(), eback() + offset, egptr());
    return position;
  }
};

std::uint32_t little_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8U | static_cast<unsigned char>(bytes[i]);
  return value;
}

// A zip archive begins with a file and ends with a directory of its files. LibTorch would throw for
// less than that, and leak its reader.
Result<void> check_archive(std::istream& in) {
  constexpr std::string_view file_mark = "PK\x03\x04";
  constexpr std::string_view end_mark = "PK\x05\x06";
  constexpr std::size_t end_size = 22;            // of the record that ends an archive …
  constexpr std::size_t longest_comment = 65535;  // … but for this
  const auto wrong = [](std::string_view why) {
    return Error(Status::data_loss, detail::text({"no TorchScript model: ", why}));
  };
  std::string begin(file_mark.size(), '\0');
  in.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  if (!in || begin != file_mark) return wrong("expected a zip archive, got other bytes");
  in.seekg(0, std::ios_base::end);
  const auto size = static_cast<std::size_t>(in.tellg());
  std::string tail(std::min(size, end_size + longest_comment), '\0');
  in.seekg(static_cast<std::streamoff>(size - tail.size()));
  in.read(tail.data(), static_cast<std::streamsize>(tail.size()));
  if (!in) return wrong("cannot be read to its end");
  const std::size_t end = tail.rfind(end_mark);
  if (end == std::string::npos || tail.size() - end < end_size) {
    return wrong("the zip archive is not complete");
  }
  const std::string_view record = std::string_view(tail).substr(end);
  const std::uint64_t directory = little_endian(record.substr(12, 4));
  const std::uint64_t offset = little_endian(record.substr(16, 4));
  const bool is_wide = offset == UINT32_MAX || directory == UINT32_MAX;  // told elsewhere
  if (!is_wide && offset + directory > size - tail.size() + end) {
    return wrong("the zip archive is damaged");
  }
  in.seekg(0);
  return {};
}

Result<Module> load(std::istream& in, at::Device device) {
  GALLEY_TRY(check_archive(in));
  try {
    return torch::jit::load(in, device);
  } catch (...) {
    Error error = detail::caught(Status::data_loss);
    error.detail = "no readable TorchScript model: " + error.detail;
    return error;
  }
}

Result<Module> load(const std::string& path, at::Device device) {
  std::error_code code;
  const std::filesystem::file_status status = std::filesystem::status(path, code);
  if (status.type() == std::filesystem::file_type::not_found) {
    return Error(Status::not_found, "no such file");
  }
  if (status.type() == std::filesystem::file_type::directory) {
    return Error(Status::data_loss, "expected a TorchScript file, got a directory");
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error(Status::data_loss, "cannot be opened for reading");
  return load(in, device);
}

bool is_training(const Module& module) {
  for (const Module& part : module.modules()) {
    if (part.hasattr("training") && part.is_training()) return true;
  }
  return false;
}

void add_facts(std::vector<std::pair<std::string, std::string>>& facts, const Module& module,
               const ScriptOptions& options) {
  std::int64_t elements = 0;
  std::uint64_t bytes = 0;
  for (const auto& attribute : module.named_attributes()) {
    if (!attribute.value.isTensor() || !attribute.value.toTensor().defined()) continue;
    elements += attribute.value.toTensor().numel();
    bytes += attribute.value.toTensor().nbytes();
  }
  facts.emplace_back("method", options.method);
  facts.emplace_back("frozen", options.freeze == Freeze::yes ? "yes" : "no");
  facts.emplace_back("optimised", options.optimize == Optimize::for_inference ? "yes" : "no");
  facts.emplace_back("profiling", options.profiling == Profiling::off ? "off" : "as host");
  facts.emplace_back("device", to_string(options.device));
  facts.emplace_back("parameters", std::to_string(elements));
  facts.emplace_back("bytes", std::to_string(bytes));
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
  const bool optimized =
      form == ScriptForm::optimized || form == ScriptForm::optimized_channels_last;
  const bool images_last =
      form == ScriptForm::channels_last || form == ScriptForm::optimized_channels_last;
  return {.freeze = Freeze::yes,
          .optimize = optimized ? Optimize::for_inference : Optimize::no,
          .profiling = profiling,
          .layout = images_last ? Layout::channels_last : Layout::contiguous};
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

Result<std::vector<detail::FormMaker>> packages_beside(const std::vector<std::string>& input_names,
                                                       const ScriptOptions& options) {
  if (options.forms.packages.empty()) return std::vector<detail::FormMaker>();
  std::vector<TensorSpec> inputs = options.inputs;
  if (inputs.empty()) {
    GALLEY_TRY(inputs, detail::inputs_of(input_names, options.samples));
  }
  return detail::package_forms(options.forms, std::move(inputs), options.device, options.tolerance);
}

Result<std::shared_ptr<const detail::Model>> make_model(Module module, at::Device device,
                                                        ScriptOptions options) {
  detail::ModelDraft draft;
  draft.kind = "torch_script";
  draft.device = device;
  const detail::ScriptCall::Form form{options.freeze, options.optimize, options.profiling};
  const detail::ScriptCall::Signature signature{options.method, options.inputs, options.arguments};
  try {
    add_facts(draft.facts, module, options);
    if (is_training(module)) {
      GALLEY_TRY(draft.as_loaded,
                 detail::ScriptCall::make(module.deepcopy(), signature, {Freeze::no}));
      module.eval();
    }
  } catch (...) {
    return detail::caught(Status::failed_precondition);
  }
  GALLEY_TRY(std::unique_ptr<detail::ScriptCall> call,
             detail::ScriptCall::make(module, signature, form));
  draft.input_names = call->arguments().input_names();
  draft.values = call->arguments().values();
  draft.form = own_form(options);
  // On other devices a call returns before it is computed, which is not timed here.
  if (device.is_cpu()) draft.other_forms = other_forms(module, signature, options);
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
Result<Servable<In, Out>> script_servable(const std::string& where, std::string name,
                                          Source&& source, ScriptOptions options) {
  const auto error_of = [&where](Error error) { return within(where, std::move(error)); };
  // Parameters made in the mode they will serve in: views of them then carry no autograd metadata,
  // which makes small models measurably faster.
  const c10::InferenceMode inference;
  Result<at::Device> device = to_torch(options.device);
  if (!device.has_value()) return error_of(std::move(device).error());
  Result<Module> module = load(source, *device);
  if (!module.has_value()) return error_of(std::move(module).error());
  auto model = make_model(*std::move(module), *device, std::move(options));
  if (!model.has_value()) return error_of(std::move(model).error());
  auto servable = detail::serve_model<In, Out>(std::move(name), *std::move(model));
  if (!servable.has_value()) return error_of(std::move(servable).error());
  return servable;
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
  }
  return "unknown";
}

template <TensorRow In, TensorRow Out>
Result<Servable<In, Out>> torch_script(const std::string& path, ScriptOptions options) {
  try {
    std::string name =
        options.name.empty() ? std::filesystem::path(path).stem().string() : options.name;
    return script_servable<In, Out>("\"" + path + "\"", std::move(name), path, std::move(options));
  } catch (...) {
    return detail::caught();
  }
}

template <TensorRow In, TensorRow Out>
Result<Servable<In, Out>> torch_script(std::span<const std::byte> bytes, ScriptOptions options) {
  try {
    std::string name = options.name.empty() ? "script" : options.name;
    SpanBuffer buffer(bytes);
    std::istream in(&buffer);
    return script_servable<In, Out>("model in memory", std::move(name), in, std::move(options));
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
