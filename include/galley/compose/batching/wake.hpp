// Who looks at the queue of a batcher, when, and what the policy makes of it.
#pragma once

#include <galley/compose/batching/batcher.hpp>

namespace galley::inline v1::detail {

template <class In, class Out, BatchPolicy Policy>
BatchView Batcher<In, Out, Policy>::view_of(const Bucket& bucket, TimePoint now,
                                            const Looks& looks) const {
  BatchView view;
  view.rows = bucket.rows;
  view.limit = limit();
  view.yields = looks.yields;
  view.rows_before = looks.rows_before;
  view.yielding_pays = trial_.mode().yields;
  view.number = batches_;
  view.costs = &bucket.costs;
  // The first to go need not be the first that came; that matters while the batch may yet wait.
  const bool all = needs_time() && bucket.rows < limit();
  for (const auto& lane : bucket.lanes) {
    const Queued* const first = lane->first;
    if (first == nullptr) continue;
    for (const Queued* one = first; one != nullptr; one = all ? one->next : nullptr) {
      if (one->since != TimePoint()) view.oldest = std::max(view.oldest, now - one->since);
    }
    if (first->deadline.is_never()) continue;
    view.slack = std::min(view.slack, first->deadline.at - first->deadline.clock.now());
  }
  return view;
}

template <class In, class Out, BatchPolicy Policy>
BatchDecision Batcher<In, Out, Policy>::decide(const Bucket& bucket, TimePoint now,
                                               const Looks& looks) const {
  if (bucket.flushed != 0) {
    return BatchDecision::close(std::min(bucket.rows, limit()), CloseReason::flush);
  }
  BatchDecision decision = policy_.decide(view_of(bucket, now, looks));
  // A policy of a host's own may give a reason that there is not.
  if (static_cast<std::size_t>(decision.reason) >= close_reasons) {
    decision.reason = CloseReason::idle;
  }
  return decision;
}

template <class In, class Out, BatchPolicy Policy>
bool Batcher<In, Out, Policy>::looks_at_time() const {
  if (needs_time() || deadlines_ != 0) return true;
  for (const auto& bucket : buckets_) {
    if (bucket->lanes.size() > 1) return true;
  }
  return false;
}

/// The most urgent bucket that need not wait; where all wait, the one that does for the shortest
/// time. Of buckets that need not, one that would yield goes only where no other would close.
template <class In, class Out, BatchPolicy Policy>
auto Batcher<In, Out, Policy>::choose(TimePoint now, const Looks& looks) const -> Choice {
  Choice best;
  Urgency best_urgency;
  const auto rank = [](const BatchDecision& decision) { return static_cast<int>(decision.act); };
  for (const auto& bucket : buckets_) {
    const Queued* const first = most_urgent(*bucket, now, options_.ageing);
    if (first == nullptr) continue;
    const BatchDecision decision = decide(*bucket, now, looks);
    const Urgency urgency = Urgency::of(*first, now, options_.ageing);
    const auto better = [&] {
      if (best.bucket == nullptr) return true;
      if (rank(decision) != rank(best.decision)) return rank(decision) < rank(best.decision);
      if (decision.act == BatchDecision::Act::wait) return decision.wait < best.decision.wait;
      return urgency.before(best_urgency);
    };
    if (!better()) continue;
    best = {bucket.get(), decision};
    best_urgency = urgency;
  }
  return best;
}

/// True where a runner is about to look at the queue. One that gives answers is, where that takes
/// less time than to wake another; else the rows that come meanwhile are not to wait for it.
template <class In, class Out, BatchPolicy Policy>
bool Batcher<In, Out, Policy>::somebody_looks() const noexcept {
  constexpr Duration to_wake = std::chrono::microseconds(50);
  return looking_ > (answer_time_ > to_wake ? answering_ : 0);
}

/// An idle runner to be posted, where there is work that nobody is looking for; else null.
template <class In, class Out, BatchPolicy Policy>
auto Batcher<In, Out, Policy>::runner_to_wake() -> Runner* {
  if (somebody_looks() || queued_rows_ == 0 || slots_.all_taken()) return nullptr;
  for (const auto& runner : runners_) {
    if (runner->active) continue;
    runner->active = true;
    ++looking_;
    return runner.get();
  }
  return nullptr;
}

/// The same after rows have come to `bucket`: not while all they do is to wait.
template <class In, class Out, BatchPolicy Policy>
auto Batcher<In, Out, Policy>::runner_for(const Bucket& bucket) -> Runner* {
  if (somebody_looks()) return nullptr;
  if (timer_.posted) {
    const TimePoint now = time_now();
    const BatchDecision decision = decide(bucket, now, Looks());
    if (decision.act == BatchDecision::Act::wait && look_again(now, decision) >= timer_.due_at) {
      return nullptr;
    }
  }
  return runner_to_wake();
}

template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::wake(Runner* runner) {
  if (runner == nullptr) return;
  runner->keep = this->shared_from_this();
  if (!executor_.post(*runner)) abandon(*runner);
}

template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::Runner::dispatch(Task& task, Call call) noexcept {
  auto& runner = static_cast<Runner&>(task);
  constexpr int most_turns = 8;  // then the executor's other tasks have theirs
  switch (call) {
    case Call::run:
      for (int turn = 0; turn < most_turns && runner.batcher.run_batch(runner); ++turn) {
      }
      return;
    case Call::finish:
      return runner.batcher.finish(runner);
    case Call::overdue:
      return runner.batcher.overdue(runner);
    case Call::abandon:
      return runner.batcher.abandon(runner);
  }
}

/// From here to `answers_given` a runner gives answers. Who hears one may serve, and so wait above
/// the runner, which does not look at the queue meanwhile.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::answers_begin(Runner& runner) {
  runner.answering = true;
  ++answering_;
}

