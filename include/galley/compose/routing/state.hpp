// What changes in a route while it serves: its weights, and how many rows went where.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/stripe.hpp>
#include <galley/policy/route.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace galley::inline v1::detail {

/// Weights that are read often and replaced sometimes; all of one writing are read together.
///
/// A ring: a writer fills the place after the current one and then makes it current, so that
/// readers neither wait nor, unless seven writings overtake one reading, try again.
///
/// Threads  thread-safe
class LiveWeights {
 public:
  explicit LiveWeights(const RouteWeights& first) : count_(first.span().size()) {
    for (std::size_t i = 0; i < count_; ++i) ring_[0][i].store(first.span()[i]);
  }

  std::size_t size() const noexcept { return count_; }

  /// Copies the current weights to the front of `to`.
  std::span<const double> read(std::array<double, RouteWeights::max_arms>& to) const noexcept {
    for (;;) {
      // Acquire: pairs with the writer's release of the number, so that its weights are seen.
      const std::uint64_t number = number_.load(std::memory_order_acquire);
      const Place& place = ring_[number % places];
      // Acquire: pairs with the writer's release of a weight. Who reads one that was written over
      // then also sees the number that came before it.
      for (std::size_t i = 0; i < count_; ++i) to[i] = place[i].load(std::memory_order_acquire);
      if (number_.load(std::memory_order_relaxed) - number < places - 1) return {to.data(), count_};
    }
  }

  /// As many as the first.
  void write(std::span<const double> weights) {
    GALLEY_ASSERT(weights.size() == count_);
    const std::lock_guard lock(mutex_);
    const std::uint64_t next = number_.load(std::memory_order_relaxed) + 1;
    Place& place = ring_[next % places];
    for (std::size_t i = 0; i < count_; ++i) place[i].store(weights[i], std::memory_order_release);
    number_.store(next, std::memory_order_release);
  }

 private:
  static constexpr std::size_t places = 8;
  using Place = std::array<std::atomic<double>, RouteWeights::max_arms>;

  const std::size_t count_;
  std::array<Place, places> ring_{};
  std::atomic<std::uint64_t> number_{0};
  std::mutex mutex_;  // one writer at a time
};

/// Counts of rows by arm, in stripes.
///
/// Threads  thread-safe; relaxed, since nothing but the counts is shared
class RowCounts {
 public:
  explicit RowCounts(std::size_t kinds)
      : lines_((kinds + Line::width - 1) / Line::width), counts_(stripes * lines_) {}

  void add(std::size_t kind, std::size_t rows) noexcept {
    at(this_thread_stripe(stripes), kind).fetch_add(rows, std::memory_order_relaxed);
  }
  std::uint64_t sum(std::size_t kind) const noexcept {
    std::uint64_t all = 0;
    for (std::size_t stripe = 0; stripe < stripes; ++stripe) {
      all += counts_[stripe * lines_ + kind / Line::width].counts[kind % Line::width].load(
          std::memory_order_relaxed);
    }
    return all;
  }

 private:
  static constexpr std::size_t stripes = 8;
  struct alignas(64) Line {
    static constexpr std::size_t width = 8;
    std::array<std::atomic<std::uint64_t>, width> counts{};
  };
  std::atomic<std::uint64_t>& at(std::size_t stripe, std::size_t kind) noexcept {
    return counts_[stripe * lines_ + kind / Line::width].counts[kind % Line::width];
  }

  std::size_t lines_;
  std::vector<Line> counts_;
};

/// What changes in a route.
struct RouteState {
  RouteState(std::size_t arms, const RouteWeights& first)
      : weights(first), rows(arms + 1), drawn(0) {}

  LiveWeights weights;
  RowCounts rows;                    // by arm, and behind them those that none was found for
  std::atomic<std::uint64_t> drawn;  // rows that a number was drawn for; relaxed: it only counts
};

}  // namespace galley::inline v1::detail
