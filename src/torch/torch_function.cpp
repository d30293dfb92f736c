#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <galley/torch/module.hpp>
#include <src/torch/describe.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/model.hpp>

#include <utility>

namespace galley::inline v1::detail {

namespace {

/// A C++ function on LibTorch tensors as a Call.
class FunctionCall final : public Call {
 public:
  explicit FunctionCall(TorchFunction function) : function_(std::move(function)) {}

  void operator()(std::span<const at::Tensor> inputs, Tensors& outputs) const override {
    if (function_.one) return outputs.push_back(one(inputs.front()));
    for (at::Tensor& output : function_.many({inputs.begin(), inputs.end()})) {
      outputs.push_back(defined(std::move(output)));
    }
  }

  at::Tensor one(const at::Tensor& input) const override {
    if (function_.one) return defined(function_.one(input));
    std::vector<at::Tensor> outputs = function_.many({input});
    check_output_count(outputs.size(), 1);
    return defined(std::move(outputs.front()));
  }

  std::vector<std::string> bind_outputs(std::span<const at::Tensor> inputs,
                                        std::span<const TensorSpec> declared) override {
    Tensors outputs;
    (*this)(inputs, outputs);
    return names_by_position(outputs.size(), declared);
  }

  std::uint64_t fingerprint() const override {
    std::uint64_t all = 1;
    if (function_.state) {
      for (const at::Tensor& tensor : function_.state()) all = mix(all, tensor);
    }
    return all;
  }

 private:
  static at::Tensor defined(at::Tensor output) {
    if (!output.defined()) throw std::runtime_error("gives an undefined tensor");
    return output;
  }

  TorchFunction function_;
};

void describe_function(ModelDescription& about, const TorchFunction& function) {
  about.format = function.state ? ModelFormat::module : ModelFormat::function;
  if (!function.state) return;
  TensorCounter counter;
  std::size_t left = function.parameters;
  for (const at::Tensor& tensor : function.state()) {
    counter.add(left == 0 ? about.buffers : about.parameters, tensor);
    left -= left == 0 ? 0 : 1;
  }
}

}  // namespace

template <class In, class Out>
Result<Servable<In, Out>> serve_torch_function(std::string name, TorchFunction function,
                                               FunctionOptions options) {
  const auto named = [&name](Error error) { return within(name, std::move(error)); };
  if (function.is_training) {
    return named(Error(Status::failed_precondition,
                       "the module is in training mode, where batch normalisation and dropout make "
                       "rows depend on each other: call eval() before serving it"));
  }
  ModelDraft draft;
  try {
    draft.kind = function.state ? "torch_module" : "torch_function";
    describe_function(draft.about, function);
    draft.about.name = name;
    if (function.one) draft.input_names = {"input"};
    if (function.one && options.inputs.size() == 1) {
      draft.input_names = {options.inputs.front().name};
    }
    draft.options = std::move(options);
    draft.call = std::make_unique<FunctionCall>(std::move(function));
  } catch (...) {
    return named(caught());
  }
  Result<std::shared_ptr<const Model>> model = Model::make(std::move(draft));
  if (!model.has_value()) return named(std::move(model).error());
  return serve_model<In, Out>(*std::move(model));
}

template Result<Servable<Tensor, Tensor>> serve_torch_function(std::string, TorchFunction,
                                                               FunctionOptions);
template Result<Servable<NamedTensors, NamedTensors>> serve_torch_function(std::string,
                                                                           TorchFunction,
                                                                           FunctionOptions);

}  // namespace galley::inline v1::detail
