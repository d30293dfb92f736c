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

/// Chooses by the rows a second that each mode gave.
///
/// No mode is always right. Where cores are short, a woken worker preempts the threads that
/// were about to submit, and runs small batches; yielding to them first gives larger ones.
/// Where a core is free, the same yield takes time from the worker. A caller that runs its own
/// row saves a hand-off, and when others wait holds the model for as long as the system lets it
/// run: the rows a second may be as many, but some wait for a time slice. Which it is depends
/// on the model, the callers and the machine's other work, so it is measured. Without
/// contention callers run their own batches. While there is contention, each mode in turn gets
/// one window of time, and the best is kept, for 8 windows at first, for twice as many each
/// time it wins again, up to 128; callers running their own has to give half as many rows again
/// to be it.
///
/// Threads  thread-compatible
/// Cost     O(1) a window
/// Source   the bandit with constant step size: R. Sutton, A. Barto, Reinforcement Learning, 2nd
///          ed., 2.5 and 2.7. Differs: explores in turn and ever more rarely, not at random.
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
  explicit ModeTrial(bool callers_may_run = true)
      : count_(callers_may_run ? arms.size() : arms.size() - 1),
        calm_mode_(callers_may_run ? arms.size() - 1 : 0) {
    calm_down();
  }

  /// The mode to serve in until the next window ends.
  BatchMode mode() const noexcept { return arms[now_].mode; }

  /// A window in this mode has ended.
  void observe(const Window& window) {
    if (!window.contended || window.rows == 0 || window.took <= Duration::zero()) {
      if (++calm_ >= calm_windows) calm_down();
      return;
    }
    calm_ = 0;
    const double rate = static_cast<double>(window.rows) /
                        static_cast<double>(window.took.count()) * arms[now_].worth;
    score_[now_] = score_[now_] == 0 ? rate : (score_[now_] + rate) / 2;
    if (!exploring_) {
      if (--left_ == 0) explore();
      return;
    }
    now_ = after(now_);
    if (now_ >= count_) settle();
  }

 private:
  struct Arm {
    BatchMode mode;
    double worth;  // of its rows a second
  };
  static constexpr std::array<Arm, 3> arms{{
      {{.caller_runs = false, .yields = false}, 1.0},
      {{.caller_runs = false, .yields = true}, 1.0 / 1.05},
      {{.caller_runs = true, .yields = false}, 1.0 / 1.5},
  }};
  static constexpr unsigned calm_windows = 4;
  static constexpr unsigned shortest = 8;
  static constexpr unsigned longest = 128;

  /// Back to where there is no contention, with nothing known.
  void calm_down() noexcept {
    score_.fill(0);
    now_ = best_ = calm_mode_;
    exploring_ = false;
    left_ = 1;  // the first window under contention begins a trial
    patience_ = shortest;
    calm_ = 0;
  }

  /// The next arm to try: the best was measured all along.
  std::size_t after(std::size_t arm) const noexcept {
    ++arm;
    return arm == best_ ? arm + 1 : arm;
  }

  void explore() noexcept {
    exploring_ = true;
    now_ = best_ == 0 ? after(0) : 0;
  }

  void settle() noexcept {
    const auto end = score_.begin() + static_cast<std::ptrdiff_t>(count_);
    const auto best =
        static_cast<std::size_t>(std::max_element(score_.begin(), end) - score_.begin());
    patience_ = best == best_ ? std::min(2 * patience_, longest) : shortest;
    now_ = best_ = best;
    left_ = patience_;
    exploring_ = false;
  }

  std::array<double, arms.size()> score_{};
  std::size_t count_;
  std::size_t calm_mode_;
  std::size_t now_ = 0;
  std::size_t best_ = 0;
  unsigned left_ = 1;
  unsigned patience_ = shortest;
  unsigned calm_ = 0;
  bool exploring_ = false;
};

}  // namespace galley::inline v1
