// Clock and Instant: time that can be injected.
#pragma once

#include <chrono>
#include <compare>
#include <memory>
#include <utility>

namespace galley::inline v1 {

/// A point in time on some clock, in nanoseconds. What policies and tables work with.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

/// A span of time in nanoseconds.
using Duration = std::chrono::nanoseconds;

/// Where time is read; by default `std::chrono::steady_clock`.
///
/// Cheap to copy: the default clock owns nothing. A clock of one's own keeps its state alive.
///
/// Threads  thread-safe
class Clock {
 public:
  /// The steady clock.
  Clock() = default;

  /// A clock that calls `read(state)`; `state` is shared by all copies.
  Clock(TimePoint (*read)(const void*), std::shared_ptr<const void> state)
      : read_(read), state_(std::move(state)) {}

  /// The time now.
  TimePoint now() const {
    return read_ == nullptr ? TimePoint(std::chrono::steady_clock::now()) : read_(state_.get());
  }

  friend bool operator==(const Clock& a, const Clock& b) noexcept {
    return a.read_ == b.read_ && a.state_ == b.state_;
  }

 private:
  TimePoint (*read_)(const void*) = nullptr;
  std::shared_ptr<const void> state_;
};

/// A point in time together with the clock it is on: what an executor's `now()` gives and a
/// deadline is. The default is *never*.
struct Instant {
  TimePoint at = TimePoint::max();
  Clock clock = {};

  /// True for the default, which no clock reaches.
  bool is_never() const noexcept { return at == TimePoint::max(); }

  /// True once the clock has reached this. Reads no clock when it is never.
  bool has_passed() const { return !is_never() && clock.now() >= at; }

  /// Never where the sum lies beyond what the clock can show.
  friend Instant operator+(Instant instant, Duration by) {
    if (by > Duration::zero() && instant.at > TimePoint::max() - by)
      return {.clock = instant.clock};
    if (!instant.is_never()) instant.at += by;
    return instant;
  }
  friend Instant operator-(Instant instant, Duration by) { return instant + -by; }

  /// Compares the points in time; both are on one clock.
  friend auto operator<=>(const Instant& a, const Instant& b) noexcept { return a.at <=> b.at; }
  friend bool operator==(const Instant& a, const Instant& b) noexcept { return a.at == b.at; }
};

}  // namespace galley::inline v1
