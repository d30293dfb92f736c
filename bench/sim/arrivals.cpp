#include <sim/arrivals.hpp>

#include <algorithm>
#include <chrono>

namespace bench::sim {

namespace {

/// Turns time at the mean rate into time at the rates of bursts.
class Bursts {
 public:
  /// Where the clock is after `work` more time at the mean rate.
  Duration after(Duration work) {
    for (;;) {
      const Duration takes = fast_ ? work * 2 / 3 : work * 2;
      const Duration left = turn_ends_ - now_;
      if (takes <= left) return now_ += takes;
      work -= fast_ ? left * 3 / 2 : left / 2;
      now_ = turn_ends_;
      turn_ends_ += dwell;
      fast_ = !fast_;
    }
  }

 private:
  static constexpr Duration dwell = std::chrono::milliseconds(50);
  Duration now_ = {};
  Duration turn_ends_ = dwell;
  bool fast_ = true;
};

}  // namespace

std::vector<Duration> arrivals(Process process, Duration gap, std::size_t count,
                               std::uint64_t seed) {
  Random random(seed);
  Bursts bursts;
  std::vector<Duration> times(count);
  Duration now = {};
  for (Duration& time : times) {
    switch (process) {
      case Process::poisson:
        now += random.exponential(gap);
        break;
      case Process::bursty:
        now = bursts.after(random.exponential(gap));
        break;
      case Process::constant:
        now += gap;
        break;
    }
    time = now;
  }
  return times;
}

}  // namespace bench::sim
