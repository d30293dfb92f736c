// with_state: a model that takes a state and gives the next one, as a servable of sequences.
#pragma once

#include <galley/compose/stateful/node.hpp>
#include <galley/compose/stateful/options.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/signature.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

/// Errors  failed_precondition: the model has no such input or output, or they are not alike
inline Result<TensorSpec> state_spec(const StateTensor& tensor, const Signature& signature) {
  const auto named = [](std::span<const TensorSpec> specs, const std::string& name) {
    return std::find_if(specs.begin(), specs.end(),
                        [&name](const TensorSpec& spec) { return spec.name == name; });
  };
  const auto wrong = [](const std::string& why) { return Error(Status::failed_precondition, why); };
  const std::span<const TensorSpec> inputs(signature.inputs);
  const std::span<const TensorSpec> outputs(signature.outputs);
  const auto input = named(inputs, tensor.input);
  if (input == inputs.end()) return wrong("the model has no input \"" + tensor.input + "\"");
  const auto output = named(outputs, tensor.output);
  if (output == outputs.end()) return wrong("the model has no output \"" + tensor.output + "\"");
  if (!input->shape.is_fixed()) {
    return wrong("state \"" + tensor.input + "\": expected a fixed shape, got " +
                 to_string(input->shape));
  }
  const bool is_other = output->shape.is_fixed() && !(output->shape == input->shape);
  if (output->dtype != input->dtype || is_other) {
    return wrong("output \"" + tensor.output + "\": expected what input \"" + tensor.input +
                 "\" takes, " + std::string(to_string(input->dtype)) + " " +
                 to_string(input->shape) + ", got " + std::string(to_string(output->dtype)) + " " +
                 to_string(output->shape));
  }
  return *input;
}

/// A part of a state as the model's signature says, else as its first value does.
inline Result<StatePart> state_part(const StateTensor& tensor, const Signature* signature) {
  StatePart part{.input = tensor.input, .output = tensor.output};
  if (signature != nullptr) {
    GALLEY_TRY(const TensorSpec spec, state_spec(tensor, *signature));
    if (tensor.initial.is_defined()) GALLEY_TRY(spec.check(tensor.initial, "initial state"));
    part.dtype = spec.dtype;
    part.shape = spec.shape;
  } else if (tensor.initial.is_defined()) {
    part.dtype = tensor.initial.dtype();
    part.shape = tensor.initial.shape();
  } else {
    return Error(Status::failed_precondition,
                 "the model has no signature: state \"" + tensor.input +
                     "\" needs an initial value, which says its dtype and shape");
  }
  GALLEY_TRY(const Tensor one, Tensor::zeros(part.dtype, part.shape));
  part.bytes = one.byte_size();
  return part;
}

/// The state's parts side by side, and what it is before the first step.
inline Result<std::vector<StatePart>> state_parts(const StateOptions& options,
                                                  const Signature* signature,
                                                  std::vector<std::byte>& initial) {
  std::vector<StatePart> parts;
  for (const StateTensor& tensor : options.tensors) {
    GALLEY_TRY(StatePart part, state_part(tensor, signature));
    for (const StatePart& other : parts) {
      if (other.input != part.input && other.output != part.output) continue;
      return Error(Status::invalid_argument, "options.tensors: \"" + part.input + "\" from \"" +
                                                 part.output + "\" has a name that another has");
    }
    part.offset = initial.size();
    initial.resize(initial.size() + part.bytes);
    if (tensor.initial.is_defined()) {
      GALLEY_TRY(tensor.initial.copy_into(std::span(initial).subspan(part.offset)));
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace detail

/// A servable of sequences: `model` takes a state and gives the next one, and the state of each
/// sequence is kept here between its rows, by their keys. Rows come without the state and are
/// answered without it.
///
/// Rows of one sequence are computed in their order, also several of one batch; of different
/// sequences, together. Where a row fails, is cancelled or late, its sequence's state stays as it
/// was. Behind `batched`, a batch holds one row of a sequence at most. Callers on several threads
/// are let in one after another where they name one sequence, in no order that is promised.
///
///   row without state, key  ->  [n] rows with state  ->  model  ->  rows without; states kept
///
/// Errors   the model's; invalid_argument: no keys; not_found: no such sequence, where they have to
///          be started; resource_exhausted: too many sequences; `check`: failed_precondition or
///          invalid_argument where `options` and the model do not fit, or the model answers later
/// Threads  thread-safe
/// Cost     a batch: two locks; a row: a look-up, and a copy of its state in and out; a sequence:
///          its state and some 100 bytes
/// Example  examples/gru.cpp
template <class Mode = detail::ExceptionMode>
Servable<NamedTensors, NamedTensors> with_state(Servable<NamedTensors, NamedTensors> model,
                                                StateOptions options) {
  using Stateful = Servable<NamedTensors, NamedTensors>;
  std::string name = "with_state(" + model.name() + ")";
  const auto broken = [&name](Status status, const std::string& why) {
    return Stateful::broken(name, Error(status, why));
  };
  const auto signature = model.describe().signature;
  if (options.tensors.empty()) {
    return broken(Status::invalid_argument, "options.tensors: expected one at least, got none");
  }
  if (const Result<void> fits = detail::check_sequences(options, "options."); !fits.has_value()) {
    return broken(fits.status(), fits.error().detail);
  }
  if (!model.traits().inline_only) {
    return broken(Status::failed_precondition,
                  model.name() + " answers later: put batched or on around this, not within");
  }
  if (model.traits().stateful) {
    return broken(Status::failed_precondition, model.name() + " keeps a state already");
  }
  if (signature != nullptr && signature->outputs.size() <= options.tensors.size()) {
    return broken(Status::failed_precondition, model.name() + " gives nothing but its state");
  }
  std::vector<std::byte> initial;
  auto parts = detail::state_parts(options, signature.get(), initial);
  if (!parts.has_value()) return broken(parts.status(), parts.error().detail);
  return Stateful::of_node(
      std::move(name),
      detail::StateNode<Mode>(std::move(model), *std::move(parts), std::move(initial), options));
}

}  // namespace galley::inline v1
