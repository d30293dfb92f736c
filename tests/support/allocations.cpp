// Replaces operator new in test programs that ask for the count; the array forms call these.
#include <support/allocations.hpp>

#include <cstdlib>
#include <new>

namespace {
constinit thread_local std::size_t count = 0;
constinit thread_local std::size_t all_bytes = 0;
constinit thread_local std::size_t released = 0;
constinit thread_local std::size_t calls_to_refusal = 0;  // 0: none is refused
constinit thread_local std::size_t least_refused = 0;

void* take(std::size_t bytes, std::size_t alignment) noexcept {
  ++count;
  all_bytes += bytes;
  if (calls_to_refusal != 0 && bytes >= least_refused && --calls_to_refusal == 0) return nullptr;
  const std::size_t size = bytes == 0 ? 1 : bytes;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(size);
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void give_back(void* at) noexcept {
  if (at != nullptr) ++released;
  std::free(at);
}
}  // namespace

std::size_t support::allocations() noexcept {
  return count;
}
std::size_t support::allocated_bytes() noexcept {
  return all_bytes;
}
std::size_t support::releases() noexcept {
  return released;
}

support::NoMemoryOnce::NoMemoryOnce(std::size_t nth, std::size_t least) noexcept {
  calls_to_refusal = nth;
  least_refused = least;
}
support::NoMemoryOnce::~NoMemoryOnce() {
  calls_to_refusal = 0;
}
bool support::NoMemoryOnce::happened() const noexcept {
  return calls_to_refusal == 0;
}

void* operator new(std::size_t bytes) {
  if (void* at = take(bytes, 1)) return at;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  if (void* at = take(bytes, static_cast<std::size_t>(alignment))) return at;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return take(bytes, 1);
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return take(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* at) noexcept {
  give_back(at);
}
void operator delete(void* at, std::size_t) noexcept {
  give_back(at);
}
void operator delete(void* at, std::align_val_t) noexcept {
  give_back(at);
}
void operator delete(void* at, std::size_t, std::align_val_t) noexcept {
  give_back(at);
}
void operator delete(void* at, const std::nothrow_t&) noexcept {
  give_back(at);
}
void operator delete(void* at, std::align_val_t, const std::nothrow_t&) noexcept {
  give_back(at);
}
