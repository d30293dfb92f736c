// StatefulModel: a checked TorchScript module that keeps a state, and its sequences.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/compose/stateful/sequences.hpp>
#include <galley/core/node.hpp>
#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/signature.hpp>
#include <galley/torch/description.hpp>
#include <galley/torch/options.hpp>
#include <src/torch/call_threads.hpp>
#include <src/torch/model.hpp>
#include <src/torch/stateful_call.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// What a stateful model is made of before it is checked.
struct StatefulDraft {
  torch::jit::Module module;
  /// The module as it was before eval(), when that changed anything.
  std::optional<torch::jit::Module> as_loaded = {};
  ScriptCall::Signature signature;
  ScriptCall::Form form;
  ModuleState state;
  /// The rest; its calls are not looked at.
  ModelDraft draft;
};

/// A module of which each sequence has its own state. Immutable but for its sequences and what it
/// counts.
class StatefulModel {
 public:
  /// The states of sequences.
  struct States {
    using State = StatefulCall::State;
    State fresh() const { return call->fresh(); }
    const StatefulCall* call;
  };

  /// Checks what `draft` says.
  ///
  /// Errors  as `torch_script`
  static Result<std::shared_ptr<const StatefulModel>> make(StatefulDraft draft);

  /// The servable's.
  const std::string& name() const noexcept { return about_.name; }
  const Signature& signature() const noexcept { return signature_; }
  const StatefulCall& call() const noexcept { return *call_; }
  Sequences<States>& sequences() const noexcept { return *sequences_; }

  /// The threads that call it.
  const CallThreads& threads() const noexcept { return threads_; }

  Result<void> prepare(const PrepareScope& scope) const;
  void describe(Description& description) const;
  Result<void> control(ControlRequest& request) const;

 private:
  Result<void> check(StatefulDraft& draft);
  Result<void> warm() const;

  std::string kind_;
  std::unique_ptr<StatefulCall> call_;
  std::unique_ptr<Sequences<States>> sequences_;
  Signature signature_;
  Columns samples_;
  CallThreads threads_;
  ModelDescription about_;
};

/// The model as a servable of these row types, of the name it has.
///
/// Errors  failed_precondition: a row of several tensors where one is wanted
template <class In, class Out>
Result<Servable<In, Out>> serve_model(std::shared_ptr<const StatefulModel> model);

}  // namespace galley::inline v1::detail
