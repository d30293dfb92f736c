#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <galley/torch/tensor.hpp>
#include <src/torch/describe.hpp>
#include <src/torch/description.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/model_check.hpp>
#include <src/torch/stateful_model.hpp>
#include <src/torch/torch_compat.hpp>

#include <algorithm>

namespace galley::inline v1::detail {

namespace {

constexpr int warm_steps = 2;

}  // namespace

Result<std::shared_ptr<const StatefulModel>> StatefulModel::make(StatefulDraft draft) {
  const c10::InferenceMode inference;
  GALLEY_TRY(check_sequences(draft.state, "options.state."));
  const FormOptions& forms = draft.draft.form_options;
  if (!forms.pinned.empty() || !forms.packages.empty() || !forms.reduced.tried.empty()) {
    return refused("options.forms: a module with a state has no other forms, and no packages");
  }
  for (const std::size_t rows : draft.draft.options.warm_batches) {
    if (rows == 1) continue;
    return refused(
        text({"options.warm_batches: a module with a state is called with one row at a "
              "time, got ",
              std::to_string(rows)}));
  }
  try {
    auto model = std::make_shared<StatefulModel>();
    model->kind_ = draft.draft.kind;
    model->threads_.set_options(draft.draft.options.threads);
    model->about_ = std::move(draft.draft.about);
    GALLEY_TRY(model->check(draft));
    model->sequences_ =
        std::make_unique<Sequences<States>>(States{model->call_.get()}, draft.state);
    return std::shared_ptr<const StatefulModel>(std::move(model));
  } catch (...) {
    return caught(Status::failed_precondition);
  }
}

Result<void> StatefulModel::check(StatefulDraft& draft) {
  ModelDraft& rest = draft.draft;
  GALLEY_TRY(const auto stated,
             stated_attributes(draft.module, draft.signature.method, draft.state));
  GALLEY_TRY(
      const auto probe,
      ScriptCall::make(draft.module, draft.signature,
                       {.freeze = Freeze::no, .profiling = draft.form.profiling, .state = stated}));
  rest.input_names = probe->arguments().input_names();
  rest.values = probe->arguments().values();
  GALLEY_TRY(signature_.inputs, row_inputs(rest));
  GALLEY_TRY(samples_, sample_rows(rest, signature_.inputs));
  GALLEY_TRY(FoundState found, find_state(draft.module, draft.signature, draft.state,
                                          draft.form.profiling, samples_, rest.options));
  const Answers answers = found.answers;
  std::unique_ptr<StatefulCall> as_loaded;
  if (draft.as_loaded.has_value()) {
    GALLEY_TRY(as_loaded,
               StatefulCall::make(*draft.as_loaded, draft.signature,
                                  {.freeze = Freeze::no, .state = found.paths}, found.initial));
  }
  GALLEY_TRY(ChosenCall chosen, choose_call(draft.module, draft.signature, draft.form,
                                            std::move(found), samples_, rest.options));
  call_ = std::move(chosen.call);
  GALLEY_TRY(CheckedModel checked, check_model(*call_, as_loaded.get(), signature_.inputs, samples_,
                                               rest.options, rest.device));
  GALLEY_TRY(check_copy(*call_, samples_, answers, rest.options.tolerance));
  signature_.outputs = std::move(checked.outputs);
  if (!chosen.refused.empty()) {
    about_.script->freeze = Freeze::no;
    about_.script->optimize = Optimize::no;
    about_.script->refused = std::move(chosen.refused);
  }
  about_.script->reset = draft.state.reset;
  GALLEY_TRY(about_.device, from_torch(rest.device));
  about_.libtorch = libtorch_version();
  about_.signature = signature_;
  for (std::size_t i = 0; i < call_->state().paths().size(); ++i) {
    about_.state.push_back(
        describe_attribute(call_->state().paths()[i], call_->state().initial()[i]));
  }
  about_.state_bytes = call_->state().bytes();
  return {};
}

Result<void> StatefulModel::warm() const {
  const c10::InferenceMode inference;
  try {
    StatefulCall::State state = call_->fresh();
    const Tensors row = row_at(samples_, 0);
    for (int step = 0; step < warm_steps; ++step) {
      call_->step(state, {row.data(), row.size()}, [](Tensors&) {});
    }
    return {};
  } catch (...) {
    return caught();
  }
}

Result<void> StatefulModel::prepare(const PrepareScope& scope) const {
  return scope.each_worker([this]() -> Result<void> {
    GALLEY_TRY(threads_.prepare_worker());
    return warm();
  });
}

void StatefulModel::describe(Description& description) const {
  description.kind = kind_;
  description.signature = std::make_shared<const Signature>(signature_);
  description.options = options_of(about_);
  sequences_->describe(description);
}

Result<void> StatefulModel::control(ControlRequest& request) const {
  if (auto* statistics = request.as<TorchStatistics>()) {
    *statistics = threads_.statistics();
    return {};
  }
  if (auto* about = request.as<ModelDescription>()) {
    *about = about_;
    return {};
  }
  try {
    if (std::optional<Result<void>> answer = sequences_->control(request)) {
      return *std::move(answer);
    }
  } catch (...) {
    return caught();
  }
  return Error(Status::unimplemented, text({"a ", kind_,
                                            " servable with a state does not know the "
                                            "request ",
                                            request.type_name()}));
}

}  // namespace galley::inline v1::detail
