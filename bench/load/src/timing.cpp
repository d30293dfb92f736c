#include <galley/load/timing.hpp>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include <chrono>
#include <ctime>
#include <thread>

namespace galley::inline v1::load {

void sleep_then_spin(TimePoint until) {
  constexpr Duration spin = std::chrono::microseconds(100);
  const Clock steady;
  if (until - steady.now() > spin) std::this_thread::sleep_until(until - spin);
  while (steady.now() < until) std::this_thread::yield();
}

Duration thread_cpu_time() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec used{};
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) != 0) return Duration::zero();
  return std::chrono::seconds(used.tv_sec) + Duration(used.tv_nsec);
#else
  return Duration::zero();
#endif
}

#if defined(__linux__)

PreciseWaking::PreciseWaking() : before_(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)) {
  if (before_ >= 0) prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
}

PreciseWaking::~PreciseWaking() {
  if (before_ >= 0) prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(before_), 0, 0, 0);
}

#else

PreciseWaking::PreciseWaking() : before_(-1) {}
PreciseWaking::~PreciseWaking() = default;

#endif

}  // namespace galley::inline v1::load
