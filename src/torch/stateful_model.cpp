#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/model_check.hpp>
#include <src/torch/stateful_model.hpp>
#include <src/torch/torch_compat.hpp>

#include <algorithm>

namespace galley::inline v1::detail {

namespace {

constexpr int warm_steps = 2;

std::string list_of(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all.append(all.empty() ? "" : ", ").append(name);
  return all;
}

void set_fact(std::vector<std::pair<std::string, std::string>>& facts, const std::string& name,
              std::string value) {
  const auto known = std::ranges::find(facts, name, &std::pair<std::string, std::string>::first);
  if (known != facts.end()) {
    known->second = std::move(value);
  } else {
    facts.emplace_back(name, std::move(value));
  }
}

}  // namespace

Result<std::shared_ptr<const StatefulModel>> StatefulModel::make(StatefulDraft draft) {
  const c10::InferenceMode inference;
  GALLEY_TRY(check_sequences(draft.state, "options.state."));
  const FormOptions& forms = draft.draft.form_options;
  if (!forms.pinned.empty() || !forms.packages.empty()) {
    return refused("options.forms: a module with a state has no other forms, and no packages");
  }
  try {
    auto model = std::make_shared<StatefulModel>();
    model->kind_ = draft.draft.kind;
    model->threads_ = draft.draft.options.threads;
    model->facts_ = std::move(draft.draft.facts);
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
  std::unique_ptr<StatefulCall> as_loaded;
  if (draft.as_loaded.has_value()) {
    GALLEY_TRY(as_loaded,
               StatefulCall::make(*draft.as_loaded, draft.signature,
                                  {.freeze = Freeze::no, .state = found.paths}, found.initial));
    as_loaded->bind_outputs(samples_, rest.options.outputs);
  }
  GALLEY_TRY(ChosenCall chosen, choose_call(draft.module, draft.signature, draft.form,
                                            std::move(found), samples_, rest.options));
  call_ = std::move(chosen.call);
  GALLEY_TRY(CheckedModel checked, check_model(*call_, as_loaded.get(), signature_.inputs, samples_,
                                               rest.options, rest.device));
  signature_.outputs = std::move(checked.outputs);
  if (!chosen.refused.empty()) {
    set_fact(facts_, "frozen", "no: " + chosen.refused);
    set_fact(facts_, "optimised", "no");
  }
  set_fact(facts_, "state", list_of(call_->state().paths()));
  set_fact(facts_, "state_bytes", std::to_string(call_->state().bytes()));
  set_fact(facts_, "reset", draft.state.reset.empty() ? "as saved" : draft.state.reset);
  set_fact(facts_, "forms", "not tried: it keeps a state");
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
    if (Worker::current() != nullptr) {  // the host's own threads are the host's to prepare
      const Result<void> set = prepare_thread(threads_);
      if (!set.has_value() && set.status() != Status::unimplemented) return set;
    }
    return warm();
  });
}

void StatefulModel::describe(Description& description) const {
  description.kind = kind_;
  description.signature = std::make_shared<const Signature>(signature_);
  description.options = facts_;
  sequences_->describe(description);
  description.options.emplace_back("libtorch", libtorch_version());
}

Result<void> StatefulModel::control(ControlRequest& request) const {
  if (auto* statistics = request.as<TorchStatistics>()) {
    statistics->unprepared_calls = unprepared_calls_.load(std::memory_order_relaxed);
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
