// Timing: where the harness reads time, and how it waits.
#pragma once

#include <galley/core/time.hpp>

#include <functional>

namespace galley::inline v1::load {

/// Sleeps until 100 us before `until` on the steady clock, then spins, giving way to other threads.
void sleep_then_spin(TimePoint until);

/// The processor time that the calling thread has used; zero where the system does not say.
Duration thread_cpu_time();

/// Where a run reads time and how it waits: by default the steady clock. A test brings its own, and
/// a run in virtual time is the same whenever it is made.
struct Timing {
  Clock clock = {};
  /// Returns when `clock` has reached the time, or as soon after as it can.
  std::function<void(TimePoint until)> pause_until = sleep_then_spin;
  std::function<Duration()> cpu_time = thread_cpu_time;
};

/// While it lives, the calling thread wakes within a nanosecond of the time it asked for, and not
/// 50 us later as Linux has it by default. Does nothing on other systems.
class PreciseWaking {
 public:
  PreciseWaking();
  PreciseWaking(const PreciseWaking&) = delete;
  PreciseWaking& operator=(const PreciseWaking&) = delete;
  ~PreciseWaking();

 private:
  long before_;  // nanoseconds; negative where there is nothing to restore
};

}  // namespace galley::inline v1::load
