// ScriptCall: a TorchScript method as a Call.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/result.hpp>
#include <galley/torch/options.hpp>
#include <src/torch/call.hpp>
#include <src/torch/script_arguments.hpp>
#include <src/torch/script_outputs.hpp>
#include <src/torch/script_rows.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// One method of one form of a module, called without its schema being checked each time: the
/// schema was looked at when this was made.
class ScriptCall final : public Call {
 public:
  /// How images lie in memory.
  enum class Layout : std::uint8_t { contiguous, channels_last };

  /// Whether convolutions, and what is between them, are computed in oneDNN's own layout. LibTorch
  /// does so in `optimize_for_inference` too, where it also has linear layers multiply by weights
  /// that lie the other way, which takes some twice as long.
  enum class Convolutions : std::uint8_t { as_written, in_own_layout };

  /// Which form of a module to call.
  struct Form {
    Freeze freeze = Freeze::yes;
    Optimize optimize = Optimize::no;
    Profiling profiling = Profiling::off;
    Layout layout = Layout::contiguous;
    Convolutions convolutions = Convolutions::as_written;
    /// Of a frozen one.
    std::optional<Reduction> reduction = {};
    /// Of a module that keeps a state: the attributes that may change, which freezing leaves.
    std::optional<std::vector<std::string>> state = {};
  };

  /// Which method, and what it is given.
  struct Signature {
    std::string method = "forward";
    std::vector<TensorSpec> inputs = {};
    std::vector<BoundArgument> arguments = {};
    RowsAs rows = RowsAs::batch;
  };

  /// Errors  failed_precondition: no such method, an argument that nothing is given for, the form
  ///         cannot be made, or the method assigns to an attribute that is not `form.state`'s
  static Result<std::unique_ptr<ScriptCall>> make(const torch::jit::Module& module,
                                                  const Signature& signature, const Form& form);

  void operator()(std::span<const at::Tensor> inputs, Tensors& outputs) const override;
  at::Tensor one(const at::Tensor& input) const override;
  std::vector<std::string> bind_outputs(std::span<const at::Tensor> inputs,
                                        std::span<const TensorSpec> declared) override;
  std::uint64_t fingerprint() const override;
  bool gives_rows() const noexcept override { return row_outputs_.has_value(); }

  /// The same as the call and as `bind_outputs`, of another object than the form's module.
  void call_of(const c10::IValue& self, std::span<const at::Tensor> inputs, Tensors& outputs) const;
  std::vector<std::string> bind_outputs_of(const c10::IValue& self,
                                           std::span<const at::Tensor> inputs,
                                           std::span<const TensorSpec> declared);

  const ScriptArguments& arguments() const noexcept { return arguments_; }
  const torch::jit::Module& form() const noexcept { return form_; }

 private:
  ScriptCall(torch::jit::Module source, torch::jit::Module form);

  c10::IValue run(const c10::IValue& self, std::span<const at::Tensor> inputs) const;
  void run(torch::jit::Stack& stack) const;

  torch::jit::Module source_;  // as loaded: freezing shares its tensors
  torch::jit::Module form_;
  c10::IValue self_;
  torch::jit::Function* function_ = nullptr;
  // What the graph's executor runs, where that is the same for every call: run without asking it.
  std::optional<torch::jit::ExecutionPlan> plan_;
  Layout layout_ = Layout::contiguous;
  ScriptArguments arguments_;
  ScriptOutputs outputs_;
  RowsAs rows_ = RowsAs::batch;
  std::optional<ScriptRows> row_outputs_;  // in the place of `outputs_`
};

}  // namespace galley::inline v1::detail
