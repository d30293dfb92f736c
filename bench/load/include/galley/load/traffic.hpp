// Traffic: what is sent to a servable, and which answers are right.
#pragma once

#include <galley/core/completion.hpp>
#include <galley/core/context.hpp>
#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/time.hpp>
#include <galley/load/run.hpp>
#include <galley/load/timing.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
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
};

/// Rows to be sent in turn, over and over: `.row = cycle(images)`.
template <class In>
std::function<In(std::size_t)> cycle(std::vector<In> rows) {
  return [rows = std::move(rows)](std::size_t request) { return rows[request % rows.size()]; };
}

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

/// The requests of one run, in memory that was there before the first was sent.
template <class In, class Out>
class Requests {
 public:
  Requests(const Servable<In, Out>& servable, const Traffic<In, Out>& traffic, const Timing& timing,
           std::size_t most)
      : servable_(servable), traffic_(traffic), timing_(timing), requests_(most) {}

  std::size_t most() const { return requests_.size(); }
  TimePoint now() const { return timing_.clock.now(); }
  const Timing& timing() const { return timing_; }

  In row(std::size_t i) const noexcept { return traffic_.row(i); }

  /// Request `i` is sent now; it was to be sent at `intended`, or now.
  void mark_sent(std::size_t i, TimePoint intended) {
    requests_[i].intended = intended;
    requests_[i].sent = now();
  }
  void mark_sent(std::size_t i) { requests_[i].intended = requests_[i].sent = now(); }

  /// Sends request `i`, marked, and calls `then()` when its answer is recorded: last of all, when
  /// this may be gone.
  template <class Then>
  void submit(std::size_t i, In row, Then then) {
    const Key key = key_of(i);
    servable_.submit(std::move(row), context(i),
                     Completion<Out>([this, i, then](Result<Out> result) {
                       record(i, result);
                       then();
                     }),
                     options(key));
  }

  /// Sends request `i`, marked, and waits for its answer.
  void serve(std::size_t i, In row) {
    const Key key = key_of(i);
    record(i, servable_.serve(std::move(row), context(i), options(key)));
  }

  /// Waits until the first `sent` are answered.
  void wait_for(std::size_t sent) {
    for (std::size_t i = 0; i < sent; ++i) {
      while (!requests_[i].done.load(std::memory_order_acquire)) {
        timing_.pause_until(now() + std::chrono::milliseconds(1));
      }
    }
  }

  Run sum_up(std::size_t sent, Tally how) const {
    how.deadline = traffic_.deadline;
    Run run = tally(std::span(requests_).first(sent), how);
    run.computed_by_sender = servable_.traits().inline_only;
    return run;
  }

 private:
  Context context(std::size_t i) const {
    Context context;
    if (traffic_.deadline != Duration::zero()) {
      context.deadline = Instant{requests_[i].intended, timing_.clock} + traffic_.deadline;
    }
    return context;
  }

  Key key_of(std::size_t i) const noexcept { return traffic_.key ? traffic_.key(i) : 0; }
  CallOptions options(const Key& key) const {
    return {.keys = traffic_.key ? std::span(&key, 1) : std::span<const Key>()};
  }

  void record(std::size_t i, const Result<Out>& result) noexcept {
    Request& request = requests_[i];
    request.answered = now();
    request.status = result.status();
    request.wrong = result.has_value() && traffic_.check && !traffic_.check(i, *result);
    request.done.store(true, std::memory_order_release);
  }

  const Servable<In, Out>& servable_;
  const Traffic<In, Out>& traffic_;
  const Timing& timing_;
  std::vector<Request> requests_;
};

}  // namespace detail

}  // namespace galley::inline v1::load
