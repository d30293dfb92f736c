#include <src/torch/torch_headers.hpp>

#include <galley/core/row_algebra.hpp>
#include <galley/core/text.hpp>
#include <src/torch/convert.hpp>
#include <src/torch/door.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/model.hpp>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

namespace {

/// A batch at the model's door: what LibTorch is given, and what keeps gathered rows alive.
struct Door {
  Tensors inputs;
  c10::SmallVector<Tensor, 1> kept;

  void add(const Rows<Tensor>& rows, Workspace* workspace) {
    Tensor keep;
    inputs.push_back(borrow_rows(rows, keep, workspace));
    if (keep.is_defined()) kept.push_back(std::move(keep));
  }
};

/// A batch that is one tensor already, or none: a whole block, or a single row.
struct Dense {
  const Tensor* block = nullptr;
  const Tensor* row = nullptr;

  explicit Dense(const Batch<Tensor>& rows) noexcept {
    if (const Rows<Tensor>* all = rows.whole(); all != nullptr) {
      block = all->block();
      if (block == nullptr && all->size() == 1) row = &all->ragged().front();
    } else if (rows.size() == 1) {
      row = rows.peek(0);
    }
  }

  bool fits(const TensorSpec& spec) const noexcept {
    if (block != nullptr) return spec.fits_block(*block);
    return row != nullptr && spec.fits(*row);
  }
};

/// One input of every row, where the batch has no column for it.
Rows<Tensor> column_of(const Rows<NamedTensors>& rows, const std::string& name,
                       Workspace* workspace) {
  Rows<Tensor> column(rows.size(), workspace);
  for (std::size_t i = 0; i < rows.size(); ++i) column.push_back(*rows[i].find(name));
  return column;
}

/// A servable's node: In and Out are Tensor, or NamedTensors.
template <class In, class Out>
class ModelNode {
 public:
  static constexpr const char* kind = "torch";

  explicit ModelNode(std::shared_ptr<const Model> model) : model_(std::move(model)) {}

  NodeTraits traits() const { return {}; }
  void describe(Description& d) const { model_->describe(d); }
  Result<void> prepare(const PrepareScope& scope) const { return model_->prepare(scope); }
  Result<void> control(ControlRequest& request) const { return model_->control(request); }

  [[gnu::hot]] Outcomes<Out> serve(const NodeHeader& node, const Batch<In>& batch,
                                   const BatchContext& context) const {
    model_->threads().count_call();
    if constexpr (std::same_as<In, Tensor> && std::same_as<Out, Tensor>) {
      // Between two calls LibTorch fills the instruction cache with its own: the common case is one
      // short piece of code, apart from all the others.
      const Dense dense(batch);
      if (model_->is_plain() && dense.fits(model_->signature().inputs.front()) &&
          context.is_single() && context.context().live() == Status::ok) [[likely]] {
        try {
          if (c10::InferenceMode::is_enabled()) return answer(dense, batch.size());
          const c10::InferenceMode inference;
          return answer(dense, batch.size());
        } catch (...) {
          return search(node, batch, context.workspace(), caught());
        }
      }
    }
    return serve_any(node, batch, context);
  }

 private:
  [[gnu::noinline]] Outcomes<Out> serve_any(const NodeHeader& node, const Batch<In>& batch,
                                            const BatchContext& context) const {
    try {
      return serve_live<Out>(batch, context, [&](const Batch<In>& rows, const BatchContext& live) {
        return serve_taken<Out>(node.name, model_->signature(), rows,
                                [&](const Batch<In>& taken, const std::vector<RowIndex>*) {
                                  return serve_by_shape(node, taken, live.workspace());
                                });
      });
    } catch (...) {
      return Outcomes<Out>::failed(batch.size(), within(node.name, caught()));
    }
  }

