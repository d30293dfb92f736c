// A host's file that holds LibTorch's tensors.
#include <galley/torch/tensor.hpp>

#include <ATen/ATen.h>

bool same_memory();

bool same_memory() {
  const at::Tensor theirs = at::ones({2, 3});
  const galley::Result<galley::Tensor> ours = galley::from_torch(theirs);
  return ours.has_value() && ours->data() == theirs.data_ptr();
}
