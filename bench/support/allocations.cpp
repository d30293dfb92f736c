// The functions of malloc's family, defined in the program, take precedence over glibc's
// everywhere; these count and pass on to glibc's own.
#include <support/allocations.hpp>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

extern "C" {
// Where the linker put the program's own code.
extern const char __executable_start;
extern const char etext;
}

namespace bench {

namespace {

// Relaxed throughout: the counts are read when the counted work has been joined or was this
// thread's.
constinit std::atomic<bool> counting{false};
constinit std::atomic<std::size_t> taken{0};
constinit std::atomic<std::size_t> taken_by_program{0};
constinit std::atomic<std::size_t> taken_bytes{0};

bool is_of_program(const void* code) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(code);
  return at >= reinterpret_cast<std::uintptr_t>(&__executable_start) &&
         at < reinterpret_cast<std::uintptr_t>(&etext);
}

[[maybe_unused]] void note(std::size_t bytes, const void* caller) noexcept {
  if (!counting.load(std::memory_order_relaxed)) [[likely]]
    return;
  taken.fetch_add(1, std::memory_order_relaxed);
  taken_bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (is_of_program(caller)) taken_by_program.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void start_counting() noexcept {
  taken.store(0, std::memory_order_relaxed);
  taken_bytes.store(0, std::memory_order_relaxed);
  taken_by_program.store(0, std::memory_order_relaxed);
  counting.store(true, std::memory_order_relaxed);
}

Allocations stop_counting() noexcept {
  counting.store(false, std::memory_order_relaxed);
  return {.count = taken.load(std::memory_order_relaxed),
          .by_program = taken_by_program.load(std::memory_order_relaxed),
          .bytes = taken_bytes.load(std::memory_order_relaxed)};
}

}  // namespace bench

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* at, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
void __libc_free(void* at);

void* malloc(std::size_t bytes) noexcept {
  bench::note(bytes, __builtin_return_address(0));
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) noexcept {
  bench::note(count * bytes, __builtin_return_address(0));
  return __libc_calloc(count, bytes);
}
void* realloc(void* at, std::size_t bytes) noexcept {
  bench::note(bytes, __builtin_return_address(0));
  return __libc_realloc(at, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  bench::note(bytes, __builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  bench::note(bytes, __builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** at, std::size_t alignment, std::size_t bytes) noexcept {
  bench::note(bytes, __builtin_return_address(0));
  void* memory = __libc_memalign(alignment, bytes);
  if (memory == nullptr) return ENOMEM;
  *at = memory;
  return 0;
}
void free(void* at) noexcept {
  __libc_free(at);
}
}

// operator new too, so that the caller is whoever said `new` and not libstdc++. The array and
// nothrow forms call these.
void* operator new(std::size_t bytes) {
  bench::note(bytes, __builtin_return_address(0));
  if (void* at = __libc_malloc(bytes)) return at;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  bench::note(bytes, __builtin_return_address(0));
  if (void* at = __libc_memalign(static_cast<std::size_t>(alignment), bytes)) return at;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  bench::note(bytes, __builtin_return_address(0));
  return __libc_malloc(bytes);
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  bench::note(bytes, __builtin_return_address(0));
  return __libc_memalign(static_cast<std::size_t>(alignment), bytes);
}
void operator delete(void* at) noexcept {
  __libc_free(at);
}
void operator delete(void* at, std::size_t) noexcept {
  __libc_free(at);
}
void operator delete(void* at, std::align_val_t) noexcept {
  __libc_free(at);
}
void operator delete(void* at, std::size_t, std::align_val_t) noexcept {
  __libc_free(at);
}

bool bench::can_count_allocations() noexcept {
  return true;
}

#else

bool bench::can_count_allocations() noexcept {
  return false;
}

#endif
