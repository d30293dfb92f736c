#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/pool_before_relu.hpp>
#include <src/torch/reduce.hpp>
#include <src/torch/script_call.hpp>
#include <src/torch/script_state.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace galley::inline v1::detail {

namespace {

using torch::jit::Module;
using torch::jit::Stack;

constexpr std::uint64_t odd = 0x9e3779b97f4a7c15ULL;

std::uint64_t mix_bits(std::uint64_t fingerprint, std::uint64_t bits) {
  return (std::rotl(fingerprint, 5) ^ bits) * odd;
}

std::uint64_t mix_text(std::uint64_t fingerprint, std::string_view text) {
  for (const char c : text) fingerprint = mix_bits(fingerprint, static_cast<unsigned char>(c));
  return mix_bits(fingerprint, text.size());
}

std::uint64_t mix_attributes(std::uint64_t fingerprint, const Module& module) {
  for (const auto& attribute : module.named_attributes()) {
    if (!attribute.value.isObject()) fingerprint = mix_value(fingerprint, attribute.value);
  }
  return fingerprint;
}

// The calling thread's stack of arguments: borrowed for a call and given back empty, so that a call
// allocates none. A call within a call finds none and allocates its own.
class BorrowedStack {
 public:
  BorrowedStack() noexcept : spare_(spare()) { stack.swap(spare_); }
  BorrowedStack(const BorrowedStack&) = delete;
  BorrowedStack& operator=(const BorrowedStack&) = delete;
  ~BorrowedStack() {
    stack.clear();
    stack.swap(spare_);
  }

  Stack stack;

 private:
  static Stack& spare() noexcept {
    thread_local Stack kept;
    return kept;
  }

  Stack& spare_;
};

at::Tensor laid_out(const at::Tensor& input) {
  return input.dim() == 4 ? input.contiguous(at::MemoryFormat::ChannelsLast) : input;
}

// A copy of the module whose weights of images lie so.
Result<Module> with_channels_last(const Module& module) {
  Module changed = module.deepcopy();
  bool any = false;
  for (Module part : changed.modules()) {
    for (const auto& attribute : part.named_attributes(/*recurse=*/false)) {
      if (!attribute.value.isTensor()) continue;
      const at::Tensor& tensor = attribute.value.toTensor();
      if (!tensor.defined() || tensor.dim() != 4 || !tensor.is_floating_point()) continue;
      part.setattr(attribute.name, laid_out(tensor));
      any = true;
    }
  }
  if (!any) return refused("the model has no weights of images, which have four extents");
  return changed;
}

bool has_node(const torch::jit::Block& block, c10::Symbol kind) {
  for (const torch::jit::Node* node : block.nodes()) {
    if (node->kind() == kind) return true;
    for (const torch::jit::Block* inner : node->blocks()) {
      if (has_node(*inner, kind)) return true;
    }
  }
  return false;
}

// Puts convolutions in oneDNN's layout, and relu where it has less to do.
Result<void> lay_out_convolutions(std::shared_ptr<torch::jit::Graph> graph) {
  pool_before_relu(*graph->block());
  torch::jit::ConvertFrozenOpsToMKLDNN(graph);
  if (!has_node(*graph->block(), c10::Symbol::fromQualString("prim::mkldnn_convolution"))) {
    return refused("LibTorch finds no convolution in the model that it can change");
  }
  return {};
}

// The module with what the method needs as constants of its graph, but for attributes to be kept.
Module frozen(const Module& module, const std::string& method,
              const std::optional<std::vector<std::string>>& state) {
  std::vector<std::string> kept = state.value_or(std::vector<std::string>());
  if (method == "forward") return torch::jit::freeze(module, std::move(kept));
  kept.push_back(method);
  Module changed = torch::jit::freeze_module(module, std::move(kept));
  auto graph = changed.get_method(method).graph();
  torch::jit::OptimizeFrozenGraph(graph);
  return changed;
}

/// Errors  failed_precondition: the graph assigns to an attribute that is not the state's
Result<void> check_assignments(const torch::jit::Graph& graph, const std::string& method,
                               const std::optional<std::vector<std::string>>& state) {
  for (const Assignment& assigned : assignments_in(graph)) {
    if (state.has_value() && (!assigned.is_own || is_among(assigned.path, *state))) continue;
    return refused(text({"changes its own state: ", method, " assigns to its attribute \"",
                         assigned.path, "\"; options.state keeps one for each sequence"}));
  }
  return {};
}

// The module in a form; `doing` says what it is about to do to it.
Result<Module> in_form(const Module& module, const std::string& name, const ScriptCall::Form& form,
                       std::string& doing) {
  Module changed = module;
  if (form.layout == ScriptCall::Layout::channels_last) {
    doing = "laying out its images";
    GALLEY_TRY(changed, with_channels_last(module));
  }
  if (form.freeze == Freeze::yes) {
    doing = "freezing it";
    changed = frozen(changed, name, form.state);
  }
  if (form.reduction.has_value()) {
    doing = "reducing its precision";
    GALLEY_TRY(reduce(changed, name, *form.reduction));
  }
  if (form.optimize == Optimize::for_inference) {
    doing = "optimising it for inference";
    changed = torch::jit::optimize_for_inference(
        changed, name == "forward" ? std::vector<std::string>() : std::vector{name});
  }
  if (form.convolutions == ScriptCall::Convolutions::in_own_layout) {
    doing = "changing its convolutions";
    GALLEY_TRY(lay_out_convolutions(changed.get_method(name).graph()));
  }
  return changed;
}

}  // namespace

