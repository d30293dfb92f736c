// Traffic: what is sent to a servable, and which answers are right.
#pragma once

#include <galley/core/completion.hpp>
#include <galley/core/context.hpp>
#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/time.hpp>
#include <galley/load/run.hpp>
#include <galley/load/timing.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace galley::inline v1::load {

/// What is sent to a servable, and which answers are right. No function may throw.
template <class In, class Out>
struct Traffic {
  /// The row of a request, numbered from 0. Made before the request is due, where it is sent: in a
  /// closed loop on several threads at a time.
  std::function<In(std::size_t request)> row = {};
  /// Whether an answer is right. Called where the answer comes, on several threads at a time; none
  /// is all are right.
  std::function<bool(std::size_t request, const Out& answer)> check = {};
  /// The key of a request's row; called as `row` is, but when the request is sent. None: no keys.
  std::function<Key(std::size_t request)> key = {};
  /// How long after its intended time a request's answer is of use; zero is for ever.
  Duration deadline = {};
  /// When no answer comes for this long while a run waits for some, it ends and says how many are
  /// missing (`Run::unanswered`). Zero is never. A client that serves waits within the servable,
  /// for as long as that takes.
  Duration give_up = std::chrono::seconds(10);
};

/// Rows to be sent in turn, over and over: `.row = cycle(images)`.
template <class In>
std::function<In(std::size_t)> cycle(std::vector<In> rows) {
  return [rows = std::move(rows)](std::size_t request) { return rows[request % rows.size()]; };
}

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

/// The requests of one run, in memory that was there before the first was sent.
///
/// A completion shares that memory, and may come when the run has given it up and all else is gone:
/// it touches nothing but its request, and only if it can claim it.
template <class In, class Out>
class Requests {
 public:
  Requests(const Servable<In, Out>& servable, const Traffic<In, Out>& traffic, const Timing& timing,
           std::size_t most)
      : servable_(servable),
        traffic_(traffic),
        timing_(timing),
        requests_(std::make_shared<std::vector<Request>>(most)) {}

  std::size_t most() const { return requests_->size(); }
  TimePoint now() const { return timing_.clock.now(); }

  In row(std::size_t i) const noexcept { return traffic_.row(i); }

  /// Request `i` is sent now; it was to be sent at `intended`, or now.
  void mark_sent(std::size_t i, TimePoint intended) {
    request(i).intended = intended;
    request(i).sent = now();
  }
  void mark_sent(std::size_t i) { request(i).intended = request(i).sent = now(); }

  /// Sends request `i`, marked, and calls `then()` when its answer is recorded: last of all, when
  /// this may be gone. Never, where it was given up.
  template <class Then>
  void submit(std::size_t i, In row, Then then) {
    const Key key = key_of(i);
    servable_.submit(std::move(row), context(i),
                     Completion<Out>([this, requests = requests_, i, then](Result<Out> result) {
                       if (!claim((*requests)[i], Answer::being_recorded)) return;
                       record((*requests)[i], i, result);
                       then();
                     }),
                     options(key));
  }

  /// Sends request `i`, marked, and waits for its answer.
  void serve(std::size_t i, In row) {
    const Key key = key_of(i);
    record(request(i), i, servable_.serve(std::move(row), context(i), options(key)));
  }

  /// Waits until `done()`; false where it was not when there had been no answer for as long as the
  /// traffic says. `sent()` is how many were sent.
  template <class Done, class Sent>
  bool wait_until(Done done, Sent sent) const {
    std::size_t answered = 0;
    TimePoint asked = now();
    while (!done()) {
      if (traffic_.give_up > Duration::zero() && now() - asked >= traffic_.give_up) {
        const std::size_t before = std::exchange(answered, recorded(sent()));
        if (answered == before) return false;
        asked = now();
      }
      timing_.pause_until(now() + std::chrono::milliseconds(1));
    }
    return true;
  }

  /// Waits until the first `sent` are answered, or gives up those that are not.
  void wait_for(std::size_t sent) {
    std::size_t i = 0;
    const auto all = [&] {
      while (i < sent && is_recorded(i)) ++i;
      return i == sent;
    };
    if (!wait_until(all, [sent] { return sent; })) give_up(sent);
  }

  /// Gives up what is not answered of the first `sent`; how many.
  std::size_t give_up(std::size_t sent) {
    std::size_t given_up = 0;
    for (std::size_t i = 0; i < sent; ++i) {
      if (claim(request(i), Answer::given_up)) {
        ++given_up;
      } else {
        while (!is_recorded(i)) std::this_thread::yield();  // it is being
      }
    }
    return given_up;
  }

  Run sum_up(std::size_t sent, Tally how) const {
    how.deadline = traffic_.deadline;
    Run run = tally(std::span(*requests_).first(sent), how);
    run.computed_by_sender = servable_.traits().inline_only;
    return run;
  }

 private:
  using Answer = Request::Answer;

  /// Relaxed: it only decides who; nothing is handed over by it.
  static bool claim(Request& request, Answer by) noexcept {
    Answer awaited = Answer::awaited;
    return request.answer.compare_exchange_strong(awaited, by, std::memory_order_relaxed);
  }
  Request& request(std::size_t i) const noexcept { return (*requests_)[i]; }
  bool is_recorded(std::size_t i) const noexcept {
    return request(i).answer.load(std::memory_order_acquire) == Answer::recorded;
  }
  std::size_t recorded(std::size_t sent) const noexcept {
    std::size_t count = 0;
    for (std::size_t i = 0; i < sent; ++i) count += is_recorded(i) ? 1 : 0;
    return count;
  }

  Context context(std::size_t i) const {
    Context context;
    if (traffic_.deadline != Duration::zero()) {
      context.deadline = Instant{request(i).intended, timing_.clock} + traffic_.deadline;
    }
    return context;
  }

  Key key_of(std::size_t i) const noexcept { return traffic_.key ? traffic_.key(i) : 0; }
  CallOptions options(const Key& key) const {
    return {.keys = traffic_.key ? std::span(&key, 1) : std::span<const Key>()};
  }

  void record(Request& request, std::size_t i, const Result<Out>& result) noexcept {
    request.answered = now();
    request.status = result.status();
    request.wrong = result.has_value() && traffic_.check && !traffic_.check(i, *result);
    request.answer.store(Answer::recorded, std::memory_order_release);
  }

  const Servable<In, Out>& servable_;
  const Traffic<In, Out>& traffic_;
  const Timing& timing_;
  const std::shared_ptr<std::vector<Request>> requests_;
};

}  // namespace detail

}  // namespace galley::inline v1::load
