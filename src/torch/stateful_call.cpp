#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <src/torch/difference.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/stateful_call.hpp>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace galley::inline v1::detail {

namespace {

using torch::jit::Module;

constexpr int steps = 3;  // of each row while a model is checked

/// The inlined graph of a method; null where it is none of TorchScript's.
std::shared_ptr<torch::jit::Graph> graph_of(const Module& module, const std::string& method) {
  const torch::jit::Method found = module.get_method(method);
  auto* const function = dynamic_cast<torch::jit::GraphFunction*>(&found.function());
  if (function == nullptr) return nullptr;
  auto graph = function->graph()->copy();
  torch::jit::Inline(*graph);
  return graph;
}

void add_path(std::vector<std::string>& paths, const std::string& path) {
  if (is_among(path, paths)) return;
  std::erase_if(paths, [&](const std::string& one) { return is_among(one, {&path, 1}); });
  paths.push_back(path);
}

/// All attributes of this name: one of them may be what is assigned to.
void add_all_called(std::vector<std::string>& paths, const Module& module,
                    const std::string& name) {
  for (const ScriptAttribute& attribute : attributes_of(module)) {
    const std::string_view path = attribute.path;
    const std::size_t dot = path.rfind('.');
    if (path.substr(dot == path.npos ? 0 : dot + 1) == name) add_path(paths, attribute.path);
  }
}

/// The fingerprint of each attribute.
std::vector<std::pair<std::string, std::uint64_t>> fingerprints(const Module& module) {
  std::vector<std::pair<std::string, std::uint64_t>> all;
  for (const ScriptAttribute& attribute : attributes_of(module)) {
    all.emplace_back(attribute.path, mix_value(1, attribute.value()));
  }
  return all;
}

void add_changed(std::vector<std::string>& paths, const Module& module,
                 const std::vector<std::pair<std::string, std::uint64_t>>& before) {
  for (const auto& [path, fingerprint] : fingerprints(module)) {
    const auto same = std::pair(path, fingerprint);
    if (std::ranges::find(before, same) == before.end()) add_path(paths, path);
  }
}

Result<void> reset(const Module& module, const std::string& method) {
  if (method.empty()) return {};
  try {
    module.get_method(method)({});
    return {};
  } catch (...) {
    return refused(text(
        {"options.state.reset: ", method, "() does not run without arguments: ", caught().detail}));
  }
}

/// What a module answers to rows, one after another.
std::vector<Tensors> answers_to(const ScriptCall& call, const Columns& rows) {
  std::vector<Tensors> all;
  for (std::int64_t row = 0; row < rows.front().size(0); ++row) {
    Tensors inputs = row_at(rows, row);
    for (at::Tensor& input : inputs) input = input.clone(at::MemoryFormat::Contiguous);
    Tensors& outputs = all.emplace_back();
    call({inputs.data(), inputs.size()}, outputs);
    for (at::Tensor& output : outputs) output = output.clone();
  }
  return all;
}

/// Why `other` does not answer as `plain` does; empty where it does.
std::string unlike(StatefulCall& other, StatefulCall& plain, const Columns& samples,
                   const FunctionOptions& options) {
  const std::vector<std::string> names = plain.bind_outputs(samples, options.outputs);
  Tensors wanted;
  plain(samples, wanted);
  try {
    other.bind_outputs(samples, options.outputs);
    Tensors got;
    other(samples, got);
    const auto found = difference(got, wanted, options.tolerance);
    return found.has_value() ? to_string(*found, names[found->tensor], "as saved") : "";
  } catch (...) {
    return caught().detail;
  }
}

}  // namespace

Tensors row_at(std::span<const at::Tensor> columns, std::int64_t row) {
  Tensors one;
  for (const at::Tensor& column : columns) one.push_back(column.narrow(0, row, 1));
  return one;
}

