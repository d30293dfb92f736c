// The functions of malloc's family, defined in the program, take precedence over glibc's
// everywhere; these count and pass on to glibc's own.
#include <support/allocations.hpp>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

namespace bench {

namespace {

// Relaxed throughout: the counts are read when the counted work has been joined or was this
// thread's.
constinit std::atomic<bool> counting{false};
constinit std::atomic<std::size_t> taken{0};
constinit std::atomic<std::size_t> taken_bytes{0};

[[maybe_unused]] void note(std::size_t bytes) noexcept {
  if (!counting.load(std::memory_order_relaxed)) [[likely]]
    return;
  taken.fetch_add(1, std::memory_order_relaxed);
  taken_bytes.fetch_add(bytes, std::memory_order_relaxed);
}

}  // namespace

void start_counting() noexcept {
  taken.store(0, std::memory_order_relaxed);
  taken_bytes.store(0, std::memory_order_relaxed);
  counting.store(true, std::memory_order_relaxed);
}

Allocations stop_counting() noexcept {
  counting.store(false, std::memory_order_relaxed);
  return {.count = taken.load(std::memory_order_relaxed),
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
  bench::note(bytes);
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) noexcept {
  bench::note(count * bytes);
  return __libc_calloc(count, bytes);
}
void* realloc(void* at, std::size_t bytes) noexcept {
  bench::note(bytes);
  return __libc_realloc(at, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  bench::note(bytes);
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  return memalign(alignment, bytes);
}
int posix_memalign(void** at, std::size_t alignment, std::size_t bytes) noexcept {
  void* memory = memalign(alignment, bytes);
  if (memory == nullptr) return ENOMEM;
  *at = memory;
  return 0;
}
void free(void* at) noexcept {
  __libc_free(at);
}
}

bool bench::can_count_allocations() noexcept {
  return true;
}

#else

bool bench::can_count_allocations() noexcept {
  return false;
}

#endif
