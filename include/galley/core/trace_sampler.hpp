// TraceSampler: which requests are traced.
#pragma once

#include <galley/core/time.hpp>
#include <galley/core/trace.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace galley::inline v1 {

/// How many requests are traced, and how.
struct TraceSampling {
  /// One in so many, drawn by a hash of the request's number; 1 is all, 0 is none.
  std::uint64_t one_in = 1000;
  /// Draws others.
  std::uint64_t seed = 0;
  TraceOptions trace = {};
};

/// Whether the request of this number is traced. Pure.
///
/// Source  the hash: G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators",
///         OOPSLA 2014 (splitmix64)
constexpr bool is_sampled(const TraceSampling& sampling, std::uint64_t number) noexcept {
  if (sampling.one_in <= 1) return sampling.one_in == 1;
  std::uint64_t hash = sampling.seed + (number + 1) * 0x9E3779B97F4A7C15U;
  hash = (hash ^ (hash >> 30U)) * 0xBF58476D1CE4E5B9U;
  hash = (hash ^ (hash >> 27U)) * 0x94D049BB133111EBU;
  return (hash ^ (hash >> 31U)) % sampling.one_in == 0;
}

/// Hands out traces to some of a host's requests, where it makes their contexts.
///
/// Threads  thread-safe
/// Cost     one atomic addition and a hash; a request that is drawn allocates its trace
/// Example  auto trace = sampler.next();
///          digit.serve(image, {.trace = trace});
///          if (trace != nullptr) std::puts(to_text(*trace).c_str());
class TraceSampler {
 public:
  /// Times are read from `clock`: an executor's, `executor.now().clock`, or the steady one.
  explicit TraceSampler(TraceSampling sampling, Clock clock = {})
      : sampling_(sampling), clock_(std::move(clock)) {}

  /// A trace for the next request, or null.
  std::shared_ptr<Trace> next() {
    // Relaxed: numbers are only to differ.
    if (!is_sampled(sampling_, requests_.fetch_add(1, std::memory_order_relaxed))) return nullptr;
    return std::make_shared<Trace>(clock_, sampling_.trace);
  }

 private:
  const TraceSampling sampling_;
  const Clock clock_;
  std::atomic<std::uint64_t> requests_{0};
};

}  // namespace galley::inline v1
