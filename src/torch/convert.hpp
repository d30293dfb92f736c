// Between galley's tensors and LibTorch's, for the model's door.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/result.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/torch/tensor.hpp>

#include <cstddef>

namespace galley::inline v1::detail {

/// A batch of rows as one LibTorch tensor `[n, *F]` for the length of a call: the block's or single
/// row's own `at::Tensor` where it has one, else a new one on the same memory, which is only
/// borrowed. Rows that are no block yet are gathered, and `keep` owns the gathered memory. Throws.
at::Tensor borrow_rows(const Rows<Tensor>& rows, Tensor& keep, Workspace* workspace);

/// The same of one row `[*F]`, as `[1, *F]`, or of a block.
at::Tensor borrow_row(const Tensor& row);
at::Tensor borrow_block(const Tensor& block);

/// A batch `[n, *F]` that LibTorch answered, as rows. Copied only where someone else holds the same
/// memory (an input, a parameter, another output): answers own theirs alone. Throws.
Rows<Tensor> own_rows(at::Tensor batch);

}  // namespace galley::inline v1::detail
