// One request whose members answer beside each other: who runs which, and when the vote is over.
#pragma once

#include <galley/compose/ensembling/node.hpp>

#include <array>
#include <atomic>
#include <thread>

namespace galley::inline v1::detail {

/// A request at members on several threads. It lives in its frame until nobody touches it any more,
/// which may be long after it was answered.
///
/// *Who runs a member.* Members that answer later are asked at the start. The others are handed out
/// in lanes, each a task; whoever has a lane runs its members and then those that nobody has begun.
/// So a lane that finds no worker costs nothing but its own run, in the end, over nothing.
///
/// *Who ends the vote.* Whoever puts the last answer, or one after which no other can change a row,
/// or the deadline. From then on nothing is begun, and answers are not looked at any more.
template <class In, class Mid, class C, class Mode>
struct EnsembleNode<In, Mid, C, Mode>::Poll {
  enum class State : std::uint8_t { idle, running, filling, answered };
  enum class Caller : std::uint8_t { waits, takes_part, left };

  /// A member's place. Whoever takes it from idle runs the member; whoever takes it from running
  /// puts the answer, which is looked at once it is answered.
  struct Seat {
    std::atomic<State> state{State::idle};
    Outcomes<Mid> outcomes;
  };

  struct Lane : Task {
    Lane(Poll& owner, std::size_t which) : Task(dispatch), poll(owner), number(which) {}
    static void dispatch(Task& task, Task::Call what) noexcept {
      Lane& self = static_cast<Lane&>(task);
      switch (what) {
        case Task::Call::run:
          self.poll.node.record_->woke(self.poll.now() - self.posted);
          return self.poll.run_lane(self.number, &self.running);
        case Task::Call::finish:
          return self.end();
        case Task::Call::overdue:
          return self.poll.give_up(self.running.load(std::memory_order_acquire));
        case Task::Call::abandon:
          self.poll.give_up(none);
          self.end();
      }
    }
    void end() {
      poll.node.record_->lane_ends();
      poll.release();
    }
    Poll& poll;
    std::size_t number;
    TimePoint posted = {};
    // The member it runs: release by the lane, acquire by who shuts down.
    std::atomic<std::size_t> running{none};
  };

  struct Limit : TimedTask {
    explicit Limit(Poll& owner) : TimedTask(dispatch), poll(owner) {}
    static void dispatch(Task& task, Task::Call what) noexcept {
      Poll& poll = static_cast<Limit&>(task).poll;
      if (what == Task::Call::run) poll.close(late());
      if (what == Task::Call::finish || what == Task::Call::abandon) poll.release();
    }
    Poll& poll;
  };

  Poll(const EnsembleNode& ensemble, Rows<In> batch, const BatchContext& request, Frame& memory,
       const ForkPlan& where, Caller how, BatchCompletion<Out> owed)
      : node(ensemble),
        rows(std::move(batch)),
        frame(memory),
        plan(where),
        caller(how),
        seats(ensemble.ballot_.size()),
        lanes(ensemble.most_lanes_),
        limit(*this),
        left(ensemble.ballot_.size()),
        done(std::move(owed)) {
    kept.assign(ensemble.pinned(request).view());
    // All that is taken from the frame is taken now: once asked, members may let others go on in
    // it.
    for (Seat*& seat : seats.span()) seat = &memory.make<Seat>();
    if (!ensemble.executor_.has_value() || ensemble.inline_.empty()) return;
    const std::size_t own = caller == Caller::takes_part ? 1 : 0;
    for (std::size_t i = own; i < plan.lanes; ++i) lanes[i - own] = &memory.make<Lane>(*this, i);
  }
  ~Poll() {
    for (Seat* seat : seats.span()) seat->~Seat();
    for (Lane* lane : lanes.span()) {
      if (lane != nullptr) lane->~Lane();
    }
  }

  static constexpr std::size_t none = ~std::size_t{0};
  static Error late() {
    return Error(Status::deadline_exceeded, "no answer before the vote was closed");
  }

  BatchContext context() const noexcept { return kept.view(); }
  TimePoint now() const { return node.executor_->now().at; }
  const EnsembleOptions& options() const noexcept { return node.ballot_.options(); }

  // ---- starting

  /// Asks all that can be asked from here. Whoever calls keeps the poll meanwhile.
  void start() {
    for (const std::uint8_t m : node.later_) ask_later(m);
    if (node.inline_.empty()) return;
    if (!node.executor_.has_value()) return run_lane(0, nullptr);
    for (Lane* lane : lanes.span()) {
      if (lane != nullptr) post(*lane);
    }
    if (caller == Caller::takes_part) run_lane(0, nullptr);
  }

  /// Ends the vote at `at` on the executor's clock. Called before `start`.
  void close_at(TimePoint at) {
    limit_at = at;
    hold();
    armed = true;
    if (node.executor_->post_at(limit, at)) return;
    armed = false;
    release();
  }

  void ask_later(std::size_t m) {
    if (is_closed() || !take(m)) return;
    const bool last_use = node.inline_.empty() && m == node.later_.back();
    Result<Rows<In>> own = Mode::template call<Rows<In>>([&]() -> Result<Rows<In>> {
      if (last_use) return std::move(rows);
      return Batch<In>(rows).to_rows();
    });
    if (!own.has_value()) return put(m, failed(own.error()));
    hold();
    node.ballot_[m].servable.submit_apart(*std::move(own), context(),
                                          BatchCompletion<Mid>(
                                              size(),
                                              [this, m](Outcomes<Mid>&& outcomes) {
                                                put(m, std::move(outcomes));
                                                release();
                                              },
                                              NoExceptions()));
  }

