// ModeTrial: which way rows take to the model under contention, found by trying.
#pragma once

#include <galley/core/time.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace galley::inline v1 {

/// How rows reach the model.
struct BatchMode {
  /// A caller of `serve` that finds the model free runs its own batch.
  bool caller_runs = true;
  /// A batch that is not full lets other threads run before it is closed.
  bool yields = false;
  friend bool operator==(const BatchMode&, const BatchMode&) = default;
};

/// Chooses among the four modes by the rows a second that each gave.
///
/// Neither is always right. Where cores are short, a woken worker preempts the threads that were
/// about to submit, and runs batches of one; yielding to them gives batches of twenty. Where a core
/// is free, the same yield takes time from the worker. A caller that runs its own row saves a
/// hand-off when it is alone, and holds the model for a time slice when others wait. Which it is
/// depends on the model, the callers and the machine's other work, so it is measured: while there is
/// contention, each mode in turn gets one window of time, and the best is kept, for 8 windows at
/// first, for twice as many each time it wins again, up to 128. Without contention callers run their
/// own batches.
///
/// Threads  thread-compatible
/// Cost     O(1) a window
/// Source   the bandit with constant step size: R. Sutton, A. Barto, Reinforcement Learning, 2nd ed.,
///          sections 2.5 and 2.7. Differs: explores in turn and ever more rarely, not at random.
class ModeTrial {
 public:
  /// What some time of serving gave.
  struct Window {
    std::size_t rows = 0;
    Duration took = {};
    /// Requests waited for others in it.
    bool contended = false;
  };

  /// `callers_may_run` is false where every row has to queue.
  explicit ModeTrial(bool callers_may_run = true) : first_(callers_may_run ? 0 : 2) { calm_down(); }

  /// The mode to serve in until the next window ends.
  BatchMode mode() const noexcept { return modes[now_]; }

  /// A window in this mode has ended.
  void observe(const Window& window) {
    if (!window.contended || window.rows == 0 || window.took <= Duration::zero()) {
      if (++calm_ >= calm_windows) calm_down();
      return;
    }
    calm_ = 0;
    const double rate = static_cast<double>(window.rows) / static_cast<double>(window.took.count());
    score_[now_] = score_[now_] == 0 ? rate : (score_[now_] + rate) / 2;
    if (!exploring_) {
      if (--left_ == 0) explore();
      return;
    }
    now_ = after(now_);
    if (now_ == modes.size()) settle();
  }

 private:
  static constexpr std::array<BatchMode, 4> modes{{
      {.caller_runs = true, .yields = false},
      {.caller_runs = true, .yields = true},
      {.caller_runs = false, .yields = true},
      {.caller_runs = false, .yields = false},
  }};
  static constexpr unsigned calm_windows = 4;
  static constexpr unsigned shortest = 8;
  static constexpr unsigned longest = 128;
  static constexpr double worth_while = 1.05;

  /// Back to the first mode, with nothing known.
  void calm_down() noexcept {
    score_.fill(0);
    now_ = best_ = first_;
    exploring_ = false;
    left_ = 1;  // the first window under contention begins a trial
    patience_ = shortest;
    calm_ = 0;
  }

  /// The next mode to try: the best was measured all along.
  std::size_t after(std::size_t mode) const noexcept {
    ++mode;
    return mode == best_ ? mode + 1 : mode;
  }

  void explore() noexcept {
    exploring_ = true;
    now_ = best_ == first_ ? after(first_) : first_;
  }

  /// The best of all is kept; of those that are as good, the one that is first in order.
  void settle() noexcept {
    double highest = 0;
    for (std::size_t i = first_; i < modes.size(); ++i) highest = std::max(highest, score_[i]);
    std::size_t best = first_;
    while (score_[best] * worth_while < highest) ++best;
    patience_ = best == best_ ? std::min(2 * patience_, longest) : shortest;
    now_ = best_ = best;
    left_ = patience_;
    exploring_ = false;
  }

  std::array<double, modes.size()> score_{};
  std::size_t first_;
  std::size_t now_ = 0;
  std::size_t best_ = 0;
  unsigned left_ = 1;
  unsigned patience_ = shortest;
  unsigned calm_ = 0;
  bool exploring_ = false;
};

}  // namespace galley::inline v1
