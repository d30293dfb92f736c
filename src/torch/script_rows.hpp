// ScriptRows: an answer of a TorchScript method that is a list with an element for each row.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/signature.hpp>
#include <src/torch/call.hpp>
#include <src/torch/script_outputs.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// The way to each output through the list's elements: tensors, or tuples, lists or dicts of
/// tensors.
///
/// The list is the answer, or within a tuple beside what holds no tensors: a scripted detector of
/// torchvision gives (losses, detections), and no losses in eval mode.
///
/// Threads  thread-safe once it was found
class ScriptRows {
 public:
  /// Nothing where `answer` has no such list. Throws std::runtime_error where it has not an element
  /// for each row, or they hold something else than tensors, or not what is declared.
  static std::optional<ScriptRows> in(const c10::IValue& answer, std::size_t rows,
                                      std::span<const TensorSpec> declared);

  const std::vector<std::string>& names() const noexcept { return row_.names(); }

  /// Puts the first output of each row at the end of `outputs`, then the second, and so on. Throws
  /// std::runtime_error where there is not an element for each row, put together as the first was.
  void unpack(c10::IValue answer, std::size_t rows, Tensors& outputs) const;

 private:
  c10::ArrayRef<c10::IValue> list_in(const c10::IValue& answer, std::size_t rows) const;

  std::optional<std::size_t> place_;  // of the list in a tuple
  ScriptOutputs row_;
};

}  // namespace galley::inline v1::detail
