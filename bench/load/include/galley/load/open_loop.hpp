// The open loop: requests are sent when the schedule says, whatever became of those before.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/time.hpp>
#include <galley/load/run.hpp>
#include <galley/load/schedule.hpp>
#include <galley/load/timing.hpp>
#include <galley/load/traffic.hpp>

#include <chrono>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1::load {

struct OpenLoop {
  ScheduleOptions schedule = {};
  /// What is sent first and not counted: the requests of this time, or this many if they are more.
  Duration warm_up = {};
  std::size_t warm_up_requests = 0;
};

/// Sends requests from the calling thread at the times of a schedule, and waits for all answers, or
/// until none has come for a while (`Traffic::give_up`).
///
/// A request's latency counts from when it was *intended* to be sent: a servable that holds up the
/// generator, or a generator that is late, makes latencies longer and never hides them.
/// How late it was is recorded too, and voids the run where it is too much (`Verdict`).
///
/// Errors   what `make_schedule` and the servable's `check` refuse
/// Threads  sends on the calling thread, which spins for the last 100 us before each request
/// Cost     64 bytes a request, taken beforehand; recording an answer takes no lock and no memory
template <class In, class Out>
Result<Run> run_open(const Servable<In, Out>& servable,
                     const std::type_identity_t<Traffic<In, Out>>& traffic, const OpenLoop& options,
                     const Timing& timing = {}) {
  GALLEY_TRY(servable.check());
  GALLEY_TRY(const std::vector<Duration> schedule, make_schedule(options.schedule));
  detail::Requests<In, Out> requests(servable, traffic, timing, schedule.size());

  const PreciseWaking precise;
  const TimePoint start = requests.now() + std::chrono::milliseconds(1);
  const Duration cpu = timing.cpu_time();
  for (std::size_t i = 0; i < schedule.size(); ++i) {
    In row = requests.row(i);
    const TimePoint intended = start + schedule[i];
    timing.pause_until(intended);
    requests.mark_sent(i, intended);
    requests.submit(i, std::move(row), [] {});
  }
  const Duration used = timing.cpu_time() - cpu;
  const Duration sending = requests.now() - start;
  requests.wait_for(schedule.size());

  Run run = requests.sum_up(schedule.size(), {.loop = Run::Loop::open,
                                              .warm_until = start + options.warm_up,
                                              .warm_up = options.warm_up_requests});
  run.offered = options.schedule.rate;
  run.generator_cpu = used;
  run.sending = sending;
  return run;
}

}  // namespace galley::inline v1::load