std::uint64_t mix_value(std::uint64_t fingerprint, const c10::IValue& value) {
  if (value.isTensor()) return mix(fingerprint, value.toTensor());
  if (value.isInt()) return mix_bits(fingerprint, static_cast<std::uint64_t>(value.toInt()));
  if (value.isDouble()) {
    return mix_bits(fingerprint, std::bit_cast<std::uint64_t>(value.toDouble()));
  }
  if (value.isBool()) return mix_bits(fingerprint, value.toBool() ? 2U : 1U);
  if (value.isString()) return mix_text(fingerprint, value.toStringRef());
  if (value.isTuple()) {
    for (const c10::IValue& e : value.toTuple()->elements())
      fingerprint = mix_value(fingerprint, e);
  } else if (value.isList()) {
    for (const c10::IValue& e : value.toListRef()) fingerprint = mix_value(fingerprint, e);
  } else if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) {
      fingerprint = mix_value(mix_value(fingerprint, entry.key()), entry.value());
    }
  }
  return fingerprint;
}

std::uint64_t mix(std::uint64_t fingerprint, const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.layout() != at::kStrided || tensor.is_quantized()) {
    return fingerprint;
  }
  const at::Tensor dense = tensor.detach().to(at::kCPU).contiguous();
  const auto* bytes = static_cast<const char*>(dense.data_ptr());
  const std::size_t count = dense.nbytes();
  std::size_t i = 0;
  for (; i + sizeof(std::uint64_t) <= count; i += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + i, sizeof word);
    fingerprint = mix_bits(fingerprint, word);
  }
  return mix_text(fingerprint, {bytes + i, count - i});
}

std::vector<std::string> names_by_position(std::size_t count, std::span<const TensorSpec> declared,
                                           std::vector<std::string> found) {
  if (!declared.empty() && declared.size() != count) {
    throw std::runtime_error("gives " + std::to_string(count) + " outputs, " +
                             std::to_string(declared.size()) + " are declared");
  }
  if (declared.empty() && found.size() == count) return found;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    names.push_back(declared.empty() ? std::to_string(i) : declared[i].name);
  }
  return names;
}

void check_output_count(std::size_t got, std::size_t wanted) {
  if (got == wanted) return;
  throw std::runtime_error("gave " + std::to_string(got) + " outputs, expected " +
                           std::to_string(wanted));
}

ScriptCall::ScriptCall(Module source, Module form)
    : source_(std::move(source)), form_(std::move(form)), self_(form_._ivalue()) {}

