// Small TorchScript models, made in the test that needs them. Weights are sines, not random
// numbers.
#pragma once

#include <galley/core/named_tensors.hpp>
#include <galley/core/tensor.hpp>
#include <galley/torch.hpp>
#include <galley/torch/tensor.hpp>

#include <torch/script.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace models {

/// The tests' first thread shares no operation with others: where cores are short, waiting for them
/// takes longer than the tests.
inline const bool first_thread_is_prepared = galley::prepare_thread().has_value();

using Parts = std::vector<std::pair<std::string, at::Tensor>>;

/// Values in -scale … scale, the same every time.
inline at::Tensor sines(at::IntArrayRef shape, double step = 1.7, double scale = 0.2) {
  at::Tensor values = at::empty(shape, at::kFloat);
  auto* value = values.data_ptr<float>();
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    value[i] = static_cast<float>(scale * std::sin(step * static_cast<double>(i + 1)));
  }
  return values;
}

/// A module in eval mode with these buffers and this source.
inline torch::jit::Module module(const std::string& source, const Parts& parts = {}) {
  torch::jit::Module made("Model");
  for (const auto& [name, tensor] : parts) made.register_buffer(name, tensor);
  made.define(source);
  return made;
}

/// The file that `torch_script` would load.
inline std::vector<std::byte> bytes(const torch::jit::Module& made) {
  std::ostringstream out;
  made.save(out);
  const std::string text = out.str();
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

/// The servable of such a module.
template <class In = galley::Tensor, class Out = galley::Tensor>
galley::Result<galley::Servable<In, Out>> servable(const std::string& source,
                                                   galley::ScriptOptions options,
                                                   const Parts& parts = {}) {
  return galley::torch_script<In, Out>(bytes(module(source, parts)), std::move(options));
}

/// Two linear layers of this width.
inline torch::jit::Module mlp(std::int64_t width) {
  return module(R"(
def forward(self, x: Tensor) -> Tensor:
    return torch.linear(torch.relu(torch.linear(x, self.w0, self.b0)), self.w1, self.b1)
)",
                {{"w0", sines({width, width}, 1.7)},
                 {"b0", sines({width}, 0.3)},
                 {"w1", sines({width, width}, 2.9)},
                 {"b1", sines({width}, 0.7)}});
}

/// Two convolutions and a linear layer: [n, 1, 8, 8] -> [n, 10].
inline torch::jit::Module cnn() {
  return module(
      R"(
def forward(self, pixels: Tensor) -> Tensor:
    x = torch.max_pool2d(torch.relu(torch.conv2d(pixels, self.c0, padding=[1, 1])), [2, 2])
    x = torch.max_pool2d(torch.relu(torch.conv2d(x, self.c1, padding=[1, 1])), [2, 2])
    return torch.linear(torch.flatten(x, 1), self.w)
)",
      {{"c0", sines({8, 1, 3, 3})}, {"c1", sines({16, 8, 3, 3})}, {"w", sines({10, 64})}});
}

/// What the module itself answers.
inline at::Tensor bare(torch::jit::Module made, const at::Tensor& batch) {
  const c10::InferenceMode inference;
  return made.forward({batch}).toTensor();
}

inline galley::Rows<galley::Tensor> rows(const at::Tensor& batch) {
  return *galley::rows_from_torch(batch);
}

/// A row of these values.
inline galley::Tensor row(std::initializer_list<float> values) {
  return *galley::Tensor::copy_of(values, {values.size()});
}

inline at::Tensor torch_of(const galley::Tensor& tensor) {
  return *galley::to_torch(tensor);
}

/// All survivors as one LibTorch tensor.
inline at::Tensor torch_of(const galley::Outcomes<galley::Tensor>& outcomes) {
  return torch_of(*outcomes.survivors().dense());
}

}  // namespace models
