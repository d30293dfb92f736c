// Tensor and at::Tensor: one memory, two handles. Includes a LibTorch header, and with it the
// macros CHECK and LOG that LibTorch leaves behind.
#pragma once

#include <galley/core/device.hpp>
#include <galley/core/dtype.hpp>
#include <galley/core/result.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>

#include <ATen/core/Tensor.h>

namespace galley::inline v1 {

/// A galley handle on a LibTorch tensor's memory, whatever its strides; an undefined tensor's is
/// undefined.
///
/// Ownership  shares the `at::Tensor`: the memory lives as long as either handle. What is written
///            through one is seen through the other. Do not resize or re-seat the `at::Tensor`.
/// Errors     unimplemented: an element type galley has none for (complex, quantised), a layout
///            that is not strided, or more than eight extents
/// Cost       no copy, no allocation
Result<Tensor> from_torch(at::Tensor tensor);

/// The rows of a LibTorch tensor `[n, *F]` as a block.
///
/// Errors  as `from_torch`; invalid_argument: undefined, or a scalar
Result<Rows<Tensor>> rows_from_torch(at::Tensor batch);

/// A LibTorch tensor on a galley tensor's memory, whatever its strides; an undefined tensor's is
/// undefined.
///
/// Ownership  shares what the tensor's owner owns. Where the owner is null the memory is borrowed
///            and must outlive the `at::Tensor`: `to_torch(*tensor.owned())` is safe to keep.
///            LibTorch has no read-only tensors: do not write through one made of a read-only
///            tensor.
/// Errors     unimplemented: a device LibTorch does not know
/// Cost       no copy. A tensor that came from LibTorch whole gives that `at::Tensor` again; else a
///            new one is allocated
Result<at::Tensor> to_torch(const Tensor& tensor);

/// LibTorch's name for an element type.
at::ScalarType to_torch(DType dtype) noexcept;

/// Our name for LibTorch's element type.
///
/// Errors  unimplemented: complex, quantised and other types that galley has none for
Result<DType> from_torch(at::ScalarType type);

/// LibTorch's name for a device.
///
/// Errors  unimplemented: a kind that LibTorch does not know
Result<c10::Device> to_torch(const Device& device);

/// Our name for LibTorch's device.
///
/// Errors  unimplemented: a kind whose name has more than eight characters
Result<Device> from_torch(const c10::Device& device);

}  // namespace galley::inline v1
