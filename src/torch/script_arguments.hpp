// ScriptArguments: what a TorchScript method is called with, made of a row's tensors.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/result.hpp>
#include <galley/core/signature.hpp>
#include <galley/torch/options.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// How each argument of a method comes about: from an input of the batch, from several (tuples,
/// lists and dicts of tensors), or from a value that was bound.
///
/// Inputs that are declared by names of the method's arguments are taken by name, else in order. An
/// element of a tuple or list is called "argument.0", of a dict "argument.key". A list whose
/// elements are the batch's rows is one input.
///
/// Threads  thread-safe
class ScriptArguments {
 public:
  ScriptArguments() = default;

  /// Errors  failed_precondition: an argument that nothing is given for or that cannot be given, a
  ///         value of another type, a name that no argument has
  static Result<ScriptArguments> of(const c10::FunctionSchema& schema,
                                    std::span<const TensorSpec> declared,
                                    std::span<const BoundArgument> bound,
                                    RowsAs rows = RowsAs::batch);

  /// What the inputs are called, in the order of `push`.
  const std::vector<std::string>& input_names() const noexcept { return names_; }

  /// Which inputs are values of the request to the method, and no tensors: by position.
  const std::vector<std::size_t>& values() const noexcept { return values_; }

  /// Puts the arguments for these inputs on the stack. An input that is a value must have the same
  /// in all rows.
  void push(std::span<const at::Tensor> inputs, torch::jit::Stack& stack) const;

 private:
  struct Slot {
    enum class Kind { constant, tensor, value, tuple, list, dict, rows };
    Kind kind = Kind::constant;
    std::size_t input = 0;
    c10::IValue constant = {};
    c10::TypePtr type = {};  // of a value
    std::vector<Slot> parts = {};
    std::vector<std::string> keys = {};  // of a dict
  };
  class Binder;

  static c10::IValue make(const Slot& slot, std::span<const at::Tensor> inputs);

  std::vector<Slot> slots_;
  std::vector<std::string> names_;
  std::vector<std::size_t> values_;
};

}  // namespace galley::inline v1::detail
