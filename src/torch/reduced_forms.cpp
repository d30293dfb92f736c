#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <galley/torch/tensor.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/reduce.hpp>
#include <src/torch/reduced_forms.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace galley::inline v1 {

namespace detail {

namespace {

/// A method that computes in another floating dtype than its inputs and outputs have.
class ConvertedCall final : public Call {
 public:
  ConvertedCall(std::unique_ptr<ScriptCall> call, at::ScalarType dtype)
      : call_(std::move(call)), dtype_(dtype) {}

  void operator()(std::span<const at::Tensor> inputs, Tensors& outputs) const override {
    (*call_)(to_own(inputs), outputs);
    if (wanted_.empty()) return;
    const std::size_t each = gives_rows() ? outputs.size() / wanted_.size() : 1;
    for (std::size_t i = 0; i < outputs.size() && i / each < wanted_.size(); ++i) {
      outputs[i] = to_wanted(std::move(outputs[i]), i / each);
    }
  }

  at::Tensor one(const at::Tensor& input) const override {
    return to_wanted(call_->one(is_converted(input, 0) ? input.to(dtype_) : input), 0);
  }

  std::vector<std::string> bind_outputs(std::span<const at::Tensor> inputs,
                                        std::span<const TensorSpec> declared) override {
    for (const TensorSpec& spec : declared) wanted_.push_back(to_torch(spec.dtype));
    return call_->bind_outputs(to_own(inputs), declared);
  }

  bool gives_rows() const noexcept override { return call_->gives_rows(); }
  std::uint64_t fingerprint() const override { return call_->fingerprint(); }

 private:
  /// Not where it is a value, which the method's argument is made of.
  bool is_converted(const at::Tensor& input, std::size_t number) const {
    const auto& values = call_->arguments().values();
    return input.is_floating_point() && std::ranges::find(values, number) == values.end();
  }

  Columns to_own(std::span<const at::Tensor> inputs) const {
    Columns own;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      own.push_back(is_converted(inputs[i], i) ? inputs[i].to(dtype_) : inputs[i]);
    }
    return own;
  }

  at::Tensor to_wanted(at::Tensor output, std::size_t number) const {
    const at::ScalarType wanted = wanted_[number];
    if (output.scalar_type() != dtype_ || !at::isFloatingType(wanted)) return output;
    return output.to(wanted);
  }

  std::unique_ptr<ScriptCall> call_;
  at::ScalarType dtype_;
  std::vector<at::ScalarType> wanted_;  // of each output
};

FormMaker maker_of(Reduction reduction, ScriptCall::Layout layout, const Tolerance& error,
                   const torch::jit::Module& module, const ScriptCall::Signature& signature,
                   Profiling profiling) {
  std::string name = to_string(reduction);
  if (layout == ScriptCall::Layout::channels_last) name.append(", channels last");
  const ScriptCall::Form form{.profiling = profiling, .layout = layout, .reduction = reduction};
  const auto make = [=]() -> Result<std::unique_ptr<Call>> {
    GALLEY_TRY(auto call, ScriptCall::make(module, signature, form));
    if (reduction == Reduction::int8_dynamic) return std::unique_ptr<Call>(std::move(call));
    return std::unique_ptr<Call>(
        std::make_unique<ConvertedCall>(std::move(call), computed_in(reduction)));
  };
  return {std::move(name), make, error};
}

bool is_an_error(const Tolerance& t) {
  const bool is_possible =
      std::isfinite(t.absolute) && std::isfinite(t.relative) && t.absolute >= 0 && t.relative >= 0;
  return is_possible && t.absolute + t.relative > 0;
}

}  // namespace

Result<std::vector<FormMaker>> reduced_forms(const ReducedForms& reduced,
                                             const torch::jit::Module& module,
                                             const ScriptCall::Signature& signature,
                                             Profiling profiling) {
  using Layout = ScriptCall::Layout;
  std::vector<FormMaker> makers;
  if (reduced.tried.empty()) return makers;
  if (!is_an_error(reduced.error)) {
    return refused(text(
        {"options.forms.reduced: expected an error that ", to_string(reduced.tried.front()),
         " may have, such as {.absolute = 1e-2, .relative = 1e-2}, got ",
         std::to_string(reduced.error.absolute), " and ", std::to_string(reduced.error.relative)}));
  }
  for (auto one = reduced.tried.begin(); one != reduced.tried.end(); ++one) {
    if (std::find(reduced.tried.begin(), one, *one) != one) continue;  // named twice
    for (const Layout layout : {Layout::contiguous, Layout::channels_last}) {
      if (*one == Reduction::int8_dynamic && layout != Layout::contiguous) continue;
      makers.push_back(maker_of(*one, layout, reduced.error, module, signature, profiling));
    }
  }
  return makers;
}

}  // namespace detail

const char* to_string(Reduction reduction) noexcept {
  switch (reduction) {
    case Reduction::bfloat16:
      return "bf16";
    case Reduction::float16:
      return "fp16";
    case Reduction::int8_dynamic:
      return "int8 dynamic";
  }
  return "unknown";
}

}  // namespace galley::inline v1
