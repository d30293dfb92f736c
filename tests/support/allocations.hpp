// Counts what a thread takes from the heap, for tests that say "allocates nothing", and refuses one
// of those requests, for tests of running out of memory.
#pragma once

#include <cstddef>

namespace support {

/// How often this thread has called `operator new` so far.
std::size_t allocations() noexcept;

/// The bytes that it asked for, and how often it has called `operator delete`.
std::size_t allocated_bytes() noexcept;
std::size_t releases() noexcept;

/// How often this thread has called `operator new` since this was made.
class AllocationCount {
 public:
  AllocationCount() noexcept : before_(allocations()) {}
  std::size_t so_far() const noexcept { return allocations() - before_; }

 private:
  std::size_t before_;
};

/// The `nth` call of `operator new` by this thread from now (1, 2, …) that asks for `least` bytes
/// or more finds no memory, and no other call. Ends with its scope; one at a time.
class NoMemoryOnce {
 public:
  explicit NoMemoryOnce(std::size_t nth, std::size_t least = 0) noexcept;
  NoMemoryOnce(const NoMemoryOnce&) = delete;
  NoMemoryOnce& operator=(const NoMemoryOnce&) = delete;
  ~NoMemoryOnce();

  /// True once that call was made.
  bool happened() const noexcept;
};

}  // namespace support
