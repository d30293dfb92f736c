// What the calls of a breaker share: its state, and what led to it.
#pragma once

#include <galley/core/outcomes.hpp>
#include <galley/core/status.hpp>
#include <galley/core/text.hpp>
#include <galley/core/time.hpp>
#include <galley/policy/breaker.hpp>
#include <galley/policy/outcome_window.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

namespace galley::inline v1 {

/// Whether a breaker decides for itself.
enum class BreakerMode : std::uint8_t { automatic, held_open, held_closed };

/// Takes the decision from a breaker, or gives it back: it then begins closed, with nothing known.
struct SetBreakerMode {
  BreakerMode mode = BreakerMode::automatic;
};

/// What a breaker says of itself: `servable.control(path, statistics)` fills it in.
struct BreakerStatistics {
  BreakerState state = BreakerState::closed;
  BreakerMode mode = BreakerMode::automatic;
  std::uint64_t window_rows = 0;      ///< Answered of late; half open, of the probes.
  std::uint64_t window_failures = 0;  ///< Of these.
  std::uint64_t opened = 0;           ///< How often it opened.
  std::uint64_t refused = 0;          ///< Rows that did not go through.
  std::uint64_t probes = 0;           ///< Rows that tried the servable while it was half open.
  Duration in_state = {};
};

namespace detail {

/// Threads  thread-safe. While it is closed and no row fails: an atomic read and an atomic
///          addition; else a lock
class BreakerCore {
 public:
  /// What a call that goes through was told: whose rows count only while that is so.
  struct Ticket {
    std::uint64_t word = 0;
    bool closed() const noexcept {
      return (word & state_bits) == static_cast<unsigned>(BreakerState::closed);
    }
  };
  struct Admission {
    std::size_t rows = 0;
    Ticket ticket = {};
    std::string why = {};  ///< The rest do not go.
  };

  BreakerCore(const BreakerOptions& options, Clock clock)
      : options_(options), clock_(std::move(clock)), window_(options.window), since_(clock_.now()) {
    publish();
  }

  const BreakerOptions& options() const noexcept { return options_; }

  /// Relaxed: it hands nothing over, and who is told late is told what was so.
  Ticket look() const noexcept { return {word_.load(std::memory_order_relaxed)}; }

  /// How many of `rows` rows go through now.
  Admission admit(std::size_t rows) {
    const TimePoint now = clock_.now();
    const std::lock_guard lock(mutex_);
    follow(now);
    Admission admission;
    admission.rows = mode_ == BreakerMode::held_closed ? rows : admitted(view(now), rows, options_);
    admission.ticket = {word_.load(std::memory_order_relaxed)};
    if (state_ == BreakerState::half_open && admission.rows > 0) {
      probing_ += admission.rows;
      counts_.probes += admission.rows;
      probed_at_ = now;
    }
    if (admission.rows < rows) {
      counts_.refused += rows - admission.rows;
      admission.why = why(now);
    }
    return admission;
  }

  /// Counts what rows became that had gone through.
  template <class Out>
  void record(const Outcomes<Out>& outcomes, Ticket ticket) {
    if (outcomes.all_ok() && ticket.closed()) [[likely]] {
      if (look().word == ticket.word) ok_.fetch_add(outcomes.size(), std::memory_order_relaxed);
      return;
    }
    record(outcomes.casualties(), outcomes.size(), ticket);
  }

  void set_mode(BreakerMode mode) {
    const TimePoint now = clock_.now();
    const std::lock_guard lock(mutex_);
    mode_ = mode;
    enter(mode == BreakerMode::held_open ? BreakerState::open : BreakerState::closed, now);
  }

  BreakerStatistics statistics() {
    const TimePoint now = clock_.now();
    const std::lock_guard lock(mutex_);
    follow(now);
    fold();
    const BreakerView seen = view(now);
    BreakerStatistics all = counts_;
    all.state = state_;
    all.mode = mode_;
    all.window_rows = seen.rows;
    all.window_failures = seen.failures;
    all.in_state = now - since_;
    return all;
  }

 private:
  static constexpr std::uint64_t state_bits = 3;

  [[gnu::noinline]] void record(const Casualties& casualties, std::size_t rows, Ticket ticket) {
    std::size_t failed = 0, neutral = 0;
    for (const Casualty& casualty : casualties) {
      if (options_.failures.contains(casualty.error.status)) {
        ++failed;
      } else if (casualty.error.status == Status::cancelled) {
        ++neutral;
      }
    }
    const TimePoint now = clock_.now();
    const std::lock_guard lock(mutex_);
    if (look().word != ticket.word) return;  // of another time
    if (state_ == BreakerState::half_open) {
      probing_ -= neutral;
      probed_rows_ += rows - neutral;
      probed_failures_ += failed;
    } else {
      fold();
      window_.add(rows - neutral, failed);
    }
    follow(now);
  }

  // Under the lock.
  void fold() noexcept { window_.add(ok_.exchange(0, std::memory_order_relaxed), 0); }

  BreakerView view(TimePoint now) const noexcept {
    const bool half = state_ == BreakerState::half_open;
    return {.state = state_,
            .rows = half ? probed_rows_ : window_.rows(),
            .failures = half ? probed_failures_ : window_.failures(),
            .probes = probing_,
            .waited = now - (half ? probed_at_ : since_)};
  }
  void follow(TimePoint now) {
    if (mode_ != BreakerMode::automatic) return;
    const BreakerState next = next_state(view(now), options_);
    if (next != state_) enter(next, now);
  }
  void enter(BreakerState next, TimePoint now) {
    if (next == BreakerState::open) {
      ++counts_.opened;
      const BreakerView last = view(now);
      because_ = std::to_string(last.failures) + " of " + std::to_string(last.rows) +
                 (state_ == BreakerState::half_open ? " probes failed" : " rows failed");
    }
    if (next == BreakerState::closed) {
      window_.clear();
      ok_.store(0, std::memory_order_relaxed);
    }
    probing_ = probed_rows_ = probed_failures_ = 0;
    state_ = next;
    since_ = probed_at_ = now;
    publish();
  }
  void publish() noexcept {
    word_.store(++epoch_ << 2U | static_cast<unsigned>(state_), std::memory_order_relaxed);
  }
  std::string why(TimePoint now) const {
    if (mode_ == BreakerMode::held_open) return "held open";
    const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(now - since_);
    const std::string ms = std::to_string(time.count());
    if (state_ == BreakerState::open) return text({"open since ", ms, " ms, ", because_});
    return text({"half open since ", ms, " ms, its probes are not answered yet"});
  }

  const BreakerOptions options_;
  const Clock clock_;
  std::atomic<std::uint64_t> word_{0};  // epoch and state: written under the lock
  std::atomic<std::uint64_t> ok_{0};    // rows that succeeded and are not in the window yet

  std::mutex mutex_;
  BreakerState state_ = BreakerState::closed;
  BreakerMode mode_ = BreakerMode::automatic;
  OutcomeWindow window_;
  std::uint64_t epoch_ = 0;
  std::uint64_t probing_ = 0;
  std::uint64_t probed_rows_ = 0;
  std::uint64_t probed_failures_ = 0;
  TimePoint since_;
  TimePoint probed_at_ = {};
  std::string because_;
  BreakerStatistics counts_;
};

}  // namespace detail

}  // namespace galley::inline v1
