// ScriptCall: a TorchScript method as a Call.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/result.hpp>
#include <galley/torch/options.hpp>
#include <src/torch/call.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// One method of one form of a module, called without its schema being checked each time: the
/// schema was looked at when this was made.
class ScriptCall final : public Call {
 public:
  /// Which form of a module to call.
  struct Form {
    Freeze freeze = Freeze::yes;
    Optimize optimize = Optimize::no;
    Profiling profiling = Profiling::off;
  };

  /// Errors  failed_precondition: no `forward`, an argument that is no tensor and has no default,
  ///         the form cannot be made, or `forward` assigns to an attribute
  static Result<std::unique_ptr<ScriptCall>> make(const torch::jit::Module& module,
                                                  const Form& form);

  void operator()(std::span<const at::Tensor> inputs, Tensors& outputs) const override;
  at::Tensor one(const at::Tensor& input) const override;
  std::vector<std::string> bind_outputs(std::span<const at::Tensor> inputs,
                                        std::span<const TensorSpec> declared) override;
  std::uint64_t fingerprint() const override;

  /// The tensor arguments of `forward`, in order.
  const std::vector<std::string>& input_names() const noexcept { return input_names_; }

 private:
  ScriptCall(torch::jit::Module source, torch::jit::Module form);

  Result<void> read_schema();
  c10::IValue run(std::span<const at::Tensor> inputs) const;
  void run(torch::jit::Stack& stack) const;
  void unpack(c10::IValue answer, Tensors& outputs) const;

  torch::jit::Module source_;  // as loaded: freezing shares its tensors
  torch::jit::Module form_;
  c10::IValue self_;
  torch::jit::Function* function_ = nullptr;
  // What the graph's executor runs, where that is the same for every call: run without asking it.
  std::optional<torch::jit::ExecutionPlan> plan_;
  std::vector<c10::IValue> defaults_;  // for the arguments after the tensors
  std::vector<std::string> input_names_;
  std::vector<c10::IValue> keys_;  // of a dict, in the order of the outputs
};

}  // namespace galley::inline v1::detail
