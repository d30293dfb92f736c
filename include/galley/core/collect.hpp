// Collect: the answers of several children to one request, as they come in.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/outcomes.hpp>

#include <atomic>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// Where a node's children put their answers, each once and from any thread; whoever puts the last
/// goes on with all of them.
///
/// Threads  `put` is thread-safe for distinct places; the rest is for whoever was last
/// Cost     one allocation, one atomic subtraction for each answer
template <class Out>
class Collect {
 public:
  /// Waits for `count` answers, at least one.
  explicit Collect(std::size_t count) : answers_(count), left_(count) {}

  /// Puts an answer in its place; true for the last, who sees all of them.
  [[nodiscard]] bool put(std::size_t place, Outcomes<Out>&& outcomes) noexcept {
    GALLEY_ASSERT(place < answers_.size());
    answers_[place] = std::move(outcomes);
    // acq_rel: pairs with the other children's, so that the last sees what they put.
    return left_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

  /// All answers, in their places.
  std::span<Outcomes<Out>> answers() noexcept { return answers_; }

 private:
  std::vector<Outcomes<Out>> answers_;
  std::atomic<std::size_t> left_;
};

}  // namespace galley::inline v1
