// PoolState: what the threads of a pool and its executors share.
#pragma once

#include <galley/core/executor.hpp>
#include <galley/core/result.hpp>
#include <galley/runtime/thread_pool.hpp>
#include <src/runtime/timer_heap.hpp>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace galley::inline v1::detail {

class PoolState;

/// How many tasks one worker runs on top of one another.
constexpr std::size_t max_depth = 32;

/// A task that runs. Whoever exchanges the pointer for null makes the next call on it: the worker
/// when `run` has returned, or the thread that shuts down.
struct Running {
  std::atomic<Task*> task{nullptr};
  bool told = false;  // under the pool's lock: `overdue` has returned
};

/// One call of `each_worker`.
struct Round {
  FunctionRef<void(Worker&)> f;
  std::size_t left = 0;  // under the pool's lock: workers that have not ended it
  bool dropped = false;  // under the pool's lock: some worker will not run it
  Event done = {};       // set by whoever brings `left` to 0
};

struct PoolWorker : Worker {
  PoolWorker(PoolState& owner, std::shared_ptr<EpochDomain> domain, std::size_t number);

  PoolState& pool;
  Event idle{Event::Kept::by_nudging};  // what it sleeps on between tasks; only ever nudged
  std::size_t depth = 0;                // its own thread's: how many tasks it runs
  std::array<Running, max_depth> running;

  // Under the pool's lock.
  Event* parked_on = nullptr;  // while it sleeps and nobody has claimed it to wake it
  bool takes_tasks = false;    // while it sleeps: it would run tasks
  bool waking = false;         // claimed as one who takes tasks, not yet awake
  bool busy = false;           // counted in busy_
  std::vector<Round*> rounds;
};

/// The threads' shared state. No task, hook or event is called under the lock.
///
/// A sleeping worker sleeps on an event, its own or the one it waits for. To wake it one claims it
/// under the lock and nudges the event after; the worker, whatever woke it, does not let go of the
/// event before a nudge that was promised has come. So no wake is lost and no event is touched too
/// late.
class PoolState {
 public:
  PoolState(std::size_t workers, const ThreadPoolOptions& options);

  // ---- ExecutorImpl
  Instant now() const { return Instant{Clock().now(), Clock()}; }
  bool post(Task& task);
  bool post_at(TimedTask& task, TimePoint at);
  bool cancel(TimedTask& task);
  void yield() { std::this_thread::yield(); }
  std::size_t concurrency() const noexcept { return count_; }
  Result<void> each_worker(FunctionRef<void(Worker&)> f);
  WaitEnd wait(Event& event, const Instant& deadline);

  /// Fixes how many workers there are, before anything is posted.
  void set_count(std::size_t count);
  /// The body of a worker's thread.
  void work(std::size_t index);
  WaitEnd help(PoolWorker& worker, Event& event, const Instant& deadline, PoolState& target);
  bool shutdown(Duration grace);
  /// The worker of this pool whose thread this is, or null.
  PoolWorker* own_worker() noexcept;

 private:
  using Lock = std::unique_lock<std::mutex>;

  void push(Task& task) noexcept;
  Task* take(PoolWorker& worker);
  bool run_one(PoolWorker& worker, Lock& lock, bool take_tasks);
  void run(PoolWorker& worker, Task& task);
  void run_round(PoolWorker& worker, Lock& lock);
  void withdraw(Round& round);

  Event* claim(PoolWorker& worker);
  Event* next_to_wake();
  std::vector<Event*> claim_all();
  void unpark(PoolWorker& worker);
  void park(PoolWorker& worker, Event& event, TimePoint limit, bool takes_tasks, Lock& lock);
  WaitEnd stop_helping(WaitEnd end);
  WaitEnd help_loop(PoolWorker& worker, Event& event, const Instant& deadline, bool take_tasks);

  void stop();
  void tell_overdue(const PoolWorker* caller);

  const std::shared_ptr<EpochDomain> epochs_;
  const std::function<void(std::size_t)> on_thread_start_;
  const std::function<void(std::size_t)> on_thread_end_;
  std::vector<std::unique_ptr<PoolWorker>> workers_;
  std::size_t count_ = 0;

  /// Workers that wait at full depth. Sequentially consistent: of two that are about to block on
  /// each other's pools, each adds to its own and then reads the other's, and one sees both.
  std::atomic<std::size_t> full_{0};

  std::mutex mutex_;
  std::condition_variable changed_;  // for those who shut down, and for whom an `overdue` is waited
  Task* first_ = nullptr;
  Task* last_ = nullptr;
  std::size_t queued_ = 0;
  TimerHeap timers_;
  std::vector<PoolWorker*> sleepers_;  // those that would take tasks, the latest at the back
  PoolWorker* leader_ = nullptr;       // the sleeper that wakes for the first timer
  std::size_t waking_ = 0;             // claimed and not yet awake: each will look at the queue
  std::size_t busy_ = 0;               // workers that run something
  std::size_t closing_ = 0;            // of these, those that shut down
  std::size_t abandoning_ = 0;         // threads that abandon what was queued
  bool stopped_ = false;               // nothing is taken any more
  bool over_ = false;                  // the grace is over: waits on workers end
};

}  // namespace galley::inline v1::detail