Result<std::unique_ptr<StatefulCall>> StatefulCall::make(const Module& module,
                                                         const ScriptCall::Signature& signature,
                                                         ScriptCall::Form form,
                                                         const Module& initial) {
  GALLEY_TRY(auto call, ScriptCall::make(module, signature, form));
  std::vector<std::string> paths = form.state.value_or(std::vector<std::string>());
  if (form.freeze == Freeze::yes) {  // what it leaves may be written to in place
    for (const ScriptAttribute& left : attributes_of(call->form())) add_path(paths, left.path);
  }
  std::unique_ptr<StatefulCall> made(new StatefulCall(std::move(call)));
  GALLEY_TRY(made->state_, ScriptState::of(made->call_->form(), paths, initial));
  return made;
}

void StatefulCall::step(State& state, std::span<const at::Tensor> row,
                        FunctionRef<void(Tensors&)> take) const {
  ScriptState::Values before = state_.save(state);
  try {
    Tensors inputs;  // copies: the state may keep a part of them
    for (const at::Tensor& input : row) {
      inputs.push_back(input.clone(at::MemoryFormat::Contiguous));
    }
    Tensors outputs;
    call_->call_of(state.self(), {inputs.data(), inputs.size()}, outputs);
    inputs.clear();
    take(outputs);
    outputs.clear();
    state_.trim(state);
  } catch (...) {
    state_.restore(state, std::move(before));
    throw;
  }
}

void StatefulCall::operator()(std::span<const at::Tensor> inputs, Tensors& outputs) const {
  const std::int64_t rows = inputs.front().size(0);
  std::vector<State> states;
  for (std::int64_t row = 0; row < rows; ++row) states.push_back(fresh());
  std::vector<std::vector<at::Tensor>> last;  // of each output the rows
  for (int done = 0; done < steps; ++done) {
    last.clear();
    for (std::int64_t row = 0; row < rows; ++row) {
      const Tensors one = row_at(inputs, row);
      step(states[static_cast<std::size_t>(row)], {one.data(), one.size()}, [&](Tensors& given) {
        last.resize(given.size());
        for (std::size_t i = 0; i < given.size(); ++i) {
          if (given[i].dim() == 0) throw std::runtime_error("expected [1, ...], got a scalar");
          last[i].push_back(given[i].clone());
        }
      });
    }
  }
  for (const std::vector<at::Tensor>& column : last) outputs.push_back(at::cat(column));
}

at::Tensor StatefulCall::one(const at::Tensor& input) const {
  Tensors outputs;
  (*this)({&input, 1}, outputs);
  check_output_count(outputs.size(), 1);
  return std::move(outputs.front());
}

std::vector<std::string> StatefulCall::bind_outputs(std::span<const at::Tensor> inputs,
                                                    std::span<const TensorSpec> declared) {
  const State state = fresh();
  const Tensors row = row_at(inputs, 0);
  return call_->bind_outputs_of(state.self(), {row.data(), row.size()}, declared);
}

Result<std::vector<std::string>> stated_attributes(const Module& module, const std::string& method,
                                                   const ModuleState& state) {
  std::vector<std::string> paths;
  for (const std::string& name : {method, state.reset}) {
    if (name.empty()) continue;
    if (!module.find_method(name)) return refused(text({"the model has no method ", name}));
    const auto graph = graph_of(module, name);
    if (graph == nullptr) continue;
    for (const Assignment& assigned : assignments_in(*graph)) {
      if (assigned.is_own) {
        add_path(paths, assigned.path);
      } else {
        add_all_called(paths, module, assigned.path);
      }
    }
  }
  for (const std::string& path : state.attributes) {
    if (!has_attribute(module, path)) {
      return refused(text({"options.state.attributes: the model has no attribute \"", path, "\""}));
    }
    add_path(paths, path);
  }
  return paths;
}

