// A host's file that serves LibTorch models and knows nothing of LibTorch.
#include <galley/torch.hpp>

bool same_memory();
int use_torch();

int use_torch() {
  const auto missing = galley::torch_script("no such file.pt");
  if (missing || missing.error().status != galley::Status::not_found) return 3;
  return same_memory() ? 0 : 4;
}
