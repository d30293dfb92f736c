#include <src/torch/torch_headers.hpp>

#include <galley/torch/tensor.hpp>
#include <src/torch/describe.hpp>

#include <algorithm>
#include <sstream>
#include <string>
#include <utility>

namespace galley::inline v1::detail {

namespace {

std::string as_python(const c10::IValue& value) {
  std::ostringstream out;
  try {
    value.repr(out, [](std::ostream&, const c10::IValue&) { return false; });
  } catch (...) {  // there is no such text of a tensor
    return value.tagKind();
  }
  return out.str();
}

ModelMethod method_of(const c10::FunctionSchema& schema) {
  ModelMethod method{.name = schema.name()};
  for (std::size_t i = 1; i < schema.arguments().size(); ++i) {  // 0 is the module itself
    const c10::Argument& argument = schema.arguments()[i];
    ModelMethod::Argument one{.name = argument.name(), .type = argument.type()->repr_str()};
    if (argument.default_value().has_value()) one.otherwise = as_python(*argument.default_value());
    method.arguments.push_back(std::move(one));
  }
  for (const c10::Argument& result : schema.returns()) {
    method.returns.append(method.returns.empty() ? "" : ", ").append(result.type()->repr_str());
  }
  return method;
}

void add_constants(TensorCount& to, TensorCounter& counter, const torch::jit::Block& block) {
  for (const torch::jit::Node* node : block.nodes()) {
    const bool is_tensor = node->kind() == c10::prim::Constant &&
                           node->hasAttribute(c10::attr::value) &&
                           node->kindOf(c10::attr::value) == torch::jit::AttributeKind::t;
    if (is_tensor) counter.add(to, node->t(c10::attr::value));
    for (const torch::jit::Block* inner : node->blocks()) add_constants(to, counter, *inner);
  }
}

}  // namespace

std::string dtype_name(at::ScalarType type) {
  const Result<DType> dtype = from_torch(type);
  return dtype.has_value() ? std::string(to_string(*dtype)) : std::string(at::toString(type));
}

StateAttribute describe_attribute(std::string name, const c10::IValue& value) {
  StateAttribute one{.name = std::move(name)};
  if (!value.isTensor()) {
    one.type = value.tagKind();
  } else if (const at::Tensor& tensor = value.toTensor(); tensor.defined()) {
    one.type = dtype_name(tensor.scalar_type());
    one.bytes = tensor.nbytes();
    const Result<Shape> shape = Shape::of({tensor.sizes().data(), tensor.sizes().size()});
    if (shape.has_value()) one.shape = *shape;
  }
  return one;
}

void TensorCounter::add(TensorCount& to, const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.numel() == 0) return;
  const bool is_dense = tensor.layout() == at::kStrided && tensor.has_storage();
  const std::size_t bytes = tensor.layout() == at::kStrided ? tensor.nbytes() : 0;
  const void* place = is_dense ? tensor.data_ptr() : tensor.unsafeGetTensorImpl();
  if (!seen_.emplace(place, bytes).second) return;
  ++to.tensors;
  to.elements += static_cast<std::uint64_t>(tensor.numel());
  to.bytes += bytes;
  std::string dtype = dtype_name(tensor.scalar_type());
  if (std::ranges::find(to.dtypes, dtype) == to.dtypes.end()) to.dtypes.push_back(std::move(dtype));
}

void describe_module(ModelDescription& about, const torch::jit::Module& module) {
  about.format = ModelFormat::torch_script;
  ScriptDescription& script = about.script.emplace();
  TensorCounter counter;
  for (const at::Tensor& tensor : module.parameters()) counter.add(about.parameters, tensor);
  for (const auto& attribute : module.named_attributes()) {
    if (attribute.value.isTensor()) counter.add(about.buffers, attribute.value.toTensor());
  }
  for (const torch::jit::Method& method : module.get_methods()) {
    script.methods.push_back(method_of(method.function().getSchema()));
    auto* graph = dynamic_cast<torch::jit::GraphFunction*>(&method.function());
    if (graph == nullptr) continue;
    const auto inlined = graph->graph()->copy();
    torch::jit::Inline(*inlined);
    add_constants(about.constants, counter, *inlined->block());
  }
  for (const torch::jit::Module& part : module.modules()) {
    script.is_training = script.is_training || (part.hasattr("training") && part.is_training());
  }
}

}  // namespace galley::inline v1::detail
