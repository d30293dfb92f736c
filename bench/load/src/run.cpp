#include <galley/load/run.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace galley::inline v1::load {

namespace {

double microseconds(Duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

bool is_unanswered(const Request& request) {
  return request.answer.load(std::memory_order_relaxed) == Request::Answer::given_up;
}

/// Adds up the requests that are not warm-up.
struct Sum {
  Run run;
  std::vector<Duration> latencies;
  std::vector<Duration> lags;
  TimePoint first = TimePoint::max();
  TimePoint last = TimePoint::min();

  void add(const Request& request, const Tally& how) {
    ++run.requests;
    lags.push_back(request.sent - request.intended);
    first = std::min(first, request.intended);
    last = std::max(last, request.sent);
    if (is_unanswered(request)) return;
    const Duration latency = request.answered - request.intended;
    const bool ok = request.status == Status::ok;
    ++run.by_status[static_cast<std::size_t>(request.status)];
    if (request.wrong) ++run.wrong;
    if (ok && (how.deadline == Duration::zero() || latency <= how.deadline)) ++run.in_time;
    if (ok) latencies.push_back(latency);
    last = std::max(last, request.answered);
  }

  Run finish() && {
    if (run.requests > 0) run.window = last - first;
    std::ranges::sort(lags);
    run.lag_p99 = nearest_rank(lags, 0.99);
    run.lag = summarise(std::move(lags));
    run.latency = summarise(std::move(latencies));
    run.verdict = judge(run);
    return run;
  }
};

}  // namespace

std::string_view to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::valid:
      return "valid";
    case Verdict::void_lag:
      return "void_lag";
    case Verdict::too_fast:
      return "too_fast";
    case Verdict::unanswered:
      return "unanswered";
    case Verdict::no_answers:
      return "no_answers";
    case Verdict::wrong_answers:
      return "wrong_answers";
  }
  return "unknown";
}

double Run::generator_share() const {
  if (sending <= Duration::zero()) return 0;
  return static_cast<double>(generator_cpu.count()) / static_cast<double>(sending.count());
}

double Run::per_second(std::size_t n) const {
  if (window <= Duration::zero()) return 0;
  return static_cast<double>(n) / std::chrono::duration<double>(window).count();
}

std::string Run::why() const {
  switch (verdict) {
    case Verdict::valid:
    case Verdict::void_lag: {
      if (loop == Loop::closed) return "closed loop: nothing is sent late";
      const double median = microseconds(latency.p50.value_or(Duration::zero()));
      const double late = microseconds(lag_p99);
      return fmt::format(
          "the p99 of the lag, {:.1f} us, is {:.1f} % of the median latency, {:.1f} us; above "
          "{:.0f} % a run is void{}",
          late, 100 * late / median, median, 100 * max_lag_share,
          computed_by_sender ? " (the generator computed this graph: serve it "
                               "on(executor, graph))"
                             : "");
    }
    case Verdict::too_fast:
      return fmt::format(
          "the median latency is below {:.0f} us, too small to judge the lag by: "
          "use a closed loop",
          microseconds(least_latency));
    case Verdict::unanswered:
      return fmt::format("{} requests were not answered when the run gave up", unanswered);
    case Verdict::no_answers:
      return fmt::format("none of {} requests was answered ok", requests);
    case Verdict::wrong_answers:
      return fmt::format("{} answers were wrong", wrong);
  }
  return {};
}

Run tally(std::span<const Request> requests, const Tally& how) {
  Sum sum;
  sum.run.loop = how.loop;
  sum.latencies.reserve(requests.size());
  sum.lags.reserve(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (is_unanswered(requests[i])) ++sum.run.unanswered;
    if (i < how.warm_up || requests[i].intended < how.warm_until) {
      ++sum.run.warm_up;
      // A wrong answer is wrong while warming up too.
      if (requests[i].wrong) ++sum.run.wrong;
    } else {
      sum.add(requests[i], how);
    }
  }
  return std::move(sum).finish();
}

Verdict judge(const Run& run) {
  if (run.wrong > 0) return Verdict::wrong_answers;
  if (run.unanswered > 0) return Verdict::unanswered;
  if (!run.latency.p50) return Verdict::no_answers;
  if (run.loop == Run::Loop::closed) return Verdict::valid;
  if (*run.latency.p50 < least_latency) return Verdict::too_fast;
  const double limit = max_lag_share * static_cast<double>(run.latency.p50->count());
  return static_cast<double>(run.lag_p99.count()) > limit ? Verdict::void_lag : Verdict::valid;
}

}  // namespace galley::inline v1::load