  void post(Lane& lane) {
    lane.posted = now();
    hold();
    node.record_->lane_begins();
    if (!node.executor_->post(lane)) lane(Task::Call::abandon);
  }

  // ---- running

  /// The members of a lane, and then all that nobody has begun.
  void run_lane(std::size_t number, std::atomic<std::size_t>* running) {
    for (std::size_t i = 0; i < node.inline_.size(); ++i) {
      if (plan.lane[i] == number) run(node.inline_[i], running);
    }
    for (const std::uint8_t m : node.inline_) run(m, running);
  }

  void run(std::size_t m, std::atomic<std::size_t>* running) {
    if (limit_at != TimePoint::max() && now() >= limit_at) close(late());
    if (is_closed() || !take(m)) return;
    if (running != nullptr) running->store(m, std::memory_order_release);
    const Batch<In> batch(rows);
    put(m, node.executor_.has_value() ? node.ask_timed(m, batch, context())
                                      : node.ask(m, batch, context()));
    if (running != nullptr) running->store(none, std::memory_order_release);
  }

  /// Gives way to others for about as long as being parked and woken would take: lanes are filled
  /// so that they end together, and whoever has run its own seldom waits for long.
  ///
  /// Source  A. R. Karlin, K. Li, M. S. Manasse, S. Owicki, Empirical Studies of Competitive
  ///         Spinning for a Shared-Memory Multiprocessor, SOSP 1991
  void linger() const noexcept {
    for (int i = 0; i < 200 && !is_closed(); ++i) std::this_thread::yield();
  }

  /// The executor was shut down: what it ran (or `none`) is not waited for, and what it would have
  /// run is not run, unless the caller does so.
  void give_up(std::size_t ran) {
    const Error error(Status::unavailable, "the executor was shut down");
    if (ran != none) put(ran, failed(error));
    if (caller == Caller::takes_part) return;
    for (const std::uint8_t m : node.inline_) {
      if (take(m)) put(m, failed(error));
    }
  }

  // ---- answers

  std::size_t size() const noexcept { return count; }
  Outcomes<Mid> failed(const Error& error) const { return Outcomes<Mid>::failed(size(), error); }
  bool is_closed() const noexcept { return closed.load(std::memory_order_acquire); }

  bool take(std::size_t m) noexcept {
    State idle = State::idle;
    return seats[m]->state.compare_exchange_strong(idle, State::running, std::memory_order_relaxed);
  }

  void put(std::size_t m, Outcomes<Mid> outcomes) {
    Seat& seat = *seats[m];
    State running = State::running;
    if (!seat.state.compare_exchange_strong(running, State::filling, std::memory_order_relaxed)) {
      return;  // a shutdown has answered for it
    }
    seat.outcomes = std::move(outcomes);
    node.check(m, seat.outcomes, size());
    const bool may_end = Members::decides || !seat.outcomes.all_ok();
    seat.state.store(State::answered, std::memory_order_release);  // pairs with views()
    // acq_rel: of those that put at the same time, the later one sees the other's answer.
    if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) return close(late());
    if (!may_end || is_closed()) return;
    FewOf<AnswerView<Mid>> said(seats.size());
    views(said);
    if (node.ballot_.all_over(size(), said.span())) close(late());
  }

  /// What was answered by now.
  void views(FewOf<AnswerView<Mid>>& said) const {
    for (std::size_t m = 0; m < seats.size(); ++m) {
      if (seats[m]->state.load(std::memory_order_acquire) == State::answered) {
        said[m].outcomes = &seats[m]->outcomes;
      }
    }
  }

  /// Ends the vote, once: answers, or wakes the caller that does.
  void close(const Error& why) {
    if (closed.exchange(true, std::memory_order_acq_rel)) return;
    if (armed && node.executor_->cancel(limit)) release();
    if (caller != Caller::left) return over.set();
    BatchCompletion<Out> owed = std::move(done);
    owed(outcomes(why));
  }

  Outcomes<Out> outcomes(const Error& why, Workspace* workspace = nullptr) const {
    FewOf<AnswerView<Mid>> said(seats.size());
    views(said);
    node.count_all(size(), said.span());
    return node.ballot_.outcomes(size(), said.span(), why, workspace);
  }

  // ---- lifetime
  void hold() noexcept { users.fetch_add(1, std::memory_order_relaxed); }
  /// acq_rel: the last one sees all that the others did.
  void release() noexcept {
    if (users.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    const FrameRef keep = std::move(frame);
    this->~Poll();
  }

  const EnsembleNode& node;
  Rows<In> rows;
  const std::size_t count = rows.size();
  OwnedBatchContext kept;
  FrameRef frame;
  const ForkPlan plan;
  const Caller caller;
  FewOf<Seat*> seats;
  FewOf<Lane*> lanes;
  Limit limit;
  TimePoint limit_at = TimePoint::max();  // on the executor's clock; nothing is begun after it
  bool armed = false;                     // written before anyone else knows of the poll
  std::atomic<bool> closed{false};
  std::atomic<std::size_t> left;      // members that have not answered
  std::atomic<std::size_t> users{1};  // whoever made it, lanes, members asked, the limit
  Event over{Event::Kept::by_setting};
  BatchCompletion<Out> done;
};

}  // namespace galley::inline v1::detail
