#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <galley/torch/tensor.hpp>
#include <src/torch/description.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/model.hpp>
#include <src/torch/model_check.hpp>
#include <src/torch/torch_compat.hpp>

#include <algorithm>

namespace galley::inline v1::detail {

namespace {

constexpr int warm_runs = 2;

}  // namespace

Result<std::shared_ptr<const Model>> Model::make(ModelDraft draft) {
  const c10::InferenceMode inference;
  try {
    auto model = std::make_shared<Model>();
    model->kind_ = std::move(draft.kind);
    model->warm_batches_ = draft.options.warm_batches;
    model->threads_.set_options(draft.options.threads);
    model->about_ = std::move(draft.about);
    if (std::ranges::find(model->warm_batches_, std::size_t{0}) != model->warm_batches_.end()) {
      return refused("options.warm_batches: expected sizes of at least 1, got 0");
    }
    GALLEY_TRY(model->signature_.inputs, row_inputs(draft));
    GALLEY_TRY(model->check(draft));
    GALLEY_TRY(model->about_.device, from_torch(draft.device));
    model->about_.libtorch = libtorch_version();
    model->about_.signature = model->signature_;
    model->about_.warm_batches = model->warm_batches_;
    if (model->writes_inputs_ && !draft.form_options.reduced.tried.empty()) {
      return refused(
          "options.forms.reduced: the model writes to its inputs, so no other forms are tried");
    }
    if (model->writes_inputs_) draft.other_forms.clear();  // what they do to them is not compared
    model->forms_ =
        std::make_unique<Forms>(std::move(draft.form), std::move(draft.call),
                                std::move(draft.other_forms), std::move(draft.form_options));
    return std::shared_ptr<const Model>(std::move(model));
  } catch (...) {
    return caught(Status::failed_precondition);
  }
}

Result<std::vector<TensorSpec>> row_inputs(ModelDraft& draft) {
  std::vector<TensorSpec> inputs = std::move(draft.options.inputs);
  if (inputs.empty()) {
    GALLEY_TRY(inputs, inputs_of(draft.input_names, draft.options.samples));
  }
  const std::size_t takes = draft.input_names.size();
  if (takes != 0 && takes != inputs.size()) {
    std::string names;
    for (const std::string& name : draft.input_names) {
      names.append(names.empty() ? "" : ", ").append(name);
    }
    return refused(text({"takes ", std::to_string(takes), " tensors (", names, "), ",
                         std::to_string(inputs.size()), " are declared"}));
  }
  GALLEY_TRY(const Device device, from_torch(draft.device));
  for (const std::size_t value : draft.values) inputs[value].device = Device();
  for (TensorSpec& spec : inputs) {
    if (spec.shape.rank() >= Shape::max_rank) {
      return refused(text({"input \"", spec.name, "\": expected a row of at most 7 extents, got ",
                           to_string(spec.shape)}));
    }
    if (!spec.device.has_value()) spec.device = device;
  }
  return inputs;
}

Result<Columns> sample_rows(const ModelDraft& draft, std::span<const TensorSpec> inputs) {
  Columns rows;
  if (draft.options.samples.empty()) {
    rows = made_samples(inputs, draft.options, 1, draft.device);
  } else {
    GALLEY_TRY(rows, given_samples(inputs, draft.options.samples, draft.device));
  }
  for (const std::size_t value : draft.values) {  // that of the first row, for all
    rows[value] = rows[value].narrow(0, 0, 1).repeat_interleave(rows[value].size(0), 0);
  }
  return rows;
}

Result<void> Model::check(ModelDraft& draft) {
  const std::vector<TensorSpec>& inputs = signature_.inputs;
  GALLEY_TRY(samples_, sample_rows(draft, inputs));
  values_ = draft.values;
  for (const TensorSpec& spec : inputs) {
    has_free_extents_ = has_free_extents_ || !spec.shape.is_fixed();
  }
  GALLEY_TRY(CheckedModel checked, check_model(*draft.call, draft.as_loaded.get(), inputs, samples_,
                                               draft.options, draft.device));
  signature_.outputs = std::move(checked.outputs);
  writes_inputs_ = checked.writes_inputs;
  gives_rows_ = draft.call->gives_rows();
  is_plain_ = inputs.size() == 1 && signature_.outputs.size() == 1 && !writes_inputs_ &&
              !inputs.front().looks_at_values() && values_.empty() && !gives_rows_;
  return {};
}

void Model::call(Tensors& inputs, Tensors& outputs) const {
  if (writes_inputs_) {
    for (at::Tensor& input : inputs) input = input.clone(at::MemoryFormat::Contiguous);
  }
  forms_->call_for(inputs.front().size(0))({inputs.data(), inputs.size()}, outputs);
}

/// On the first worker that comes here; the others wait, which leaves the machine to it.
Result<void> Model::measure() const {
  const c10::InferenceMode inference;
  try {
    return forms_->measure(samples_, signature_.outputs);
  } catch (...) {
    return caught();
  }
}

Result<void> Model::warm() const {
  const c10::InferenceMode inference;
  try {
    for (const std::size_t rows : warm_batches_) {
      const Columns columns = repeated(samples_, rows);
      for (int run = 0; run < warm_runs; ++run) {
        Tensors inputs(columns.begin(), columns.end());
        Tensors outputs;
        call(inputs, outputs);
      }
    }
  } catch (...) {
    return caught();
  }
  return {};
}

Result<void> Model::prepare(const PrepareScope& scope) const {
  return scope.each_worker([this]() -> Result<void> {
    GALLEY_TRY(threads_.prepare_worker());
    GALLEY_TRY(measure());
    return warm();
  });
}

void Model::describe(Description& description) const {
  description.kind = kind_;
  description.signature = std::make_shared<const Signature>(signature_);
  description.options = options_of(about());
}

ModelDescription Model::about() const {
  ModelDescription about = about_;
  forms_->describe(about);
  return about;
}

Result<void> Model::control(ControlRequest& request) const {
  if (auto* statistics = request.as<TorchStatistics>()) {
    *statistics = threads_.statistics();
    return {};
  }
  if (auto* description = request.as<ModelDescription>()) {
    *description = about();
    return {};
  }
  if (auto* profile = request.as<FormProfile>()) {
    *profile = forms_->profile();
    return {};
  }
  if (auto* set = request.as<SetFormProfile>()) {
    const c10::InferenceMode inference;
    try {
      return forms_->set_profile(set->profile, samples_, signature_.outputs);
    } catch (...) {
      return caught();
    }
  }
  if (auto* weights = request.as<ReplaceWeights>()) {
    const c10::InferenceMode inference;
    try {
      return forms_->own().replace_weights(*weights);
    } catch (...) {
      return caught();
    }
  }
  return Error(Status::unimplemented,
               text({"a ", kind_, " servable does not know the request ", request.type_name()}));
}

}  // namespace galley::inline v1::detail
