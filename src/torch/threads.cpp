#include <src/torch/torch_headers.hpp>

#include <galley/torch/threads.hpp>

#include <string>

// Looked up in whatever the program has loaded, so that it is the OpenMP and MKL that LibTorch
// itself uses; null where there is none. Linking a second OpenMP would set the wrong one.
extern "C" {
[[gnu::weak]] void omp_set_num_threads(int count);
[[gnu::weak]] int MKL_Set_Num_Threads_Local(int count);
[[gnu::weak]] void openblas_set_num_threads(int count);
}

namespace galley::inline v1 {

namespace {

constinit thread_local bool thread_is_prepared = false;

Result<void> at_least_one(const char* what, int count) {
  if (count >= 1) return {};
  return Error(Status::invalid_argument,
               std::string(what) + ": expected at least 1, got " + std::to_string(count));
}

}  // namespace

Result<void> prepare_thread(ThreadOptions options) {
  GALLEY_TRY(at_least_one("intra-op threads", options.intra_op));
  if (omp_set_num_threads == nullptr) {
    return Error(Status::unimplemented, "intra-op threads: LibTorch was built without OpenMP");
  }
  try {
    // LibTorch reads its process-wide default once on each thread, here, and never again; then the
    // thread's own count, which only this thread sees, is what its operations go by.
    at::get_num_threads();
  } catch (...) {
    return Error(Status::internal, "intra-op threads: LibTorch could not read its default");
  }
  omp_set_num_threads(options.intra_op);
  if (MKL_Set_Num_Threads_Local != nullptr) MKL_Set_Num_Threads_Local(options.intra_op);
  thread_is_prepared = true;
  return {};
}

bool is_thread_prepared() noexcept {
  return thread_is_prepared;
}

Result<void> cap_openblas_threads(int threads) {
  GALLEY_TRY(at_least_one("OpenBLAS threads", threads));
  if (openblas_set_num_threads == nullptr) {
    return Error(Status::unimplemented, "OpenBLAS threads: there is no OpenBLAS in this process");
  }
  openblas_set_num_threads(threads);
  return {};
}

}  // namespace galley::inline v1
