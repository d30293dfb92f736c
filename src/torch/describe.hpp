// What is read off LibTorch's own objects for a ModelDescription.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/torch/description.hpp>

#include <cstddef>
#include <set>
#include <string>
#include <utility>

namespace galley::inline v1::detail {

/// "float32"; LibTorch's word where galley has none.
std::string dtype_name(at::ScalarType type);

/// An attribute that keeps a state.
StateAttribute describe_attribute(std::string name, const c10::IValue& value);

/// Counts tensors, each memory once for all that one of these counts. Those without elements, and
/// undefined ones, count as nothing.
class TensorCounter {
 public:
  void add(TensorCount& to, const at::Tensor& tensor);

 private:
  std::set<std::pair<const void*, std::size_t>> seen_;
};

/// Methods, mode, parameters, buffers and constants of a module as it was loaded. Throws what
/// LibTorch throws.
void describe_module(ModelDescription& about, const torch::jit::Module& module);

}  // namespace galley::inline v1::detail