Result<FoundState> find_state(const Module& module, const ScriptCall::Signature& signature,
                              const ModuleState& state, Profiling profiling, const Columns& samples,
                              const FunctionOptions& options) {
  FoundState found;
  GALLEY_TRY(found.paths, stated_attributes(module, signature.method, state));
  const Module trial = copy_of(module);
  const auto as_saved = fingerprints(trial);
  GALLEY_TRY(reset(trial, state.reset));
  add_changed(found.paths, trial, as_saved);
  found.initial = module;  // but for what the reset method left
  if (!found.paths.empty()) {
    GALLEY_TRY(const ScriptState left, ScriptState::of(module, found.paths, trial));
    found.initial = left.fresh().self().toModule();
  }
  const auto before = fingerprints(trial);
  GALLEY_TRY(auto call, ScriptCall::make(
                            trial, signature,
                            {.freeze = Freeze::no, .profiling = profiling, .state = found.paths}));
  std::vector<Tensors>& first = found.answers.of_rows;
  try {
    const Tensors row = row_at(samples, 0);
    found.answers.names =
        call->bind_outputs_of(copy_of(trial)._ivalue(), {row.data(), row.size()}, options.outputs);
    first = answers_to(*call, samples);
  } catch (...) {
    Error error = caught(Status::failed_precondition);
    error.detail = text({"failed on sample rows, one at a time: ", error.detail});
    return error;
  }
  add_changed(found.paths, trial, before);
  if (state.reset.empty()) return found;
  GALLEY_TRY(reset(trial, state.reset));
  const std::vector<Tensors> again = answers_to(*call, samples);
  for (std::size_t i = 0; i < again.size(); ++i) {
    const auto off = difference(again[i], first[i], options.tolerance);
    if (!off.has_value()) continue;
    return refused(
        text({"options.state.reset: after ", state.reset, "(), at row ", std::to_string(i + 1),
              ", ", to_string(*off, found.answers.names[off->tensor], "at first"),
              ": it does not take back all that changes"}));
  }
  return found;
}

Result<void> check_copy(const StatefulCall& call, const Columns& samples, const Answers& wanted,
                        const Tolerance& tolerance) {
  StatefulCall::State state = call.fresh();
  for (std::size_t i = 0; i < wanted.of_rows.size(); ++i) {
    const Tensors row = row_at(samples, static_cast<std::int64_t>(i));
    std::optional<Difference> off;
    call.step(state, {row.data(), row.size()},
              [&](Tensors& outputs) { off = difference(outputs, wanted.of_rows[i], tolerance); });
    if (!off.has_value()) continue;
    return refused(text({"options.state: at row ", std::to_string(i + 1),
                         " of a sequence with a copy of what changes, ",
                         to_string(*off, wanted.names[off->tensor], "the module itself"),
                         ": something that changes is reached in two ways"}));
  }
  return {};
}

Result<ChosenCall> choose_call(const Module& module, const ScriptCall::Signature& signature,
                               ScriptCall::Form form, FoundState found, const Columns& samples,
                               const FunctionOptions& options) {
  ChosenCall chosen;
  form.state = found.paths;
  const bool is_plain = form.freeze == Freeze::no && form.optimize == Optimize::no;
  if (!is_plain) {
    auto made = StatefulCall::make(module, signature, form, found.initial);
    if (made.has_value()) {
      chosen.call = *std::move(made);
      for (const std::string& path : chosen.call->state().paths()) add_path(found.paths, path);
    } else {
      chosen.refused = made.error().detail;
    }
  }
  if (found.paths.empty()) {
    return refused(text({"keeps no state: ", signature.method,
                         " assigns to no attribute and changes none; leave out options.state"}));
  }
  form.freeze = Freeze::no;
  form.optimize = Optimize::no;
  form.state = std::move(found.paths);
  GALLEY_TRY(auto plain, StatefulCall::make(module, signature, form, found.initial));
  if (chosen.call != nullptr) chosen.refused = unlike(*chosen.call, *plain, samples, options);
  if (chosen.call == nullptr || !chosen.refused.empty()) chosen.call = std::move(plain);
  return chosen;
}

}  // namespace galley::inline v1::detail
