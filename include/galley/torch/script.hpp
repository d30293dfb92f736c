// torch_script: a TorchScript model as a servable.
#pragma once

#include <galley/core/named_tensors.hpp>
#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/tensor.hpp>
#include <galley/torch/options.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <string>

namespace galley::inline v1 {

/// A row type that LibTorch models have: one tensor, or several with names.
template <class T>
concept TensorRow = std::same_as<T, Tensor> || std::same_as<T, NamedTensors>;

/// A servable of the TorchScript model in a file, whose `forward` takes and gives batches of rows.
///
/// A row is a `Tensor` where `forward` takes (gives) one tensor, else `NamedTensors`; a tuple's or
/// list's tensors are named by `options.outputs`, else "0", "1", …; a dict's by their keys. Rows
/// are checked one by one before LibTorch sees them; rows whose free extents differ run in groups
/// of equal shape. Answers own their memory alone: what LibTorch returns is handed on without a
/// copy unless it shares memory with an input or a parameter.
///
/// The file is code: load only what you trust.
///
/// Shapes   row [*F]  ->  batch [n, *F]  ->  outputs [n, *G]
/// Errors   not_found: no such file; data_loss: unreadable, or no TorchScript model;
///          failed_precondition: the model and `options`, or the weights there, do not fit, its
///          outputs have not one row for each input row, rows depend on each other, equal rows give
///          different answers, it changes its own attributes, or it is in training mode and answers
///          otherwise in eval mode
/// Threads  thread-safe; calls run at the same time on one copy of the weights
/// Cost     loading runs about ten small batches; a call allocates nothing of ours for one row, or
///          for a block
/// Example  tests/torch/script_test.cpp
template <TensorRow In = Tensor, TensorRow Out = Tensor>
Result<Servable<In, Out>> torch_script(const std::string& path, ScriptOptions options = {});

/// The same of a file's content, which is not needed once this returns.
template <TensorRow In = Tensor, TensorRow Out = Tensor>
Result<Servable<In, Out>> torch_script(std::span<const std::byte> bytes,
                                       ScriptOptions options = {});

// ---- implementation ----------------------------------------------------------------------------

extern template Result<Servable<Tensor, Tensor>> torch_script(const std::string&, ScriptOptions);
extern template Result<Servable<Tensor, NamedTensors>> torch_script(const std::string&,
                                                                    ScriptOptions);
extern template Result<Servable<NamedTensors, Tensor>> torch_script(const std::string&,
                                                                    ScriptOptions);
extern template Result<Servable<NamedTensors, NamedTensors>> torch_script(const std::string&,
                                                                          ScriptOptions);
extern template Result<Servable<Tensor, Tensor>> torch_script(std::span<const std::byte>,
                                                              ScriptOptions);
extern template Result<Servable<Tensor, NamedTensors>> torch_script(std::span<const std::byte>,
                                                                    ScriptOptions);
extern template Result<Servable<NamedTensors, Tensor>> torch_script(std::span<const std::byte>,
                                                                    ScriptOptions);
extern template Result<Servable<NamedTensors, NamedTensors>> torch_script(
    std::span<const std::byte>, ScriptOptions);

}  // namespace galley::inline v1
