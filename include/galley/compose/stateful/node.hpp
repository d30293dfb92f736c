// How the rows of a batch are given their sequences' states, and the states what the model answers.
#pragma once

#include <galley/compose/stateful/sequences.hpp>
#include <galley/compose/stateful/text.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/tensor_rows.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// One tensor of a sequence's state: where it lies among the state's bytes.
struct StatePart {
  std::string input;
  std::string output;
  DType dtype = f32;
  Shape shape = {};
  std::size_t offset = 0;
  std::size_t bytes = 0;
};

/// States that are bytes: copies of the first.
struct ByteStates {
  using State = std::unique_ptr<std::byte[]>;

  State fresh() const {
    State state = std::make_unique<std::byte[]>(initial.size());
    std::copy(initial.begin(), initial.end(), state.get());
    return state;
  }

  std::vector<std::byte> initial;
};

template <class Mode>
class StateNode {
 public:
  static constexpr const char* kind = "with_state";

  StateNode(Servable<NamedTensors, NamedTensors> child, std::vector<StatePart> parts,
            std::vector<std::byte> initial, const StateOptions& options)
      : child_(std::move(child)),
        tensors_(options.tensors),
        parts_(std::move(parts)),
        bytes_(initial.size()),
        sequences_(
            std::make_unique<Sequences<ByteStates>>(ByteStates{std::move(initial)}, options)) {}

  NodeTraits traits() const {
    NodeTraits traits = child_.traits();
    traits.stateful = true;
    traits.deterministic = false;
    traits.repeatable = false;
    return traits;
  }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const { visit(child_.node()); }

  void describe(Description& description) const {
    const bool has_signature = child_.describe().signature != nullptr;
    describe_tensors(description.options, tensors_, has_signature ? Zeros::left_out : Zeros::told);
    std::string state;
    for (const StatePart& part : parts_) {
      state.append(state.empty() ? "" : ", ").append(part.input).append(" ");
      state.append(to_string(part.dtype)).append(" ").append(to_string(part.shape));
    }
    description.options.emplace_back("state", state);
    description.options.emplace_back("state_bytes", std::to_string(bytes_));
    sequences_->describe(description);
  }

  Result<void> control(ControlRequest& request) const {
    if (std::optional<Result<void>> answer = sequences_->control(request)) {
      return *std::move(answer);
    }
    return Error(Status::unimplemented,
                 "a with_state does not know the request " + std::string(request.type_name()));
  }

  Outcomes<NamedTensors> serve(const Batch<NamedTensors>& batch,
                               const BatchContext& context) const {
    const std::span<const Key> keys = context.keys();
    if (keys.empty()) {
      return Outcomes<NamedTensors>::failed(
          batch.size(), Error(Status::invalid_argument,
                              "got no keys: expected for each row that of its sequence"));
    }
    Result<Outcomes<NamedTensors>> outcomes = Mode::template call<Outcomes<NamedTensors>>(
        [&] { return serve_held(batch, context, keys); });
    if (outcomes.has_value()) return *std::move(outcomes);
    return Outcomes<NamedTensors>::failed(batch.size(), outcomes.error());
  }

 private:
  using Held = Sequences<ByteStates>::Held;

  Outcomes<NamedTensors> serve_held(const Batch<NamedTensors>& batch, const BatchContext& context,
                                    std::span<const Key> keys) const {
    Held held(*sequences_);
    sequences_->take(keys, held);
    std::vector<std::byte*> states(batch.size());
    if (held.refused().empty() && !held.repeats()) {
      for (std::size_t i = 0; i < states.size(); ++i) states[i] = held.state(i).get();
      return step(batch, context, states);
    }
    return serve_in_rounds(batch, context, keys, held);
  }

