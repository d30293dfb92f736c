// Model: a checked LibTorch model, behind whatever servable.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/named_tensors.hpp>
#include <galley/core/node.hpp>
#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/torch/description.hpp>
#include <galley/torch/options.hpp>
#include <src/torch/call.hpp>
#include <src/torch/call_threads.hpp>
#include <src/torch/forms.hpp>
#include <src/torch/samples.hpp>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// What a model is made of before it is checked.
struct ModelDraft {
  std::string kind;
  std::unique_ptr<Call> call;
  /// The model as it was before eval(), when that changed anything.
  std::unique_ptr<Call> as_loaded;
  /// What `call` is called among the forms, and the others.
  std::string form = {};
  std::vector<FormMaker> other_forms = {};
  FormOptions form_options = {};
  /// What the model calls its inputs; empty where it does not say.
  std::vector<std::string> input_names;
  /// Which inputs are values to it and no tensors: rows that differ in them are computed apart.
  std::vector<std::size_t> values = {};
  at::Device device{at::kCPU};
  FunctionOptions options;
  /// What is known of it beside the signature and the forms.
  ModelDescription about = {};
};

/// What a row of the model is: as declared, else as its samples are; where a device is not told,
/// the model's.
///
/// Errors  failed_precondition: another number than the model takes, or not known
Result<std::vector<TensorSpec>> row_inputs(ModelDraft& draft);

/// The rows that the model is checked and warmed with. Throws.
Result<Columns> sample_rows(const ModelDraft& draft, std::span<const TensorSpec> inputs);

/// A model that keeps its rows apart. Immutable but for what it counts.
class Model {
 public:
  /// Checks what `draft` says.
  ///
  /// Errors  as `torch_script`
  static Result<std::shared_ptr<const Model>> make(ModelDraft draft);

  /// The servable's.
  const std::string& name() const noexcept { return about_.name; }
  const Signature& signature() const noexcept { return signature_; }
  bool has_free_extents() const noexcept { return has_free_extents_; }
  /// The inputs that must be equal in all rows of a call.
  const std::vector<std::size_t>& values() const noexcept { return values_; }

  /// True when a call gives the tensors of each row, as `Call::gives_rows` says.
  bool gives_rows() const noexcept { return gives_rows_; }

  /// The outputs for a batch of each input. Needs InferenceMode. Throws what LibTorch throws.
  void call(Tensors& inputs, Tensors& outputs) const;

  /// True when a batch of one tensor in and one out may take the shortest way, without a look at
  /// its values.
  bool is_plain() const noexcept { return is_plain_; }
  /// That way: the same as `call`.
  at::Tensor call_plain(const at::Tensor& input) const {
    return forms_->call_for(input.size(0)).one(input);
  }

  /// The threads that call it.
  const CallThreads& threads() const noexcept { return threads_; }

  Result<void> prepare(const PrepareScope& scope) const;
  void describe(Description& description) const;
  /// What is known of it now.
  ModelDescription about() const;
  Result<void> control(ControlRequest& request) const;

 private:
  Result<void> check(ModelDraft& draft);
  Result<void> measure() const;
  Result<void> warm() const;

  std::string kind_;
  std::unique_ptr<Forms> forms_;
  Signature signature_;
  std::vector<std::size_t> values_;
  bool has_free_extents_ = false;
  bool writes_inputs_ = false;
  bool is_plain_ = false;
  bool gives_rows_ = false;
  Columns samples_;
  std::vector<std::size_t> warm_batches_;
  CallThreads threads_;
  ModelDescription about_;  // but for what forms say
};

/// Errors  failed_precondition: `specs` are several, where rows are Tensor; `what` is "takes "
Result<void> only_one(std::string_view what, std::span<const TensorSpec> specs);

/// The model as a servable of these row types, of the name it has.
///
/// Errors  failed_precondition: a row of several tensors where one is wanted
template <class In, class Out>
Result<Servable<In, Out>> serve_model(std::shared_ptr<const Model> model);

}  // namespace galley::inline v1::detail
