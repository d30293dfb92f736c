#include <galley/load/sweep.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>

namespace galley::inline v1::load {

std::size_t Sweep::wrong() const {
  std::size_t wrong = again.wrong;
  for (const Run& run : capacity.runs) wrong += run.wrong;
  for (const Run& run : points) wrong += run.wrong;
  return wrong;
}

namespace detail {

std::vector<std::size_t> clients_of(const CapacityOptions& options) {
  return options.clients.empty() ? std::vector<std::size_t>{1, 4, 16, 64} : options.clients;
}

Result<std::vector<OpenLoop>> open_loops(const Capacity& capacity, const SweepOptions& options) {
  std::vector<double> rates = options.fractions;
  if (rates.empty() && options.rates.empty()) rates = {0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2};
  for (double& rate : rates) rate *= capacity.rate;
  if (!rates.empty() && capacity.rate <= 0) {
    return Error(Status::unavailable, "sweep: nothing was answered in time, there is no capacity");
  }
  rates.insert(rates.end(), options.rates.begin(), options.rates.end());

  std::vector<OpenLoop> loops;
  std::uint64_t seed = options.seed;
  const double seconds = std::chrono::duration<double>(options.length).count();
  for (const double rate : rates) {
    // As many as there are to be in that time. A rate that is none is refused with the schedule.
    const double wanted = std::isfinite(rate) ? std::clamp(rate * seconds, 1.0, 1e12) : 1.0;
    loops.push_back(
        {.schedule = {.rate = rate,
                      .requests = std::min(static_cast<std::size_t>(std::llround(wanted)),
                                           options.requests),
                      .arrivals = options.arrivals,
                      .seed = seed++},
         .warm_up = options.warm_up});
  }
  return loops;
}

}  // namespace detail

}  // namespace galley::inline v1::load
