// Who competes, in the simulation and on executors. A new policy is a line here.
#pragma once

#include <galley/policy/batch/learned_cap.hpp>
#include <galley/policy/batch/preferred_sizes.hpp>
#include <galley/policy/batch/size_or_delay.hpp>

#include <rivals/bentoml.hpp>
#include <rivals/clipper.hpp>
#include <rivals/nexus.hpp>
#include <rivals/scheduler.hpp>
#include <rivals/symphony.hpp>
#include <rivals/tf_serving.hpp>
#include <rivals/triton.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace bench::rivals {

/// What may be set by hand.
struct Setting {
  /// ℓ(b) as measured offline, of 0 … rows in the largest batch.
  Profile costs = {};
  /// The sizes that have more rows a second than any smaller.
  std::vector<std::size_t> records = {};
  /// How soon an answer is wanted.
  Duration objective = {};
  std::size_t executors = 1;
  /// The Triton batcher that was best on another seed.
  Triton tuned = {};

  std::size_t limit() const { return costs.size() - 1; }
  /// The costs two standard deviations up, as whoever measures offline has them.
  Profile profile() const {
    Profile profile = costs;
    for (Duration& cost : profile) cost += cost / 10;
    return profile;
  }
  galley::PreferredSizes preferred() const {
    const auto at = [&](std::size_t i) { return i < records.size() ? records[i] : 0; };
    return {at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)};
  }
};

struct Entrant {
  std::string name;
  std::function<Scheduler(const Setting&)> enter;
};

/// galley's default, without yielding: virtual time knows no other threads, and what runs entrants
/// on executors does not measure what yielding brings.
inline constexpr galley::LearnedCap learned_cap{.max_yields = 0};

/// Batch policies, where requests have no deadline.
inline std::vector<Entrant> batch_policies() {
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  return {
      {"learned cap", [](const Setting&) { return Scheduler(learned_cap); }},
      {"size or delay (32, 2 ms)", [](const Setting&) { return Scheduler(galley::SizeOrDelay{}); }},
      {"preferred sizes", [](const Setting& s) { return Scheduler(s.preferred()); }},
      {"Triton, default",
       [](const Setting& s) { return Scheduler(Triton{.max_batch_size = s.limit()}); }},
      {"Triton, delay 1 ms",
       [](const Setting& s) {
         return Scheduler(Triton{.max_batch_size = s.limit(), .max_queue_delay = milliseconds(1)});
       }},
      {"Triton, delay 5 ms",
       [](const Setting& s) {
         return Scheduler(Triton{.max_batch_size = s.limit(), .max_queue_delay = milliseconds(5)});
       }},
      {"Triton, tuned", [](const Setting& s) { return Scheduler(s.tuned); }},
      {"TF Serving, adaptive",
       [](const Setting& s) { return Scheduler(TfServingAdaptive(s.limit(), s.executors)); }},
      {"Clipper, AIMD", [](const Setting& s) { return Scheduler(ClipperAimd(s.objective)); }},
      {"BentoML, latency fit",
       [](const Setting& s) { return Scheduler(BentoFit(s.limit(), seconds(60))); }},
      {"Nexus, sliding window",
       [](const Setting& s) { return Scheduler(NexusWindow(s.profile(), s.objective)); }},
      {"Symphony, deferred",
       [](const Setting& s) { return Scheduler(SymphonyDeferred(s.profile(), s.objective)); }},
  };
}

/// Batch policies with admission, where requests have deadlines.
inline std::vector<Entrant> admission_policies() {
  return {
      {"learned cap, infeasible refused",
       [](const Setting&) { return Scheduler(learned_cap, RefuseInfeasible{}); }},
      {"learned cap, infeasible dropped",
       [](const Setting&) { return Scheduler(learned_cap, DropInfeasible{}); }},
      {"learned cap, expired dropped",
       [](const Setting& s) { return Scheduler(learned_cap, DropExpired{s.objective}); }},
      {"learned cap, none dropped", [](const Setting&) { return Scheduler(learned_cap); }},
      {"Triton, tuned, timeout",
       [](const Setting& s) { return Scheduler(s.tuned, DropExpired{s.objective}); }},
      {"Triton, tuned, timeout less a batch",
       [](const Setting& s) {
         const Duration batch = s.profile()[s.tuned.max_batch_size];
         return Scheduler(s.tuned, DropExpired{s.objective - batch});
       }},
      {"Triton, default, timeout",
       [](const Setting& s) {
         return Scheduler(Triton{.max_batch_size = s.limit()}, DropExpired{s.objective});
       }},
      {"TF Serving, adaptive",
       [](const Setting& s) { return Scheduler(TfServingAdaptive(s.limit(), s.executors)); }},
      {"Clipper, AIMD, expired dropped",
       [](const Setting& s) {
         return Scheduler(ClipperAimd(s.objective), DropExpired{s.objective});
       }},
      {"BentoML, latency fit",
       [](const Setting& s) { return Scheduler(BentoFit(s.limit(), s.objective)); }},
      {"Nexus, sliding window",
       [](const Setting& s) { return Scheduler(NexusWindow(s.profile(), s.objective)); }},
      {"Symphony, deferred",
       [](const Setting& s) { return Scheduler(SymphonyDeferred(s.profile(), s.objective)); }},
  };
}

}  // namespace bench::rivals
