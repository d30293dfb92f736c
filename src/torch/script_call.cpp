#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/script_call.hpp>

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

// The attribute that the graph assigns to, or null.
const std::string* assigned_attribute(const torch::jit::Block& block) {
  for (const torch::jit::Node* node : block.nodes()) {
    if (node->kind() == c10::prim::SetAttr) return &node->s(c10::attr::name);
    for (const torch::jit::Block* inner : node->blocks()) {
      if (const std::string* name = assigned_attribute(*inner)) return name;
    }
  }
  return nullptr;
}

bool is_tensor_like(const c10::Argument& argument) {
  const c10::TypeKind kind = argument.type()->kind();
  if (kind == c10::TypeKind::TensorType) return true;
  return kind == c10::TypeKind::OptionalType && !argument.default_value().has_value() &&
         argument.type()->isSubtypeOf(*c10::OptionalType::ofTensor());
}

const at::Tensor& tensor_in(const c10::IValue& value) {
  if (value.isTensor()) return value.toTensor();
  throw std::runtime_error("gives " + value.tagKind() + " within its answer, expected tensors");
}

// The names that a tuple's fields have of themselves, if any.
std::vector<std::string> field_names(const c10::ivalue::Tuple& tuple) {
  std::vector<std::string> names;
  const auto type = tuple.type();
  if (const auto& schema = type->schema(); schema != nullptr) {
    for (const c10::Argument& field : schema->arguments()) names.push_back(field.name());
  }
  return names;
}

}  // namespace

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

Result<std::unique_ptr<ScriptCall>> ScriptCall::make(const Module& module, const Form& form) {
  const char* doing = "finding its forward";
  try {
    if (!module.find_method("forward")) return refused("the model has no method forward");
    Module changed = module;
    if (form.freeze == Freeze::yes) {
      doing = "freezing it";
      changed = torch::jit::freeze(module);
    }
    if (form.optimize == Optimize::for_inference) {
      doing = "optimising it for inference";
      changed = torch::jit::optimize_for_inference(changed);
    }
    doing = "looking at its graph";
    std::unique_ptr<ScriptCall> call(new ScriptCall(module, std::move(changed)));
    const torch::jit::Method method = call->form_.get_method("forward");
    call->function_ = &method.function();
    GALLEY_TRY(call->read_schema());
    if (auto* graph = dynamic_cast<torch::jit::GraphFunction*>(call->function_)) {
      if (form.profiling == Profiling::off) {
        graph->_set_initial_executor_execution_mode(torch::jit::ExecutorExecutionMode::SIMPLE);
        Stack unused;  // the simple executor has one plan, whatever the inputs
        call->plan_ = graph->get_executor().getPlanFor(unused);
      }
      const auto inlined = graph->graph()->copy();
      torch::jit::Inline(*inlined);
      if (const std::string* name = assigned_attribute(*inlined->block())) {
        return refused("changes its own state: forward assigns to its attribute \"" + *name + "\"");
      }
    }
    return call;
  } catch (...) {
    Error error = caught(Status::failed_precondition);
    error.detail = text({"the model does not allow ", doing, ": ", error.detail});
    return error;
  }
}

Result<void> ScriptCall::read_schema() {
  const std::vector<c10::Argument>& arguments = function_->getSchema().arguments();
  for (std::size_t i = 1; i < arguments.size(); ++i) {  // 0 is the module itself
    const c10::Argument& argument = arguments[i];
    if (is_tensor_like(argument) && defaults_.empty() && !argument.default_value().has_value()) {
      input_names_.push_back(argument.name());
    } else if (argument.default_value().has_value()) {
      defaults_.push_back(*argument.default_value());
    } else {
      return refused(text({"forward's argument \"", argument.name(), "\": expected Tensor, got ",
                           argument.type()->repr_str()}));
    }
  }
  if (input_names_.empty()) return refused("forward takes no tensor");
  return {};
}

inline void ScriptCall::run(Stack& stack) const {
  if (plan_.has_value()) [[likely]] {
    torch::jit::InterpreterState(plan_->code).run(stack);
  } else {
    function_->run(stack);
  }
}

c10::IValue ScriptCall::run(std::span<const at::Tensor> inputs) const {
  BorrowedStack borrowed;
  Stack& stack = borrowed.stack;
  stack.reserve(1 + inputs.size() + defaults_.size());
  stack.push_back(self_);
  for (const at::Tensor& input : inputs) stack.emplace_back(input);
  stack.insert(stack.end(), defaults_.begin(), defaults_.end());
  run(stack);
  return std::move(stack.back());
}

[[gnu::hot]] at::Tensor ScriptCall::one(const at::Tensor& input) const {
  BorrowedStack borrowed;
  Stack& stack = borrowed.stack;
  stack.push_back(self_);
  stack.emplace_back(input);
  for (const c10::IValue& value : defaults_) stack.push_back(value);
  run(stack);
  if (stack.back().isTensor()) [[likely]]
    return std::move(stack.back()).toTensor();
  Tensors outputs;
  unpack(std::move(stack.back()), outputs);
  check_output_count(outputs.size(), 1);
  return std::move(outputs.front());
}

void ScriptCall::operator()(std::span<const at::Tensor> inputs, Tensors& outputs) const {
  unpack(run(inputs), outputs);
}

void ScriptCall::unpack(c10::IValue answer, Tensors& outputs) const {
  if (answer.isTensor()) {
    outputs.push_back(std::move(answer).toTensor());
  } else if (answer.isTuple()) {
    for (const c10::IValue& e : answer.toTupleRef().elements()) outputs.push_back(tensor_in(e));
  } else if (answer.isList()) {
    for (const c10::IValue& e : answer.toListRef()) outputs.push_back(tensor_in(e));
  } else if (answer.isGenericDict()) {
    const auto dict = std::move(answer).toGenericDict();
    for (const c10::IValue& key : keys_) {
      const auto entry = dict.find(key);
      if (entry == dict.end()) throw std::runtime_error("gives no \"" + key.toStringRef() + "\"");
      outputs.push_back(tensor_in(entry->value()));
    }
  } else {
    throw std::runtime_error("gives " + answer.tagKind() +
                             ", expected a tensor, or a tuple, list or dict of tensors");
  }
}

std::vector<std::string> ScriptCall::bind_outputs(std::span<const at::Tensor> inputs,
                                                  std::span<const TensorSpec> declared) {
  const c10::IValue answer = run(inputs);
  if (answer.isTuple()) {
    const c10::ivalue::Tuple& tuple = answer.toTupleRef();
    return names_by_position(tuple.elements().size(), declared, field_names(tuple));
  }
  if (answer.isList()) return names_by_position(answer.toListRef().size(), declared);
  if (!answer.isGenericDict()) return names_by_position(1, declared);

  std::vector<std::string> names;
  for (const TensorSpec& spec : declared) names.push_back(spec.name);
  for (const auto& entry : answer.toGenericDict()) {
    if (!entry.key().isString()) throw std::runtime_error("gives a dict whose keys are not text");
    if (declared.empty()) names.push_back(entry.key().toStringRef());
  }
  for (const std::string& name : names) keys_.emplace_back(name);
  return names;
}

std::uint64_t ScriptCall::fingerprint() const {
  return mix_attributes(mix_attributes(odd, source_), form_);
}

}  // namespace galley::inline v1::detail
