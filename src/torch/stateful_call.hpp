// StatefulCall: a method of a module that changes itself, called of a module for each sequence.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/function_ref.hpp>
#include <galley/core/result.hpp>
#include <galley/core/tolerance.hpp>
#include <galley/torch/options.hpp>
#include <src/torch/call.hpp>
#include <src/torch/samples.hpp>
#include <src/torch/script_call.hpp>
#include <src/torch/script_state.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// A method with the state that its module keeps.
///
/// As a `Call` it answers each row as the last of some equal ones, of a sequence of its own: so
/// that `check_model` finds out whether sequences are kept apart.
class StatefulCall final : public Call {
 public:
  using State = ScriptState::State;

  /// Of a form of `module`: `paths` and what freezing leaves change; they begin as in `initial`.
  ///
  /// Errors  as `ScriptCall::make` and `ScriptState::of`
  static Result<std::unique_ptr<StatefulCall>> make(const torch::jit::Module& module,
                                                    const ScriptCall::Signature& signature,
                                                    ScriptCall::Form form,
                                                    const torch::jit::Module& initial);

  State fresh() const { return state_.fresh(); }

  /// One row of each input, `[1, *F]`, of a sequence. `take` is given the outputs, and is part of
  /// the step: when it throws, or the method does, the state is as it was. Needs InferenceMode.
  void step(State& state, std::span<const at::Tensor> row, FunctionRef<void(Tensors&)> take) const;

  void operator()(std::span<const at::Tensor> inputs, Tensors& outputs) const override;
  at::Tensor one(const at::Tensor& input) const override;
  std::vector<std::string> bind_outputs(std::span<const at::Tensor> inputs,
                                        std::span<const TensorSpec> declared) override;
  std::uint64_t fingerprint() const override { return call_->fingerprint(); }

  const ScriptState& state() const noexcept { return state_; }

 private:
  explicit StatefulCall(std::unique_ptr<ScriptCall> call) : call_(std::move(call)) {}

  std::unique_ptr<ScriptCall> call_;
  ScriptState state_;
};

/// Row `row` of each column, `[1, *F]`.
Tensors row_at(std::span<const at::Tensor> columns, std::int64_t row);

/// What a module itself answers to rows, one after another.
struct Answers {
  std::vector<std::string> names = {};  ///< Of the outputs.
  std::vector<Tensors> of_rows = {};
};

/// What changes in a module, and the module before its first row.
struct FoundState {
  std::vector<std::string> paths;
  torch::jit::Module initial;
  Answers answers = {};  ///< To the samples.
};

/// The attributes that a method and the reset method assign to, and that are said to change.
///
/// Errors  failed_precondition: there is no such reset method
Result<std::vector<std::string>> stated_attributes(const torch::jit::Module& module,
                                                   const std::string& method,
                                                   const ModuleState& state);

/// Those, and the ones that change when `samples` are run on a copy of `module`. Throws.
///
/// Errors  failed_precondition: the reset method asks for arguments or does not bring back what the
///         module answered first
Result<FoundState> find_state(const torch::jit::Module& module,
                              const ScriptCall::Signature& signature, const ModuleState& state,
                              Profiling profiling, const Columns& samples,
                              const FunctionOptions& options);

/// Whether a sequence answers to `samples` as the module itself did. Throws.
///
/// Errors  failed_precondition: it does not
Result<void> check_copy(const StatefulCall& call, const Columns& samples, const Answers& wanted,
                        const Tolerance& tolerance);

/// A call as `form` says, where LibTorch allows it and it answers as the module does; else of the
/// module as saved.
struct ChosenCall {
  std::unique_ptr<StatefulCall> call;
  std::string refused = {};  ///< Why it is not as `form` says.
};

/// Errors  failed_precondition: as `StatefulCall::make`, or nothing changes
Result<ChosenCall> choose_call(const torch::jit::Module& module,
                               const ScriptCall::Signature& signature, ScriptCall::Form form,
                               FoundState found, const Columns& samples,
                               const FunctionOptions& options);

}  // namespace galley::inline v1::detail
