// Run: what became of the requests of one run, and whether its figures may be believed.
#pragma once

#include <galley/core/status.hpp>
#include <galley/core/time.hpp>
#include <galley/load/summary.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace galley::inline v1::load {

/// Whether a run's figures may be believed.
enum class Verdict : std::uint8_t {
  valid,         ///< They may.
  void_lag,      ///< No: the generator was late by more than the latencies allow.
  too_fast,      ///< Unknown: the latencies are too small to judge the generator's lag by them.
  unanswered,    ///< No: the run gave up waiting for answers.
  no_answers,    ///< There are none: no request was answered `ok`.
  wrong_answers  ///< No, whatever they are: an answer was wrong.
};

/// The enumerator's own name.
std::string_view to_string(Verdict verdict) noexcept;

/// A generator is too late when the p99 of its lag is more than this share of the median latency.
inline constexpr double max_lag_share = 0.05;
/// A median latency below this is too small to judge a lag by.
inline constexpr Duration least_latency = std::chrono::microseconds(1);

/// What became of the requests of one run, warm-up left out.
struct Run {
  enum class Loop : std::uint8_t {
    open,    ///< Requests were sent at times fixed beforehand.
    closed,  ///< Each client sent its next request when the last was answered.
  };
  static constexpr std::size_t statuses = static_cast<std::size_t>(Status::internal) + 1;

  Loop loop = Loop::open;
  /// Requests per second that were to be sent; 0 in a closed loop.
  double offered = 0;
  /// How many requests were in flight at a time; 0 in an open loop.
  std::size_t clients = 0;
  /// The graph waits for nobody, and so was computed by whoever sent.
  bool computed_by_sender = false;
  std::size_t requests = 0;
  /// How many more were sent first, to warm up.
  std::size_t warm_up = 0;
  /// From the first request's intended time to the last answer.
  Duration window = {};
  /// How many requests were answered with each status.
  std::array<std::size_t, statuses> by_status = {};
  /// How many were answered `ok` within the deadline, or at all where there is none.
  std::size_t in_time = 0;
  std::size_t wrong = 0;
  /// How many were not answered when the run gave up, warm-up among them.
  std::size_t unanswered = 0;
  /// From a request's *intended* time to its answer; of those answered `ok`.
  Summary latency = {};
  /// How much later than intended the generator sent; of all.
  Summary lag = {};
  /// The p99 of the lag, however few the requests.
  Duration lag_p99 = {};
  /// The processor time of the generator's thread while it sent, and how long it was sending. What
  /// an inline graph computes within `submit` is part of it.
  Duration generator_cpu = {};
  Duration sending = {};
  Verdict verdict = Verdict::no_answers;

  std::size_t count(Status status) const { return by_status[static_cast<std::size_t>(status)]; }
  /// All but those answered `ok`, also the unanswered.
  std::size_t failed() const { return requests - count(Status::ok); }
  /// Answers `ok` per second.
  double throughput() const { return per_second(count(Status::ok)); }
  /// Answers `ok` within the deadline per second.
  double goodput() const { return per_second(in_time); }
  /// The share of a processor that the generator used, 0 to 1.
  double generator_share() const;

  /// The verdict in words, with the figures it rests on.
  std::string why() const;

  friend bool operator==(const Run&, const Run&) = default;

 private:
  double per_second(std::size_t n) const;
};

/// What is known of one request: written by its sender, then by whoever answers.
struct alignas(32) Request {
  /// Its answer is awaited until somebody claims it: whoever answers, to record it, or the run, to
  /// give it up.
  enum class Answer : std::uint8_t { awaited, being_recorded, recorded, given_up };

  TimePoint intended = {};
  TimePoint sent = {};
  TimePoint answered = {};
  Status status = Status::internal;
  bool wrong = false;
  /// The release of the answer's writer meets the acquire of whoever sums up.
  std::atomic<Answer> answer = Answer::awaited;
};

/// How requests are summed up.
struct Tally {
  Run::Loop loop = Run::Loop::open;
  /// Requests intended before this are warm-up, and so are the first `warm_up` of them.
  TimePoint warm_until = TimePoint::min();
  std::size_t warm_up = 0;
  /// How long after its intended time an answer is in time; zero is for ever.
  Duration deadline = {};
};

/// Sums up requests, all of them answered or given up, in the order sent.
Run tally(std::span<const Request> requests, const Tally& how);

/// What a run's figures are worth, `tally` having counted them.
Verdict judge(const Run& run);

}  // namespace galley::inline v1::load
