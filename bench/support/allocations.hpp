// Counts what is taken from the heap.
#pragma once

#include <cstddef>

namespace bench {

/// What was taken from the heap.
struct Allocations {
  std::size_t count = 0;
  /// Those asked for by the program's own code, which galley is linked into, and not by a library
  /// that it loads, as LibTorch is.
  std::size_t by_program = 0;
  std::size_t bytes = 0;
};

/// False where the hook is not there (sanitizers bring their own malloc): then all counts are 0.
bool can_count_allocations() noexcept;

/// From here to `stop_counting`, every malloc, calloc, realloc and aligned allocation of the
/// process is counted, `operator new` among them, on every thread and in every library.
void start_counting() noexcept;

/// What was taken since `start_counting`.
Allocations stop_counting() noexcept;

/// What `calls` calls of `operation` take from the heap, after as many to warm up.
template <class Operation>
Allocations count_allocations(Operation&& operation, std::size_t calls = 1000) {
  for (std::size_t i = 0; i < calls; ++i) operation();
  start_counting();
  for (std::size_t i = 0; i < calls; ++i) operation();
  return stop_counting();
}

}  // namespace bench
