// Counts what a thread takes from the heap, for tests that say "allocates nothing".
#pragma once

#include <cstddef>

namespace support {

/// How often this thread has called `operator new` so far.
std::size_t allocations() noexcept;

/// How often this thread has called `operator new` since this was made.
class AllocationCount {
 public:
  AllocationCount() noexcept : before_(allocations()) {}
  std::size_t so_far() const noexcept { return allocations() - before_; }

 private:
  std::size_t before_;
};

}  // namespace support