template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::answers_given(Runner& runner) {
  if (std::exchange(runner.answering, false)) --answering_;
}

/// Sees to it that somebody looks at the queue who does not lie beneath this call.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::before_waiting() {
  if (Worker::current() == nullptr) return;  // no runner lies beneath
  Lock lock(mutex_);
  if (looking_ != answering_ || queued_rows_ == 0 || slots_.all_taken()) return;
  auto idle = std::find_if(runners_.begin(), runners_.end(),
                           [](const auto& runner) { return !runner->active; });
  if (idle == runners_.end()) {
    const Result<void> made =
        guard_([&] { idle = runners_.insert(runners_.end(), std::make_unique<Runner>(*this)); });
    if (!made.has_value()) return;
  }
  Runner* const runner = idle->get();
  runner->active = true;
  ++looking_;
  lock.unlock();
  wake(runner);
}

/// Ends a runner's turn: it goes on later where there is something to do, and is idle otherwise.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::finish(Runner& runner) {
  Lock lock(mutex_);
  answers_given(runner);
  bool again = false;
  if (queued_rows_ != 0 && !slots_.all_taken()) {
    const TimePoint now = looks_at_time() ? time_now() : TimePoint();
    const BatchDecision decision = choose(now, Looks()).decision;
    again = decision.act != BatchDecision::Act::wait || !timer_.posted ||
            look_again(now, decision) < timer_.due_at;
  }
  if (again) {
    lock.unlock();
    if (!executor_.post(runner)) abandon(runner);
    return;
  }
  runner.active = false;
  --looking_;
  const std::shared_ptr<Batcher> keep = std::move(runner.keep);
  lock.unlock();
}

/// The executor takes no more tasks: what queues is answered.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::abandon(Runner& runner) {
  Lock lock(mutex_);
  runner.active = false;
  --looking_;
  const std::shared_ptr<Batcher> keep = std::move(runner.keep);
  close(lock);
}

/// The executor was shut down while a batch runs: its rows are answered now, and what queues.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::overdue(Runner& runner) {
  std::vector<Answer<Out>> answers;
  std::vector<Outcomes<Out>> lost;
  Lock lock(mutex_);
  const Result<void> room = guard_([&] {
    const Error error(Status::unavailable,
                      child_.name() + ": the executor was shut down while this was running");
    make_room(answers, runner.parts.size());
    for (const Part& part : runner.parts) {
      part.request->make_room_for(0);
      lost.push_back(Outcomes<Out>::failed(part.count, error));
    }
  });
  // Without memory to say so, they are answered what is computed.
  if (runner.computing && !runner.stolen && room.has_value()) {
    runner.stolen = true;
    for (std::size_t i = 0; i < lost.size(); ++i) {
      const Part& part = runner.parts[i];
      auto answer = part.request->add(part.first, std::move(lost[i]));
      if (answer.has_value()) answers.push_back(*std::move(answer));
    }
  }
  close(lock, std::move(answers));
}

template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::Timer::dispatch(Task& task, Task::Call call) noexcept {
  auto& timer = static_cast<Timer&>(task);
  if (call == Task::Call::run || call == Task::Call::overdue) return;
  Batcher& self = timer.batcher;
  Lock lock(self.mutex_);
  timer.posted = false;
  timer.due_at = self.wanted_ = TimePoint::max();
  const std::shared_ptr<Batcher> keep = std::move(timer.keep);
  if (call == Task::Call::abandon) return self.close(lock);
  Runner* const runner = self.runner_to_wake();
  lock.unlock();
  self.wake(runner);
}

/// Sees to it that somebody looks again at `due`, or earlier. Locked on both ends.
template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::arm(Lock& lock, TimePoint due) {
  wanted_ = std::min(wanted_, due);
  if (arming_) return;  // whoever does will see to this too
  arming_ = true;
  while (wanted_ < timer_.due_at) {
    const bool pending = timer_.posted;
    const TimePoint at = wanted_;
    timer_.posted = true;
    timer_.due_at = at;
    if (!pending) timer_.keep = this->shared_from_this();
    lock.unlock();
    const bool ours = !pending || executor_.cancel(timer_);  // else it fires just now, and looks
    const bool refused = ours && !executor_.post_at(timer_, at);
    if (refused) Timer::dispatch(timer_, Task::Call::abandon);
    lock.lock();
    if (!ours || refused) break;
  }
  arming_ = false;
}

}  // namespace galley::inline v1::detail
