// Threads: how many threads LibTorch may use for one operation, without touching the host's
// settings.
#pragma once

#include <galley/core/result.hpp>

namespace galley::inline v1 {

/// What a thread that runs LibTorch models asks of it.
struct ThreadOptions {
  /// How many threads one operation may use, the calling one included.
  int intra_op = 1;
};

/// Sets LibTorch's intra-op thread count for the calling thread, and for no other.
///
/// Call it once on each host thread that will serve LibTorch models inline; `prepare(executor)`
/// calls it on every worker. The process-wide default that `at::set_num_threads` would change, and
/// the threads that read it, are left as they are.
///
/// Errors   invalid_argument: fewer than one thread; unimplemented: LibTorch was built without
///          OpenMP
/// Threads  any thread
Result<void> prepare_thread(ThreadOptions options = {});

/// True when `prepare_thread` succeeded on the calling thread.
bool is_thread_prepared() noexcept;

/// Sets how many threads OpenBLAS, where LibTorch uses it, takes for one matrix product.
///
/// **Process-wide**, for everything that uses OpenBLAS, and not restored: call it only where the
/// host agrees. OpenBLAS keeps a pool of its own, which `prepare_thread` does not bound.
///
/// Errors  invalid_argument: fewer than one thread; unimplemented: there is no OpenBLAS in the
///         process
Result<void> cap_openblas_threads(int threads);

}  // namespace galley::inline v1
