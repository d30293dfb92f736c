// The closed loop: each client sends its next request when its last is answered.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/status.hpp>
#include <galley/core/time.hpp>
#include <galley/load/run.hpp>
#include <galley/load/timing.hpp>
#include <galley/load/traffic.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1::load {

/// How the clients of a closed loop call.
enum class Clients : std::uint8_t {
  submitting,  ///< `submit` again where the last answer came: no thread of their own.
  serving,     ///< `serve`, each on a thread of its own; one of them is the calling thread.
};

struct ClosedLoop {
  std::size_t clients = 1;
  Clients kind = Clients::submitting;
  /// The run ends after this time, or with this many requests: what comes first. Warm-up is part of
  /// both.
  Duration length = std::chrono::seconds(1);
  std::size_t requests = 1'000'000;
  /// What is sent first and not counted: the requests of this time, or this many if they are more.
  Duration warm_up = {};
  std::size_t warm_up_requests = 0;
};

/// Keeps `clients` requests in flight and waits for the last answers; where clients submit, until
/// none has come for a while (`Traffic::give_up`).
///
/// A request's latency counts from when it was sent. It is what a caller who waits sees, and says
/// nothing of what happens when callers do not wait: that is the open loop's.
///
/// A graph that waits for nobody answers within `submit`; clients that submit then serve in turn on
/// the calling thread, and one client is as many as any.
///
/// Errors   `invalid_argument` without clients or requests; what the servable's `check` refuses
/// Threads  see `Clients`
/// Cost     64 bytes a request, taken beforehand; recording an answer takes no lock and no memory
template <class In, class Out>
Result<Run> run_closed(const Servable<In, Out>& servable,
                       const std::type_identity_t<Traffic<In, Out>>& traffic,
                       const ClosedLoop& options, const Timing& timing = {});

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

/// What the clients of a run share.
template <class In, class Out>
struct ClosedRun {
  Requests<In, Out>& requests;
  const TimePoint end;
  /// How many requests were begun, and attempts beyond the last. It only deals numbers; the release
  /// of a client that takes one meets the acquire of `close`, for who then asks what clients do.
  std::atomic<std::size_t> next{0};
  /// How many clients go on. The release of one that ends meets the acquire of who waits for them.
  std::atomic<std::size_t> going{0};

  /// The number of the next request; none when the run is over.
  std::optional<std::size_t> take() {
    if (requests.now() >= end) return std::nullopt;
    const std::size_t i = next.fetch_add(1, std::memory_order_release);
    if (i >= requests.most()) return std::nullopt;
    return i;
  }
  std::size_t sent() const {
    return std::min(next.load(std::memory_order_relaxed), requests.most());
  }
  /// Deals no more; how many it has dealt.
  std::size_t close() {
    return std::min(next.exchange(requests.most(), std::memory_order_acquire), requests.most());
  }
};

/// A client that submits its next request where its last was answered.
template <class In, class Out>
class SubmittingClient {
 public:
  explicit SubmittingClient(ClosedRun<In, Out>& run) : run_(run) {}

  /// True while it may be doing something: no more where it only waits for an answer, or has ended.
  bool is_busy() const {
    const Turn turn = turn_.load(std::memory_order_acquire);
    return turn != Turn::left && turn != Turn::ended;
  }

  /// Submits until an answer is left to come, which then goes on here, or the run is over. After an
  /// answer that comes within `submit` this loop goes on: however many there are, none is nested.
  void go() {
    for (;;) {
      turn_.store(Turn::submits, std::memory_order_relaxed);
      const std::optional<std::size_t> i = run_.take();
      if (!i) {
        turn_.store(Turn::ended, std::memory_order_release);
        run_.going.fetch_sub(1, std::memory_order_release);
        return;  // and this may be gone
      }
      In row = run_.requests.row(*i);
      run_.requests.mark_sent(*i);
      run_.requests.submit(*i, std::move(row), [this] {
        if (turn_.exchange(Turn::answered, std::memory_order_acq_rel) == Turn::left) go();
      });
      if (turn_.exchange(Turn::left, std::memory_order_acq_rel) == Turn::submits) return;
    }
  }

 private:
  enum class Turn : std::uint8_t { submits, left, answered, ended };

  ClosedRun<In, Out>& run_;
  /// Who goes on: the second of the submitter, when it leaves, and the answerer. acq_rel: the one
  /// that goes on sees what the other did.
  std::atomic<Turn> turn_{Turn::submits};
};

/// Runs clients that submit; how many requests were sent.
template <class In, class Out>
std::size_t run_submitting(ClosedRun<In, Out>& run, std::size_t count) {
  std::vector<std::unique_ptr<SubmittingClient<In, Out>>> clients;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<SubmittingClient<In, Out>>(run));
  }
  run.going.store(count, std::memory_order_relaxed);
  for (const auto& client : clients) client->go();
  const auto all_ended = [&] { return run.going.load(std::memory_order_acquire) == 0; };
  if (run.requests.wait_until(all_ended, [&] { return run.sent(); })) return run.sent();
  // Those whose requests are given up go on no more; the others end where they are.
  const std::size_t sent = run.close();
  const std::size_t given_up = run.requests.give_up(sent);
  while (run.going.load(std::memory_order_acquire) > given_up ||
         std::ranges::any_of(clients, [](const auto& client) { return client->is_busy(); })) {
    std::this_thread::yield();
  }
  return sent;
}

/// Runs clients that serve; how many requests were sent.
template <class In, class Out>
std::size_t run_serving(ClosedRun<In, Out>& run, std::size_t count) {
  const auto client = [&run] {
    while (const std::optional<std::size_t> i = run.take()) {
      In row = run.requests.row(*i);
      run.requests.mark_sent(*i);
      run.requests.serve(*i, std::move(row));
    }
  };
  {
    std::vector<std::jthread> threads;  // which join where this ends, however it does
    for (std::size_t i = 1; i < count; ++i) threads.emplace_back(client);
    client();
  }
  return run.sent();
}

}  // namespace detail

template <class In, class Out>
Result<Run> run_closed(const Servable<In, Out>& servable,
                       const std::type_identity_t<Traffic<In, Out>>& traffic,
                       const ClosedLoop& options, const Timing& timing) {
  GALLEY_TRY(servable.check());
  if (options.clients == 0 || options.requests == 0) {
    return Error(Status::invalid_argument, "closed loop: expected clients and requests, got " +
                                               std::to_string(options.clients) + " and " +
                                               std::to_string(options.requests));
  }
  detail::Requests<In, Out> requests(servable, traffic, timing, options.requests);
  const TimePoint start = requests.now();
  detail::ClosedRun<In, Out> shared{.requests = requests, .end = start + options.length};
  const std::size_t sent = options.kind == Clients::submitting
                               ? detail::run_submitting(shared, options.clients)
                               : detail::run_serving(shared, options.clients);
  Run run = requests.sum_up(sent, {.loop = Run::Loop::closed,
                                   .warm_until = start + options.warm_up,
                                   .warm_up = options.warm_up_requests});
  run.clients = options.clients;
  return run;
}

}  // namespace galley::inline v1::load
