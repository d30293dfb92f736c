// LibTorch models for benchmarks, as files, and the call one writes without galley.
#pragma once

#include <ATen/core/ivalue.h>  // before the other headers of LibTorch, for clang 14
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/script.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// The file of a TorchScript MLP: linear layers of these widths, ReLU between them.
inline std::string mlp_file(const std::vector<std::int64_t>& widths) {
  torch::manual_seed(1);
  torch::jit::Module module("mlp");
  std::string code = "def forward(self, x: Tensor) -> Tensor:\n";
  for (std::size_t i = 1; i < widths.size(); ++i) {
    const std::string layer = std::to_string(i);
    const double scale = 1 / std::sqrt(static_cast<double>(widths[i - 1]));
    module.register_parameter("w" + layer, torch::randn({widths[i], widths[i - 1]}) * scale, false);
    module.register_parameter("b" + layer, torch::randn({widths[i]}), false);
    if (i > 1) code += "  x = torch.relu(x)\n";
    code += "  x = torch.linear(x, self.w" + layer + ", self.b" + layer + ")\n";
  }
  module.define(code + "  return x\n");
  module.eval();
  std::ostringstream file;
  module.save(file);
  return file.str();
}

/// The file of a small CNN on one-channel images of 28 by 28: two convolutions, ten answers.
inline std::string cnn_file() {
  torch::manual_seed(1);
  torch::jit::Module module("cnn");
  module.register_parameter("c0", torch::randn({16, 1, 3, 3}) * 0.3, false);
  module.register_parameter("c1", torch::randn({32, 16, 3, 3}) * 0.1, false);
  module.register_parameter("w", torch::randn({10, 32 * 7 * 7}) * 0.03, false);
  module.define(R"(
def forward(self, x: Tensor) -> Tensor:
    x = torch.max_pool2d(torch.relu(torch.conv2d(x, self.c0, padding=[1, 1])), [2, 2])
    x = torch.max_pool2d(torch.relu(torch.conv2d(x, self.c1, padding=[1, 1])), [2, 2])
    return torch.linear(torch.flatten(x, 1), self.w)
)");
  module.eval();
  std::ostringstream file;
  module.save(file);
  return file.str();
}

/// How a module is loaded for the bare call: just so, or in the form galley gives it (its
/// parameters inference tensors, no profiling executor), which alone is faster.
enum class Form { plain, galleys };

/// What one writes without galley: the frozen module, its method looked up once, one stack of
/// arguments.
class Bare {
 public:
  Bare(const std::string& file, Form form) {
    std::istringstream stream(file);
    const c10::InferenceMode guard(form == Form::galleys);
    module_ = torch::jit::freeze(torch::jit::load(stream));
    self_ = module_._ivalue();
    function_ = &module_.get_method("forward").function();
    auto* graph = dynamic_cast<torch::jit::GraphFunction*>(function_);
    if (graph != nullptr && form == Form::galleys) {
      graph->_set_initial_executor_execution_mode(torch::jit::ExecutorExecutionMode::SIMPLE);
    }
  }

  /// Needs InferenceMode.
  at::Tensor operator()(const at::Tensor& input) {
    stack_.clear();
    stack_.emplace_back(self_);
    stack_.emplace_back(input);
    function_->run(stack_);
    return std::move(stack_.back()).toTensor();
  }

 private:
  torch::jit::Module module_;
  c10::IValue self_;
  torch::jit::Function* function_ = nullptr;
  torch::jit::Stack stack_;
};

}  // namespace bench
