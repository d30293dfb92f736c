#include <src/torch/torch_headers.hpp>

#include <galley/core/row_algebra.hpp>
#include <galley/core/text.hpp>
#include <src/torch/convert.hpp>
#include <src/torch/door.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/stateful_model.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

namespace {

/// A servable's node: In and Out are Tensor, or NamedTensors.
template <class In, class Out>
class StatefulNode {
 public:
  static constexpr const char* kind = "torch";

  explicit StatefulNode(std::shared_ptr<const StatefulModel> model) : model_(std::move(model)) {}

  NodeTraits traits() const {
    return {.stateful = true, .deterministic = false, .repeatable = false};
  }
  void describe(Description& d) const { model_->describe(d); }
  Result<void> prepare(const PrepareScope& scope) const { return model_->prepare(scope); }
  Result<void> control(ControlRequest& request) const { return model_->control(request); }

  Outcomes<Out> serve(const NodeHeader& node, const Batch<In>& batch,
                      const BatchContext& context) const {
    model_->threads().count_call();
    if (context.keys().empty()) {
      return Outcomes<Out>::failed(
          batch.size(),
          within(node.name, Error(Status::invalid_argument,
                                  "got no keys: expected for each row that of its sequence")));
    }
    try {
      const c10::InferenceMode inference;
      return serve_live<Out>(batch, context, [&](const Batch<In>& rows, const BatchContext& live) {
        // What the inputs refuse begins no sequence.
        return serve_taken<Out>(node.name, model_->signature(), rows,
                                [&](const Batch<In>& taken, const std::vector<RowIndex>* of) {
                                  if (of == nullptr) return serve_in_order(node, taken, live);
                                  const ContextSelection chosen(live, *of);
                                  return serve_in_order(node, taken, chosen.view());
                                });
      });
    } catch (...) {
      return Outcomes<Out>::failed(batch.size(), within(node.name, caught()));
    }
  }

 private:
  using Held = Sequences<StatefulModel::States>::Held;

  /// One row after another, each a call of one row.
  Outcomes<Out> serve_in_order(const NodeHeader& node, const Batch<In>& rows,
                               const BatchContext& context) const {
    Held held(model_->sequences());
    model_->sequences().take(context.keys(), held);
    Casualties casualties;
    std::vector<Rows<Out>> answers;
    answers.reserve(rows.size());
    RowContexts contexts(context);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Status status = contexts.next().live();  // others may have been waited for
      if (const Error* refused = held.refused().find(i); refused != nullptr) {
        casualties.append(i, within(node.name, *refused));
      } else if (status != Status::ok) {
        casualties.append(i, Error(status));
      } else {
        Result<Rows<Out>> answer = answer_to(rows, i, held.state(i));
        if (answer.has_value()) {
          answers.push_back(*std::move(answer));
        } else {
          casualties.append(i, within(node.name, std::move(answer).error()));
        }
      }
    }
    if (answers.size() == 1) {
      return Outcomes<Out>(std::move(answers.front()), std::move(casualties));
    }
    return Outcomes<Out>(Rows<Out>::concatenate(answers, context.workspace()),
                         std::move(casualties));
  }

  Result<Rows<Out>> answer_to(const Batch<In>& rows, std::size_t row,
                              StatefulCall::State& state) const {
    try {
      std::vector<Tensor> kept;
      const Tensors inputs = inputs_of(rows[row], kept);
      Rows<Out> answer;
      model_->call().step(state, {inputs.data(), inputs.size()},
                          [&](Tensors& outputs) { answer = answer_of(outputs); });
      return answer;
    } catch (...) {
      return caught();
    }
  }

  /// A row's inputs as batches of one, borrowed from `kept`.
  Tensors inputs_of(In row, std::vector<Tensor>& kept) const {
    Tensors inputs;
    if constexpr (std::same_as<In, Tensor>) {
      kept.push_back(std::move(row));
    } else {
      for (const TensorSpec& spec : model_->signature().inputs)
        kept.push_back(*row.find(spec.name));
    }
    for (const Tensor& tensor : kept) inputs.push_back(borrow_row(tensor));
    return inputs;
  }

  Rows<Out> answer_of(Tensors& outputs) const {
    const std::vector<TensorSpec>& specs = model_->signature().outputs;
    check_output_count(outputs.size(), specs.size());
    std::vector<NamedColumn> columns;
    columns.reserve(specs.size());
    for (std::size_t i = 0; i < specs.size(); ++i) {
      check_row_count(specs[i], outputs[i], 1);
      columns.push_back({specs[i].name, own_rows(std::move(outputs[i]))});
    }
    return rows_of<Out>(std::move(columns));
  }

  std::shared_ptr<const StatefulModel> model_;
};

}  // namespace

template <class In, class Out>
Result<Servable<In, Out>> serve_model(std::shared_ptr<const StatefulModel> model) {
  const Signature& signature = model->signature();
  if constexpr (std::same_as<In, Tensor>) GALLEY_TRY(only_one("takes ", signature.inputs));
  if constexpr (std::same_as<Out, Tensor>) GALLEY_TRY(only_one("gives ", signature.outputs));
  std::string name = model->name();
  return Servable<In, Out>::of_node(std::move(name), StatefulNode<In, Out>(std::move(model)));
}

template Result<Servable<Tensor, Tensor>> serve_model(std::shared_ptr<const StatefulModel>);
template Result<Servable<Tensor, NamedTensors>> serve_model(std::shared_ptr<const StatefulModel>);
template Result<Servable<NamedTensors, Tensor>> serve_model(std::shared_ptr<const StatefulModel>);
template Result<Servable<NamedTensors, NamedTensors>> serve_model(
    std::shared_ptr<const StatefulModel>);

}  // namespace galley::inline v1::detail