  /// Of each sequence the first rows, then the second ones, and so on.
  Outcomes<NamedTensors> serve_in_rounds(const Batch<NamedTensors>& batch,
                                         const BatchContext& context, std::span<const Key> keys,
                                         Held& held) const {
    Casualties refused = std::move(held.refused());
    const std::vector<RowIndex> rows = survivors_of(batch.size(), refused);
    if (rows.empty()) return Outcomes<NamedTensors>(Rows<NamedTensors>(), std::move(refused));
    std::unordered_map<Key, std::size_t> seen;
    std::vector<std::vector<RowIndex>> rounds;  // of places among `rows`
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t round = seen[keys[rows[i]]]++;
      if (round == rounds.size()) rounds.emplace_back();
      rounds[round].push_back(static_cast<RowIndex>(i));
    }
    std::vector<PartOutcomes<NamedTensors>> parts;
    for (const std::vector<RowIndex>& round : rounds) {
      std::vector<RowIndex> of_batch, places;
      std::vector<std::byte*> states;
      for (const RowIndex i : round) {
        of_batch.push_back(rows[i]);
        places.push_back(static_cast<RowIndex>(batch.place(rows[i])));
        states.push_back(held.state(rows[i]).get());
      }
      const ContextSelection chosen(context, of_batch);
      parts.push_back({round, step(batch.at_places(places), chosen.view(), states)});
    }
    return with_earlier(std::move(refused),
                        merge<NamedTensors>(rows.size(), parts, context.workspace()));
  }

  /// One step of as many sequences: their states change where their rows succeed.
  Outcomes<NamedTensors> step(const Batch<NamedTensors>& batch, const BatchContext& context,
                              std::span<std::byte* const> states) const {
    Result<Rows<NamedTensors>> rows = with_states(batch, states, context.workspace());
    if (!rows.has_value()) {
      return Outcomes<NamedTensors>::failed(batch.size(), std::move(rows).error());
    }
    Outcomes<NamedTensors> outcomes =
        child_.serve_batch(Batch<NamedTensors>::last_use(*rows), context);
    if (!outcomes.answers(batch.size())) {
      return Outcomes<NamedTensors>::failed(
          batch.size(), within(child_.name(), miscounted(outcomes.size(), batch.size())));
    }
    Result<Rows<NamedTensors>> rest = keep_states(outcomes, states);
    if (!rest.has_value()) {
      return Outcomes<NamedTensors>::failed(batch.size(), std::move(rest).error());
    }
    return Outcomes<NamedTensors>(*std::move(rest), std::move(outcomes).casualties());
  }

  /// The rows with a column for each part of their states.
  Result<Rows<NamedTensors>> with_states(const Batch<NamedTensors>& batch,
                                         std::span<std::byte* const> states,
                                         Workspace* workspace) const {
    const Rows<NamedTensors>* rows = batch.whole();
    std::optional<Rows<NamedTensors>> own;
    if (rows == nullptr) rows = &own.emplace(batch.borrowed().to_rows(workspace));
    std::vector<Tensor> blocks;
    for (const StatePart& part : parts_) {
      GALLEY_TRY(const Shape shape,
                 part.shape.batch_shape(static_cast<std::int64_t>(states.size())));
      GALLEY_TRY(Tensor block, Tensor::empty(part.dtype, shape));
      auto* to = static_cast<std::byte*>(block.mutable_data());
      for (const std::byte* state : states) {
        std::memcpy(to, state + part.offset, part.bytes);
        to += part.bytes;
      }
      blocks.push_back(std::move(block));
    }
    if (!rows->has_columns()) return with_states_by_row(*rows, blocks);
    for (const StatePart& part : parts_) {
      if (!rows->column(part.input).has_value()) continue;
      return Error(Status::invalid_argument,
                   "input \"" + part.input + "\" is the sequence's state: it is kept here");
    }
    std::vector<NamedColumn> columns(rows->columns().begin(), rows->columns().end());
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      GALLEY_TRY(Rows<Tensor> column, Rows<Tensor>::of_block(std::move(blocks[p])));
      columns.push_back({parts_[p].input, std::move(column)});
    }
    return Rows<NamedTensors>::of_columns(std::move(columns));
  }

  /// The same of rows whose names differ: what lacks a name is told so by the model.
  Result<Rows<NamedTensors>> with_states_by_row(const Rows<NamedTensors>& rows,
                                                std::span<const Tensor> blocks) const {
    Rows<NamedTensors> all(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      NamedTensors row = rows[i];
      for (std::size_t p = 0; p < parts_.size(); ++p) {
        // A row that brings a state of its own gets none, and is refused by the model.
        const bool brings_one = row.find(parts_[p].input) != nullptr;
        row.set(parts_[p].input, brings_one ? Tensor() : blocks[p].row(i));
      }
      all.push_back(std::move(row));
    }
    return all;
  }

  /// Takes the states out of what the model answered, and keeps them; what is left.
  Result<Rows<NamedTensors>> keep_states(Outcomes<NamedTensors>& outcomes,
                                         std::span<std::byte* const> states) const {
    Rows<NamedTensors> answered = std::move(outcomes.survivors());
    if (answered.empty()) return answered;
    std::vector<const Rows<Tensor>*> next;
    for (const StatePart& part : parts_) {
      const Result<const Rows<Tensor>*> column = answered.column(part.output);
      if (!column.has_value()) {
        return Error(Status::internal, child_.name() + ": " + column.error().detail);
      }
      GALLEY_TRY(check_next(part, **column));
      next.push_back(*column);
    }
    for (std::size_t p = 0; p < parts_.size(); ++p) {  // from here on nothing fails
      std::size_t survivor = 0;
      for (std::size_t i = 0; i < states.size(); ++i) {
        if (outcomes.casualties().find(i) != nullptr) continue;
        copy_row(*next[p], survivor++, parts_[p], states[i] + parts_[p].offset);
      }
    }
    std::vector<NamedColumn> rest;
    for (const NamedColumn& column : answered.columns()) {
      const bool is_state = std::any_of(parts_.begin(), parts_.end(), [&](const StatePart& part) {
        return part.output == column.name;
      });
      if (!is_state) rest.push_back(column);
    }
    return Rows<NamedTensors>::of_columns(std::move(rest));
  }

  Result<void> check_next(const StatePart& part, const Rows<Tensor>& column) const {
    const auto fits = [&part](const Tensor& tensor, const Shape& shape) {
      return tensor.dtype() == part.dtype && shape == part.shape && tensor.device().is_cpu();
    };
    const Tensor* const block = column.block();
    const bool all_fit =
        block != nullptr ? fits(*block, block->shape().row_shape())
                         : std::all_of(column.ragged().begin(), column.ragged().end(),
                                       [&](const Tensor& row) { return fits(row, row.shape()); });
    if (all_fit) return {};
    return Error(Status::internal, child_.name() + ": output \"" + part.output +
                                       "\" is to be the next step's \"" + part.input +
                                       "\": expected " + std::string(to_string(part.dtype)) + " " +
                                       to_string(part.shape) + " in host memory");
  }

  static void copy_row(const Rows<Tensor>& column, std::size_t row, const StatePart& part,
                       std::byte* to) {
    if (const Tensor* const block = column.block(); block != nullptr && block->is_contiguous()) {
      std::memcpy(to, static_cast<const std::byte*>(block->data()) + row * part.bytes, part.bytes);
      return;
    }
    const Tensor one = column[row];
    [[maybe_unused]] const Result<void> copied = one.copy_into({to, part.bytes});
    GALLEY_ASSERT(copied.has_value());
  }

  Servable<NamedTensors, NamedTensors> child_;
  std::vector<StateTensor> tensors_;  // as they were asked for
  std::vector<StatePart> parts_;
  std::size_t bytes_;
  std::unique_ptr<Sequences<ByteStates>> sequences_;
};

}  // namespace galley::inline v1::detail
