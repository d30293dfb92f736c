#include <src/runtime/pool_state.hpp>

#include <algorithm>
#include <thread>
#include <utility>

namespace galley::inline v1::detail {

namespace {

/// The pool whose thread this is, and which worker: a host's executor may be driven on it, so that
/// `Worker::current()` may be another.
constinit thread_local PoolWorker* worker_of_this_thread = nullptr;

void wake(Event* sleeper) {
  if (sleeper != nullptr) sleeper->nudge();
}

}  // namespace

PoolWorker::PoolWorker(PoolState& owner, std::shared_ptr<EpochDomain> domain, std::size_t number)
    : Worker(&owner, std::move(domain), number,
             [](Worker& self, Event& event, const Instant& deadline) {
               auto& worker = static_cast<PoolWorker&>(self);
               return worker.pool.help(worker, event, deadline, worker.pool);
             }),
      pool(owner) {}

PoolState::PoolState(std::size_t workers, const ThreadPoolOptions& options)
    : epochs_(std::make_shared<EpochDomain>(workers)),
      on_thread_start_(options.on_thread_start),
      on_thread_end_(options.on_thread_end) {
  workers_.reserve(workers);
  sleepers_.reserve(workers);
  for (std::size_t i = 0; i < workers; ++i) {
    workers_.push_back(std::make_unique<PoolWorker>(*this, epochs_, i));
  }
}

void PoolState::set_count(std::size_t count) {
  const std::lock_guard lock(mutex_);
  count_ = count;
}

// ---- posting -----------------------------------------------------------------------------------

void PoolState::push(Task& task) noexcept {
  task.next = nullptr;
  (first_ == nullptr ? first_ : last_->next) = &task;
  last_ = &task;
  ++queued_;
}

bool PoolState::post(Task& task) {
  Lock lock(mutex_);
  if (stopped_) return false;
  push(task);
  Event* const sleeper = next_to_wake();
  lock.unlock();
  wake(sleeper);
  return true;
}

bool PoolState::post_at(TimedTask& task, TimePoint at) {
  Lock lock(mutex_);
  if (stopped_) return false;
  task.due = at;
  timers_.add(task);
  // Whoever leads sleeps for a later timer: it shall look again.
  Event* const sleeper =
      leader_ != nullptr && &timers_.first() == &task ? claim(*leader_) : next_to_wake();
  lock.unlock();
  wake(sleeper);
  return true;
}

bool PoolState::cancel(TimedTask& task) {
  const Lock lock(mutex_);
  if (!timers_.holds(task)) return false;
  timers_.remove(task);
  return true;
}

// ---- running -----------------------------------------------------------------------------------

/// Takes the next task and enters it among those that run; null when there is none.
Task* PoolState::take(PoolWorker& worker) {
  if (!timers_.empty()) {
    for (const TimePoint time = Clock().now(); !timers_.empty() && timers_.first().due <= time;) {
      TimedTask& due = timers_.first();
      timers_.remove(due);
      push(due);
    }
  }
  Task* const task = first_;
  if (task == nullptr) return nullptr;
  first_ = task->next;
  --queued_;
  // Relaxed: who shuts down takes the lock before it looks.
  worker.running[worker.depth].task.store(task, std::memory_order_relaxed);
  return task;
}

/// Runs a round of each_worker or a task and gives the lock up; false, still locked, without
/// either.
bool PoolState::run_one(PoolWorker& worker, Lock& lock, bool take_tasks) {
  Task* const task = worker.rounds.empty() && take_tasks ? take(worker) : nullptr;
  if (task == nullptr && worker.rounds.empty()) return false;
  if (!worker.busy) {
    worker.busy = true;
    ++busy_;
  }
  if (task == nullptr) {
    run_round(worker, lock);
    return true;
  }
  Event* const other = next_to_wake();
  lock.unlock();
  wake(other);
  run(worker, *task);
  return true;
}

void PoolState::run(PoolWorker& worker, Task& task) {
  Running& running = worker.running[worker.depth++];
  task(Task::Call::run);
  // acq_rel, pairs with the exchange in tell_overdue: one of the two gets the pointer.
  if (running.task.exchange(nullptr, std::memory_order_acq_rel) == nullptr) {
    Lock lock(mutex_);
    changed_.wait(lock, [&running] { return running.told; });
  }
  task(Task::Call::finish);
  --worker.depth;
}

void PoolState::run_round(PoolWorker& worker, Lock& lock) {
  Round& round = *worker.rounds.front();
  worker.rounds.erase(worker.rounds.begin());
  Event* const other = next_to_wake();
  lock.unlock();
  wake(other);
  round.f(worker);
  lock.lock();
  const bool last = --round.left == 0;
  lock.unlock();
  if (last) round.done.set();
}

void PoolState::work(std::size_t index) {
  PoolWorker& worker = *workers_[index];
  worker_of_this_thread = &worker;
  const Worker::Scope scope(worker);
  epochs_->enter(index);
  if (on_thread_start_) on_thread_start_(index);
  Lock lock(mutex_);
  for (;;) {
    if (worker.busy) {
      worker.busy = false;
      --busy_;
      if (stopped_) changed_.notify_all();
    }
    if (run_one(worker, lock, true)) {
      epochs_->quiescent(index);
      lock.lock();
    } else if (stopped_) {
      break;
    } else {
      park(worker, worker.idle, TimePoint::max(), true, lock);
    }
  }
  lock.unlock();
  if (on_thread_end_) on_thread_end_(index);
  epochs_->leave(index);
  worker_of_this_thread = nullptr;
}

// ---- sleeping and waking -----------------------------------------------------------------------

void PoolState::unpark(PoolWorker& worker) {
  worker.parked_on = nullptr;
  if (worker.takes_tasks) std::erase(sleepers_, &worker);
  if (leader_ == &worker) leader_ = nullptr;
}

/// Takes a sleeping worker out of those that sleep; the caller owes the event a nudge.
Event* PoolState::claim(PoolWorker& worker) {
  Event* const event = worker.parked_on;
  unpark(worker);
  if (worker.takes_tasks) {
    worker.waking = true;
    ++waking_;
  }
  return event;
}

/// Claims one sleeper if there is work for one more; null otherwise. Called whenever something was
/// added, and by every worker that goes off to run something or to return.
Event* PoolState::next_to_wake() {
  if (sleepers_.empty()) return nullptr;
  const bool work = queued_ > waking_;
  const bool nobody_leads = leader_ == nullptr && !timers_.empty() && waking_ == 0;
  if (!work && !nobody_leads) return nullptr;
  // Rather one between tasks than one that waits inside of one, rather one that does not lead.
  PoolWorker* best = nullptr;
  int best_rank = -1;
  for (PoolWorker* sleeper : sleepers_) {
    const bool between_tasks = sleeper->parked_on == &sleeper->idle;
    const int rank = (between_tasks ? 2 : 0) + (sleeper == leader_ ? 0 : 1);
    if (rank >= best_rank) {
      best = sleeper;
      best_rank = rank;
    }
  }
  return claim(*best);
}

std::vector<Event*> PoolState::claim_all() {
  std::vector<Event*> events;
  for (const auto& worker : workers_) {
    if (worker->parked_on != nullptr) events.push_back(claim(*worker));
  }
  return events;
}

/// Sleeps until claimed, until `event` is set or until `limit`. Locked on both ends.
void PoolState::park(PoolWorker& worker, Event& event, TimePoint limit, bool takes_tasks,
                     Lock& lock) {
  worker.parked_on = &event;
  worker.takes_tasks = takes_tasks;
  if (takes_tasks) {
    sleepers_.push_back(&worker);
    if (leader_ == nullptr && !timers_.empty()) {
      leader_ = &worker;
      limit = std::min(limit, timers_.first().due);
    }
  }
  lock.unlock();
  const bool between_tasks = &event == &worker.idle;
  if (between_tasks) epochs_->leave(worker.index());
  const bool nudged = event.wait_nudged(limit);
  if (between_tasks) epochs_->enter(worker.index());
  lock.lock();
  if (worker.parked_on != nullptr) return unpark(worker);
  if (worker.waking) {
    worker.waking = false;
    --waking_;
  }
  if (nudged) return;
  lock.unlock();
  event.take_nudge();
  lock.lock();
}

// ---- waiting -----------------------------------------------------------------------------------

WaitEnd PoolState::wait(Event& event, const Instant& deadline) {
  PoolWorker* const worker = worker_of_this_thread;
  if (Worker* inner = Worker::current(); inner != nullptr && inner != worker) {
    const WaitEnd end = inner->help(event, deadline);
    if (end != WaitEnd::stuck) return end;  // otherwise it is up to this pool
  }
  if (worker != nullptr) return worker->pool.help(*worker, event, deadline, *this);
  return event.wait_until(deadline) ? WaitEnd::done : WaitEnd::late;
}

/// Waits on a worker of this pool for what tasks of `target` will set.
WaitEnd PoolState::help(PoolWorker& worker, Event& event, const Instant& deadline,
                        PoolState& target) {
  const Worker::Scope scope(worker);
  if (worker.depth < max_depth) return help_loop(worker, event, deadline, true);
  full_.fetch_add(1, std::memory_order_seq_cst);
  const bool nobody_left = target.full_.load(std::memory_order_seq_cst) == target.count_;
  WaitEnd end =
      nobody_left && !event.is_set() ? WaitEnd::stuck : help_loop(worker, event, deadline, false);
  full_.fetch_sub(1, std::memory_order_seq_cst);
  return end;
}

WaitEnd PoolState::help_loop(PoolWorker& worker, Event& event, const Instant& deadline,
                             bool take_tasks) {
  for (;;) {
    if (event.is_set()) return stop_helping(WaitEnd::done);
    if (deadline.has_passed()) return stop_helping(WaitEnd::late);
    const TimePoint limit = Event::next_look(deadline);
    Lock lock(mutex_);
    if (run_one(worker, lock, take_tasks)) continue;
    if (over_) {
      lock.unlock();
      return event.is_set() ? WaitEnd::done : WaitEnd::stuck;
    }
    park(worker, event, limit, take_tasks, lock);
  }
}

/// The worker may have been woken for work that it now leaves to another.
WaitEnd PoolState::stop_helping(WaitEnd end) {
  Lock lock(mutex_);
  Event* const other = next_to_wake();
  lock.unlock();
  wake(other);
  return end;
}

// ---- each worker -------------------------------------------------------------------------------

Result<void> PoolState::each_worker(FunctionRef<void(Worker&)> f) {
  PoolWorker* const caller = own_worker();
  const auto shut_down = [] { return Error(Status::unavailable, "the thread pool is shut down"); };
  Round round{.f = f};
  std::vector<Event*> asleep;
  Lock lock(mutex_);
  if (stopped_) return shut_down();
  for (std::size_t i = 0; i < count_; ++i) {
    PoolWorker& worker = *workers_[i];
    if (&worker == caller) continue;
    worker.rounds.push_back(&round);
    ++round.left;
    if (worker.parked_on != nullptr) asleep.push_back(claim(worker));
  }
  const bool alone = round.left == 0;
  lock.unlock();
  for (Event* event : asleep) wake(event);
  if (caller != nullptr) {
    const Worker::Scope scope(*caller);
    f(*caller);
  }
  if (!alone && wait(round.done, Instant()) != WaitEnd::done) withdraw(round);
  lock.lock();
  const bool dropped = round.dropped;
  lock.unlock();
  if (dropped) return shut_down();
  return {};
}

/// Ends a round whose caller may wait no longer: those that run it are waited for, the rest never
/// will.
void PoolState::withdraw(Round& round) {
  Lock lock(mutex_);
  std::size_t taken = 0;
  for (const auto& worker : workers_) taken += std::erase(worker->rounds, &round);
  round.left -= taken;
  round.dropped = round.dropped || taken > 0;
  const bool ended_it = taken > 0 && round.left == 0;
  lock.unlock();
  if (!ended_it) round.done.wait();
}

// ---- shutting down -----------------------------------------------------------------------------

/// Takes no more and abandons what has not begun. The first call does it all.
void PoolState::stop() {
  Lock lock(mutex_);
  if (stopped_) return;
  stopped_ = true;
  ++abandoning_;
  Task* task = std::exchange(first_, nullptr);
  queued_ = 0;
  const std::vector<TimedTask*> timers = timers_.take_all();
  std::vector<Round*> ended;
  for (const auto& worker : workers_) {
    for (Round* round : std::exchange(worker->rounds, {})) {
      round->dropped = true;
      if (--round->left == 0) ended.push_back(round);
    }
  }
  const std::vector<Event*> asleep = claim_all();
  lock.unlock();
  for (Event* event : asleep) wake(event);
  for (Round* round : ended) round->done.set();
  while (task != nullptr) {
    Task* const next = task->next;
    (*task)(Task::Call::abandon);
    task = next;
  }
  for (TimedTask* timer : timers) (*timer)(Task::Call::abandon);
  lock.lock();
  --abandoning_;
  changed_.notify_all();
}

bool PoolState::shutdown(Duration grace) {
  const TimePoint time = Clock().now();
  const TimePoint limit = grace < TimePoint::max() - time ? time + grace : TimePoint::max();
  stop();
  const PoolWorker* const caller = own_worker();
  Lock lock(mutex_);
  const std::size_t self = caller != nullptr && caller->busy ? 1 : 0;
  closing_ += self;
  if (self != 0) changed_.notify_all();
  changed_.wait_until(lock, limit, [this] { return busy_ == closing_ && abandoning_ == 0; });
  const bool all_ended = busy_ == closing_;
  closing_ -= self;
  over_ = true;
  const std::vector<Event*> asleep = claim_all();
  lock.unlock();
  for (Event* event : asleep) wake(event);
  if (!all_ended) tell_overdue(caller);
  return all_ended;
}

void PoolState::tell_overdue(const PoolWorker* caller) {
  for (const auto& worker : workers_) {
    if (worker.get() == caller) continue;
    for (Running& running : worker->running) {
      // acq_rel, pairs with the exchange in run: one of the two gets the pointer.
      Task* const task = running.task.exchange(nullptr, std::memory_order_acq_rel);
      if (task == nullptr) continue;
      (*task)(Task::Call::overdue);
      const Lock lock(mutex_);
      running.told = true;
      changed_.notify_all();
    }
  }
}

PoolWorker* PoolState::own_worker() noexcept {
  PoolWorker* const worker = worker_of_this_thread;
  return worker != nullptr && &worker->pool == this ? worker : nullptr;
}

}  // namespace galley::inline v1::detail
