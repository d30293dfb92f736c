#include <src/torch/torch_headers.hpp>

#include <galley/core/text.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/reduce.hpp>
#include <src/torch/torch_compat.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

namespace {

namespace aten = c10::aten;
using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;

void each_node(Block& block, const std::function<void(Node&)>& visit) {
  for (Node* node : block.nodes()) {
    for (Block* inner : node->blocks()) each_node(*inner, visit);
    visit(*node);
  }
}

// ---- 16 bits -----------------------------------------------------------------------------------

/// `value` with its floating tensors, and those of a list of tensors, in another dtype; nothing
/// when it has none.
std::optional<c10::IValue> converted(const c10::IValue& value, at::ScalarType dtype) {
  const auto is_floating = [](const at::Tensor& t) { return t.defined() && t.is_floating_point(); };
  if (value.isTensor()) {
    const at::Tensor& tensor = value.toTensor();
    if (!is_floating(tensor)) return std::nullopt;
    return tensor.to(dtype);
  }
  if (!value.isTensorList()) return std::nullopt;
  c10::List<at::Tensor> list;
  for (const at::Tensor& tensor : value.toTensorVector()) {
    list.push_back(is_floating(tensor) ? tensor.to(dtype) : tensor);
  }
  return list;
}

void convert(Module& frozen, Graph& graph, at::ScalarType dtype) {
  std::vector<Node*> constants;
  each_node(*graph.block(), [&](Node& node) {
    if (node.kind() == c10::prim::Constant) constants.push_back(&node);
  });
  for (Node* constant : constants) {
    const auto value = torch::jit::toIValue(constant->output());
    if (!value.has_value()) continue;
    const auto changed = converted(*value, dtype);
    if (!changed.has_value()) continue;
    const torch::jit::WithInsertPoint here(constant);
    constant->output()->replaceAllUsesWith(graph.insertConstant(*changed));
    constant->destroy();
  }
  for (Module part : frozen.modules()) {  // what freezing left
    for (const auto& attribute : part.named_attributes(/*recurse=*/false)) {
      const auto changed = converted(attribute.value, dtype);
      if (changed.has_value()) part.setattr(attribute.name, *changed);
    }
  }
}

// ---- 8 bits ------------------------------------------------------------------------------------

/// x -> x · weightᵀ + bias, as a node of the graph.
struct Linear {
  Node* node = nullptr;
  Value* x = nullptr;
  at::Tensor weight = {};  // [out, in]
  Value* bias = nullptr;   // null: none
};

std::optional<at::Tensor> constant_matrix(Value* value) {
  const auto constant = torch::jit::toIValue(value);
  if (!constant.has_value() || !constant->isTensor()) return std::nullopt;
  const at::Tensor& tensor = constant->toTensor();
  const bool fits = tensor.defined() && tensor.layout() == at::kStrided && tensor.dim() == 2 &&
                    tensor.scalar_type() == at::kFloat && tensor.numel() != 0;
  return fits ? std::optional(tensor) : std::nullopt;
}

bool is_one(Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant.has_value() && ((constant->isInt() && constant->toInt() == 1) ||
                                  (constant->isDouble() && constant->toDouble() == 1));
}

/// What freezing leaves of linear layers: `linear`, and in older files `addmm` or a product with
/// the transposed weight.
std::optional<Linear> linear_of(Node& node) {
  if (node.kind() == aten::linear) {
    const auto weight = constant_matrix(node.input(1));
    if (!weight.has_value()) return std::nullopt;
    return Linear{&node, node.input(0), *weight,
                  node.input(2)->mustBeNone() ? nullptr : node.input(2)};
  }
  if (node.kind() == aten::addmm && is_one(node.input(3)) && is_one(node.input(4))) {
    const auto transposed = constant_matrix(node.input(2));
    if (!transposed.has_value()) return std::nullopt;
    return Linear{&node, node.input(1), transposed->t(), node.input(0)};
  }
  if (node.kind() == aten::mm || node.kind() == aten::matmul) {
    const auto transposed = constant_matrix(node.input(1));
    if (!transposed.has_value()) return std::nullopt;
    return Linear{&node, node.input(0), transposed->t()};
  }
  return std::nullopt;
}

/// The object that the engine's kernels take: weights in their layout.
c10::IValue packed(const at::Tensor& weight) {
  const at::Tensor scales = (weight.abs().amax(1) / 127.0).to(at::kDouble).clamp_min(1e-30);
  const at::Tensor zeros = at::zeros({weight.size(0)}, at::kLong);
  const at::Tensor quantised =
      at::quantize_per_channel(weight.contiguous(), scales, zeros, 0, at::kQInt8);
  const auto prepack =
      c10::Dispatcher::singleton().findSchemaOrThrow("quantized::linear_prepack", "");
  torch::jit::Stack stack{quantised, c10::IValue()};
  prepack.callBoxed(stack);
  return stack.back();
}

/// Whether nothing that `value` can be is negative, by what it was made with. Nothing else uses it,
/// which might change it in its place.
bool is_never_negative(const Value& value) {
  const auto kind = value.node()->kind();
  return (kind == aten::relu || kind == aten::sigmoid) && value.uses().size() == 1;
}

Value* call(Graph& graph, const char* name, const std::vector<torch::jit::NamedValue>& arguments) {
  return graph.insert(c10::Symbol::fromQualString(name), arguments);
}

/// Each row of `x` divided by its greatest magnitude, and longer: by 1, and by -1 where there may
/// be negatives. LibTorch's kernel takes its scale from the least and the greatest of a batch: so
/// they are the same in every call. Of rows that are zeros or not finite zeros are left.
Value* scaled(Graph& graph, Value* x, Value* greatest, bool is_positive) {
  std::vector<Value*> parts{x, greatest};
  if (!is_positive) parts.push_back(call(graph, "aten::neg", {greatest}));
  Node* list = graph.insertNode(graph.createList(c10::TensorType::get(), parts));
  Value* longer = call(graph, "aten::cat", {list->output(), -1});
  return call(graph, "aten::nan_to_num", {call(graph, "aten::div", {longer, greatest})});
}

/// Puts a layer on 8-bit integers.
void quantise(Module& frozen, Graph& graph, const Linear& layer, const std::string& name,
              bool with_reduced_range) {
  const bool is_positive = is_never_negative(*layer.x);
  const c10::IValue object = packed(at::constant_pad_nd(layer.weight, {0, is_positive ? 1 : 2}));
  frozen.register_attribute(name, object.type(), object);

  const torch::jit::WithInsertPoint here(layer.node);
  const c10::IValue last(std::vector<std::int64_t>{-1});
  Value* weight = graph.insertGetAttr(graph.inputs().front(), name);
  Value* greatest = call(graph, "aten::amax", {call(graph, "aten::abs", {layer.x}), last, true});
  Value* answer = call(graph, "quantized::linear_dynamic",
                       {scaled(graph, layer.x, greatest, is_positive), weight, with_reduced_range});
  answer = layer.bias == nullptr ? call(graph, "aten::mul", {answer, greatest})
                                 : call(graph, "aten::addcmul", {layer.bias, answer, greatest});
  layer.node->output()->replaceAllUsesWith(answer);
}

/// Whether activations have 7 bits of the 8, as LibTorch's defaults for the engine say: products of
/// the full range overflow its kernels on processors without VNNI (`get_default_qconfig` in
/// torch/ao/quantization/qconfig.py).
bool has_reduced_range(at::QEngine engine) {
  return engine == at::QEngine::FBGEMM || engine == at::QEngine::X86;
}

Result<void> quantise_all(Module& frozen, const std::shared_ptr<Graph>& graph) {
  const at::QEngine engine = at::globalContext().qEngine();
  if (engine == at::QEngine::NoQEngine) {
    return refused(
        text({"LibTorch ", libtorch_version(), " here has no engine for 8-bit integers"}));
  }
  std::vector<Linear> layers;
  each_node(*graph->block(), [&layers](Node& node) {
    if (auto layer = linear_of(node)) layers.push_back(*std::move(layer));
  });
  if (layers.empty()) {
    return refused("the model has no linear layers with constant weights of float32");
  }
  const WithoutWarnings quiet;  // LibTorch calls tensors of this kind deprecated
  for (std::size_t i = 0; i < layers.size(); ++i) {
    quantise(frozen, *graph, layers[i], "galley_packed_" + std::to_string(i),
             has_reduced_range(engine));
  }
  return {};
}

}  // namespace

at::ScalarType computed_in(Reduction reduction) noexcept {
  switch (reduction) {
    case Reduction::bfloat16:
      return at::kBFloat16;
    case Reduction::float16:
      return at::kHalf;
    case Reduction::int8_dynamic:
      break;
  }
  return at::kFloat;
}

Result<void> reduce(Module& frozen, const std::string& method, Reduction reduction) {
  const std::shared_ptr<Graph> graph = frozen.get_method(method).graph();
  if (reduction == Reduction::int8_dynamic) {
    GALLEY_TRY(quantise_all(frozen, graph));
  } else {
    convert(frozen, *graph, computed_in(reduction));
  }
  torch::jit::EraseShapeInformation(graph);  // which says what dtypes there were
  torch::jit::EliminateDeadCode(graph);
  return {};
}

}  // namespace galley::inline v1::detail
