// torch_function, torch_module: C++ code on LibTorch tensors as a servable.
#pragma once

#include <galley/core/named_tensors.hpp>
#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/tensor.hpp>
#include <galley/torch/options.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace at {
class Tensor;  // complete wherever a function on it is written
}

namespace galley::inline v1 {

/// A function from one LibTorch tensor `[n, *F]` to one `[n, *G]`.
template <class F>
concept TensorFunction = std::copy_constructible<F> && requires(F& f, const at::Tensor& batch) {
  { f(batch) } -> std::same_as<at::Tensor>;
};

/// A function from several LibTorch tensors to several, each with n rows.
template <class F>
concept TensorsFunction = std::copy_constructible<F> && !TensorFunction<F> &&
                          requires(F& f, const std::vector<at::Tensor>& batches) {
                            { f(batches) } -> std::same_as<std::vector<at::Tensor>>;
                          };

/// A module like those of torch::nn, whose `forward` is such a function.
template <class M>
concept TensorModule = requires(M& module, const at::Tensor& batch) {
  { module.forward(batch) } -> std::same_as<at::Tensor>;
};

namespace detail {

/// A function on LibTorch tensors, erased.
struct TorchFunction {
  std::function<at::Tensor(const at::Tensor&)> one = {};  // not both of these
  std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)> many = {};
  std::function<std::vector<at::Tensor>()> state = {};  // parameters and buffers, when it has any
  std::size_t parameters = 0;  // so many of the state; buffers come after them
  bool is_training = false;
};

template <class In, class Out>
Result<Servable<In, Out>> serve_torch_function(std::string name, TorchFunction function,
                                               FunctionOptions options);

}  // namespace detail

/// A servable of `f`, a function on LibTorch tensors, from the tensor or tensors of a batch of
/// rows.
///
/// `f` runs in InferenceMode. Rows, answers, checks and errors are as for `torch_script`; rows of a
/// function on several tensors are `NamedTensors` by the names that `options` give. What `f` throws
/// becomes the answer of the rows it throws for.
///
/// 1. `f` may be called on several threads at once.
/// 2. It keeps no tensor it was given: their memory is the caller's once it returns.
///
/// Errors   failed_precondition: as `torch_script`, and neither `options.inputs` nor samples are
///          given
/// Threads  thread-safe, as far as `f` is
template <TensorFunction F>
Result<Servable<Tensor, Tensor>> torch_function(std::string name, F f,
                                                FunctionOptions options = {}) {
  detail::TorchFunction function;
  function.one = std::move(f);
  return detail::serve_torch_function<Tensor, Tensor>(std::move(name), std::move(function),
                                                      std::move(options));
}
template <TensorsFunction F>
Result<Servable<NamedTensors, NamedTensors>> torch_function(std::string name, F f,
                                                            FunctionOptions options = {}) {
  detail::TorchFunction function;
  function.many = std::move(f);
  return detail::serve_torch_function<NamedTensors, NamedTensors>(
      std::move(name), std::move(function), std::move(options));
}

/// A servable of a C++ module, such as a `torch::nn::Sequential`'s `ptr()`.
///
/// The module is shared, not copied: it must be in eval mode, and nobody may change its parameters
/// while it serves (publish a new module instead). Else as `torch_function`.
///
/// Errors   failed_precondition: as `torch_function`, or in training mode
/// Threads  thread-safe, as far as `forward` is
template <TensorModule M>
Result<Servable<Tensor, Tensor>> torch_module(std::string name, std::shared_ptr<M> module,
                                              FunctionOptions options = {}) {
  detail::TorchFunction function;
  function.one = [module](const at::Tensor& batch) { return module->forward(batch); };
  if constexpr (requires {
                  module->parameters();
                  module->buffers();
                }) {
    function.state = [module] {
      auto all = module->parameters();
      for (auto& buffer : module->buffers()) all.push_back(buffer);
      return all;
    };
    function.parameters = module->parameters().size();
  }
  if constexpr (requires {
                  { module->is_training() } -> std::convertible_to<bool>;
                }) {
    function.is_training = module->is_training();
  }
  return detail::serve_torch_function<Tensor, Tensor>(std::move(name), std::move(function),
                                                      std::move(options));
}

}  // namespace galley::inline v1