  /// Rows of unequal shape, or of unequal values for the method, in groups of equal ones, each as
  /// if it were alone.
  Outcomes<Out> serve_by_shape(const NodeHeader& node, const Batch<In>& rows,
                               Workspace* workspace) const {
    const bool is_alike =
        model_->values().empty() && (!model_->has_free_extents() || is_uniform(rows));
    if (is_alike || rows.size() == 1) return serve_group(node, rows, workspace);
    std::map<std::vector<std::int64_t>, std::size_t> groups;
    Result<Split> split = Split::by(rows, rows.size(), [&](std::size_t i) {
      return groups.try_emplace(likeness_of(rows[i]), groups.size()).first->second;
    });
    if (groups.size() == 1) return serve_group(node, rows, workspace);
    std::vector<PartOutcomes<Out>> parts;
    for (std::size_t group = 0; group < groups.size(); ++group) {
      const Batch<In> part = rows.at_places(split->places(group));
      parts.push_back({split->rows(group), serve_group(node, part, workspace)});
    }
    return merge<Out>(rows.size(), parts, workspace);
  }

  /// True when all rows are known to have one shape without looking at each.
  bool is_uniform(const Batch<In>& rows) const {
    const Rows<In>* all = rows.whole();
    if constexpr (std::same_as<In, Tensor>) {
      return all != nullptr && all->is_uniform();
    } else {
      return all != nullptr && all->has_columns() &&
             std::ranges::all_of(model_->signature().inputs, [all](const TensorSpec& spec) {
               const auto column = all->column(spec.name);
               return column.has_value() && (*column)->is_uniform();
             });
    }
  }

  /// The extents of a row's inputs and the bytes of those that are values: equal for rows that may
  /// share a call.
  std::vector<std::int64_t> likeness_of(const In& row) const {
    std::vector<std::int64_t> all;
    for (const TensorSpec& spec : model_->signature().inputs) {
      const Shape& shape = input_of(row, spec)->shape();
      all.insert(all.end(), shape.extents().begin(), shape.extents().end());
    }
    for (const std::size_t value : model_->values()) {
      append_bytes(all, *input_of(row, model_->signature().inputs[value]));
    }
    return all;
  }

  static const Tensor* input_of(const In& row, const TensorSpec& spec) {
    if constexpr (std::same_as<In, Tensor>) {
      return &row;
    } else {
      return row.find(spec.name);
    }
  }

  static void append_bytes(std::vector<std::int64_t>& to, const Tensor& tensor) {
    std::vector<std::byte> bytes(tensor.byte_size());
    const Result<void> copied = tensor.copy_into(bytes);
    if (!copied.has_value()) throw std::runtime_error(copied.error().detail);
    for (const std::byte byte : bytes) to.push_back(std::to_integer<std::int64_t>(byte));
  }

  Outcomes<Out> serve_group(const NodeHeader& node, const Batch<In>& rows,
                            Workspace* workspace) const {
    try {
      return run_in_mode(rows, workspace);
    } catch (...) {
      return search(node, rows, workspace, caught());
    }
  }

  /// The rows that are to blame for `failure`, which is what came of all of them together.
  [[gnu::noinline]] Outcomes<Out> search(const NodeHeader& node, const Batch<In>& rows,
                                         Workspace* workspace, Error failure) const {
    return bisect<Out>(
        rows.size(),
        [&](std::size_t first, std::size_t count) -> Result<Outcomes<Out>> {
          if (count == rows.size()) return within(node.name, std::move(failure));
          try {
            return run_in_mode(rows.slice(first, count), workspace);
          } catch (...) {
            return within(node.name, caught());
          }
        },
        workspace);
  }

  Outcomes<Out> run_in_mode(const Batch<In>& rows, Workspace* workspace) const {
    if (c10::InferenceMode::is_enabled()) return run(rows, workspace);
    const c10::InferenceMode inference;
    return run(rows, workspace);
  }

  Outcomes<Out> run(const Batch<In>& rows, Workspace* workspace) const {
    Door door;
    // `owned` lives as long as the call: what LibTorch sees of it is borrowed.
    std::optional<Rows<In>> owned;
    if constexpr (std::same_as<In, Tensor>) {
      if (rows.whole() == nullptr && rows.size() == 1) {
        door.inputs.push_back(borrow_row(door.kept.emplace_back(rows[0])));
        return answer(door, 1);
      }
    }
    const Rows<In>* all = rows.whole();
    if (all == nullptr) all = &owned.emplace(rows.borrowed().to_rows(workspace));
    if constexpr (std::same_as<In, Tensor>) {
      door.add(*all, workspace);
    } else {
      for (const TensorSpec& spec : model_->signature().inputs) {
        const auto column = all->column(spec.name);
        door.add(column.has_value() ? **column : column_of(*all, spec.name, workspace), workspace);
      }
    }
    return answer(door, rows.size());
  }