Result<std::unique_ptr<ScriptCall>> ScriptCall::make(const Module& module,
                                                     const Signature& signature, const Form& form) {
  const std::string& name = signature.method;
  std::string doing = "finding its " + name;
  try {
    if (!module.find_method(name)) return refused(text({"the model has no method ", name}));
    GALLEY_TRY(Module changed, in_form(module, name, form, doing));
    doing = "looking at its graph";
    std::unique_ptr<ScriptCall> call(new ScriptCall(module, std::move(changed)));
    call->layout_ = form.layout;
    const torch::jit::Method method = call->form_.get_method(name);
    call->function_ = &method.function();
    GALLEY_TRY(call->arguments_, ScriptArguments::of(call->function_->getSchema(), signature.inputs,
                                                     signature.arguments, signature.rows));
    call->rows_ = signature.rows;
    if (auto* graph = dynamic_cast<torch::jit::GraphFunction*>(call->function_)) {
      if (form.profiling == Profiling::off) {
        graph->_set_initial_executor_execution_mode(torch::jit::ExecutorExecutionMode::SIMPLE);
        Stack unused;  // the simple executor has one plan, whatever the inputs
        call->plan_ = graph->get_executor().getPlanFor(unused);
      }
      const auto inlined = graph->graph()->copy();
      torch::jit::Inline(*inlined);
      GALLEY_TRY(check_assignments(*inlined, name, form.state));
    }
    return call;
  } catch (...) {
    Error error = caught(Status::failed_precondition);
    error.detail = text({"the model does not allow ", doing, ": ", error.detail});
    return error;
  }
}

inline void ScriptCall::run(Stack& stack) const {
  if (plan_.has_value()) [[likely]] {
    torch::jit::InterpreterState(plan_->code).run(stack);
  } else {
    function_->run(stack);
  }
}

c10::IValue ScriptCall::run(const c10::IValue& self, std::span<const at::Tensor> inputs) const {
  BorrowedStack borrowed;
  Stack& stack = borrowed.stack;
  stack.push_back(self);
  if (layout_ == Layout::contiguous) [[likely]] {
    arguments_.push(inputs, stack);
  } else {
    Tensors images;
    for (const at::Tensor& input : inputs) images.push_back(laid_out(input));
    arguments_.push({images.data(), images.size()}, stack);
  }
  run(stack);
  return std::move(stack.back());
}

[[gnu::hot]] at::Tensor ScriptCall::one(const at::Tensor& input) const {
  if (layout_ != Layout::contiguous) [[unlikely]] {
    Tensors outputs;
    (*this)({&input, 1}, outputs);
    check_output_count(outputs.size(), 1);
    return std::move(outputs.front());
  }
  BorrowedStack borrowed;
  Stack& stack = borrowed.stack;
  stack.push_back(self_);
  arguments_.push({&input, 1}, stack);
  run(stack);
  if (stack.back().isTensor()) [[likely]]
    return std::move(stack.back()).toTensor();
  Tensors outputs;
  outputs_.unpack(std::move(stack.back()), outputs);
  check_output_count(outputs.size(), 1);
  return std::move(outputs.front());
}

void ScriptCall::operator()(std::span<const at::Tensor> inputs, Tensors& outputs) const {
  if (row_outputs_.has_value()) [[unlikely]] {
    row_outputs_->unpack(run(self_, inputs), static_cast<std::size_t>(inputs.front().size(0)),
                         outputs);
  } else {
    outputs_.unpack(run(self_, inputs), outputs);
  }
  if (layout_ == Layout::contiguous) [[likely]]
    return;
  for (at::Tensor& output : outputs) output = output.contiguous();
}

void ScriptCall::call_of(const c10::IValue& self, std::span<const at::Tensor> inputs,
                         Tensors& outputs) const {
  outputs_.unpack(run(self, inputs), outputs);
}

std::vector<std::string> ScriptCall::bind_outputs(std::span<const at::Tensor> inputs,
                                                  std::span<const TensorSpec> declared) {
  return bind_outputs_of(self_, inputs, declared);
}

std::vector<std::string> ScriptCall::bind_outputs_of(const c10::IValue& self,
                                                     std::span<const at::Tensor> inputs,
                                                     std::span<const TensorSpec> declared) {
  const c10::IValue answer = run(self, inputs);
  if (rows_ == RowsAs::list) {
    const auto rows = static_cast<std::size_t>(inputs.front().size(0));
    row_outputs_ = ScriptRows::in(answer, rows, declared);
    if (row_outputs_.has_value()) return row_outputs_->names();
  }
  outputs_ = ScriptOutputs::in(answer, declared);
  return outputs_.names();
}

std::uint64_t ScriptCall::fingerprint() const {
  return mix_attributes(mix_attributes(odd, source_), form_);
}

}  // namespace galley::inline v1::detail
