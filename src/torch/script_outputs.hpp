// ScriptOutputs: which tensors of a TorchScript method's answer are given, and in which order.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/signature.hpp>
#include <src/torch/call.hpp>

#include <span>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// The way to each output through an answer's tuples, lists and dicts.
///
/// An output is called by the way to it, "boxes" or "0.scores"; the fields of a named tuple by
/// their names. Threads: thread-safe once it was found.
class ScriptOutputs {
 public:
  ScriptOutputs() = default;

  /// What is in `answer`: all of it, or what is declared. Throws std::runtime_error where there is
  /// something else than tensors, or not what is declared.
  static ScriptOutputs in(const c10::IValue& answer, std::span<const TensorSpec> declared);

  const std::vector<std::string>& names() const noexcept { return names_; }

  /// Puts the outputs in `answer` at the end of `outputs`. Throws std::runtime_error where it is
  /// not put together as the first was.
  void unpack(c10::IValue answer, Tensors& outputs) const;

 private:
  struct Step {
    std::size_t place = 0;  // in a tuple or list
    c10::IValue key = {};   // of a dict
    std::string name = {};
  };
  using Way = std::vector<Step>;

  void find(const c10::IValue& value, Way& way);
  void choose(std::span<const TensorSpec> declared);
  at::Tensor at(const c10::IValue& answer, std::size_t output) const;
  [[noreturn]] static void throw_other(const c10::IValue& got, std::size_t depth);

  std::vector<std::string> names_;
  std::vector<Way> ways_;
  bool by_key_ = false;   // there are dicts
  std::size_t flat_ = 0;  // elements of a tuple or list of tensors, all of which are given
};

}  // namespace galley::inline v1::detail