  Outcomes<Out> answer(Door& door, std::size_t rows) const {
    Tensors outputs;
    model_->call(door.inputs, outputs);
    const std::vector<TensorSpec>& specs = model_->signature().outputs;
    if (model_->gives_rows()) return answer_by_row(outputs, rows);
    check_output_count(outputs.size(), specs.size());
    for (std::size_t i = 0; i < specs.size(); ++i) check_row_count(specs[i], outputs[i], rows);
    if constexpr (std::same_as<Out, Tensor>) {
      return Outcomes<Out>(std::in_place, [&] { return own_rows(std::move(outputs.front())); });
    } else {
      std::vector<NamedColumn> columns;
      columns.reserve(specs.size());
      for (std::size_t i = 0; i < specs.size(); ++i) {
        columns.push_back({specs[i].name, own_rows(std::move(outputs[i]))});
      }
      return rows_of<Out>(std::move(columns));
    }
  }

  /// What a model gives that has tensors for each row: they stay as they are.
  Outcomes<Out> answer_by_row(Tensors& outputs, std::size_t rows) const {
    const std::vector<TensorSpec>& specs = model_->signature().outputs;
    check_output_count(outputs.size(), specs.size() * rows);
    std::vector<NamedColumn> columns;
    for (std::size_t i = 0; i < specs.size(); ++i) {
      Rows<Tensor> column(rows);
      for (std::size_t row = 0; row < rows; ++row) {
        at::Tensor& output = outputs[i * rows + row];
        at::Tensor block = output.unsqueeze(0);
        output.reset();  // whoever holds it alone need not be copied
        column.push_back(own_rows(std::move(block))[0]);
      }
      columns.push_back({specs[i].name, std::move(column)});
    }
    return rows_of<Out>(std::move(columns));
  }

  [[gnu::hot]] Outcomes<Out> answer(const Dense& dense, std::size_t rows) const {
    // Held to the end, so that an output that is the input is seen to be.
    const at::Tensor input =
        dense.block != nullptr ? borrow_block(*dense.block) : borrow_row(*dense.row);
    at::Tensor output = model_->call_plain(input);
    check_row_count(model_->signature().outputs.front(), output, rows);
    return Outcomes<Out>(std::in_place, [&] { return own_rows(std::move(output)); });
  }

  std::shared_ptr<const Model> model_;
};

}  // namespace

Result<void> only_one(std::string_view what, std::span<const TensorSpec> specs) {
  if (specs.size() == 1) return {};
  return Error(Status::failed_precondition,
               text({what, std::to_string(specs.size()), " tensors (", names_of(specs),
                     "): expected one, where rows are Tensor; NamedTensors rows hold several"}));
}

template <class In, class Out>
Result<Servable<In, Out>> serve_model(std::shared_ptr<const Model> model) {
  const Signature& signature = model->signature();
  if constexpr (std::same_as<In, Tensor>) GALLEY_TRY(only_one("takes ", signature.inputs));
  if constexpr (std::same_as<Out, Tensor>) GALLEY_TRY(only_one("gives ", signature.outputs));
  std::string name = model->name();
  return Servable<In, Out>::of_node(std::move(name), ModelNode<In, Out>(std::move(model)));
}

template Result<Servable<Tensor, Tensor>> serve_model(std::shared_ptr<const Model>);
template Result<Servable<Tensor, NamedTensors>> serve_model(std::shared_ptr<const Model>);
template Result<Servable<NamedTensors, Tensor>> serve_model(std::shared_ptr<const Model>);
template Result<Servable<NamedTensors, NamedTensors>> serve_model(std::shared_ptr<const Model>);

}  // namespace galley::inline v1::detail
