#include <src/torch/torch_headers.hpp>

#include <src/torch/pool_before_relu.hpp>

#include <vector>

namespace galley::inline v1::detail {

namespace {

using torch::jit::Node;
using torch::jit::Value;

/// The pooling that alone looks at this relu, or null.
Node* only_pool_of(const Node& relu) {
  if (relu.kind() != c10::aten::relu) return nullptr;
  const auto& uses = relu.output()->uses();
  if (uses.size() != 1 || uses.front().offset != 0) return nullptr;
  Node* const user = uses.front().user;
  const bool is_pool = user->kind() == c10::aten::max_pool2d;
  return is_pool && user->owningBlock() == relu.owningBlock() ? user : nullptr;
}

/// True when nothing in the block writes to what it was given.
bool writes_nothing(const torch::jit::Block& block) {
  for (const Node* node : block.nodes()) {
    const c10::FunctionSchema* const schema = node->maybeSchema();
    if (schema != nullptr && schema->is_mutable()) return false;
    for (const torch::jit::Block* inner : node->blocks()) {
      if (!writes_nothing(*inner)) return false;
    }
  }
  return true;
}

void rewrite(torch::jit::Block& block) {
  std::vector<Node*> relus;
  for (Node* node : block.nodes()) {
    for (torch::jit::Block* inner : node->blocks()) rewrite(*inner);
    if (only_pool_of(*node) != nullptr) relus.push_back(node);
  }
  for (Node* relu : relus) {
    Node* const pool = only_pool_of(*relu);
    Value* const pooled = pool->output();
    Value* const result = relu->output();
    result->setType(pooled->type());
    pooled->replaceAllUsesWith(result);
    pool->replaceInput(0, relu->input());
    relu->replaceInput(0, pooled);
    relu->moveAfter(pool);
  }
}

}  // namespace

void pool_before_relu(torch::jit::Block& block) {
  // What writes in place may do so between the two.
  if (writes_nothing(block)) rewrite(block);
}

}  // namespace galley::inline v1::detail
