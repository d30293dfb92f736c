// Executor: the only source of threads and of time.
#pragma once

#include <galley/core/epoch.hpp>
#include <galley/core/function_ref.hpp>
#include <galley/core/result.hpp>
#include <galley/core/time.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace galley::inline v1 {

/// A piece of work for an executor, embedded in what it works on, so that posting never allocates.
///
/// An executor makes these calls and no others:
/// 1. `run`, once, on a worker; the task still exists when it returns;
/// 2. then `finish`, once, on the same worker: the task may destroy itself, the executor does not
///    touch it again;
/// 3. or, instead of both, `abandon`: the executor was shut down first. The task may destroy
///    itself;
/// 4. `overdue`, at most once, from the thread that shuts down while `run` has not returned in
///    time: answer now, whatever `run` will still compute. `finish` follows only after it has
///    returned.
class Task {
 public:
  enum class Call : std::uint8_t { run, finish, abandon, overdue };
  using Function = void (*)(Task&, Call) noexcept;

  explicit Task(Function function) noexcept : function_(function) {}
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  void operator()(Call call) noexcept { function_(*this, call); }

  /// For the executor that holds the task: the next one in its queue.
  Task* next = nullptr;

 private:
  Function function_;
};

/// A task that waits for its time.
class TimedTask : public Task {
 public:
  using Task::Task;

  /// For the executor that holds the task: when it is due, and its place among the timers.
  TimePoint due = TimePoint::max();
  std::size_t place = 0;
};

/// A flag that one thread sets once and another waits for.
///
/// Threads  thread-safe, one waiting thread at a time. Destroy it only after a wait saw it set and
///          no nudge is owed: `set` and `nudge` hold the lock until they are done with the event,
///          and the thread they wake has to wait for that. Not so the one whose caller keeps it.
class Event {
 public:
  /// Who sees to it that the event is there until `set` and `nudge` have returned: the thread that
  /// waits, but for who calls the one or the other.
  enum class Kept : std::uint8_t { by_waiting, by_setting, by_nudging };

  Event() = default;
  explicit Event(Kept kept) noexcept : kept_(kept) {}

  void set() {
    std::unique_lock lock(mutex_);
    set_ = true;
    wake(lock, Kept::by_setting);
  }
  bool is_set() const {
    const std::lock_guard lock(mutex_);
    return set_;
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return set_; });
  }
  /// Waits until set or until the steady clock reaches `limit`; true when set.
  bool wait_until(TimePoint limit) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, limit, [this] { return set_; });
  }
  /// The same with a limit on any clock; one that is not steady is looked at every few
  /// milliseconds.
  bool wait_until(const Instant& limit) {
    while (!wait_until(next_look(limit))) {
      if (limit.has_passed()) return is_set();
    }
    return true;
  }

  /// Wakes the thread that is in `wait_nudged`, or will be next, without setting the event: how an
  /// executor brings new work to a worker that sleeps on the event it waits for.
  void nudge() {
    std::unique_lock lock(mutex_);
    nudged_ = true;
    wake(lock, Kept::by_nudging);
  }
  /// Waits until set, nudged or until the steady clock reaches `limit`. Takes the nudge; true where
  /// there was one.
  bool wait_nudged(TimePoint limit) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, limit, [this] { return set_ || nudged_; });
    return std::exchange(nudged_, false);
  }
  /// Waits for a nudge that is certain to come, set or not, and takes it.
  void take_nudge() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return nudged_; });
    nudged_ = false;
  }

  /// When a sleep that ends at `limit` has to look at its clock again, on the steady clock.
  static TimePoint next_look(const Instant& limit) {
    if (limit.is_never() || limit.clock == Clock()) return limit.at;
    using std::chrono::milliseconds;
    const Duration rest = limit.at - limit.clock.now();
    return Clock().now() + std::clamp<Duration>(rest, milliseconds(1), milliseconds(10));
  }

 private:
  void wake(std::unique_lock<std::mutex>& lock, Kept by_caller) {
    if (kept_ == by_caller) lock.unlock();
    changed_.notify_one();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  const Kept kept_ = Kept::by_waiting;
  bool set_ = false;
  bool nudged_ = false;
};

/// How a wait ended.
enum class WaitEnd : std::uint8_t {
  done,   ///< The event was set.
  late,   ///< The deadline passed first.
  stuck,  ///< Nobody is left who could set it: every runner waits beneath this call.
};

/// What a thread that belongs to an executor knows about itself.
class Worker {
 public:
  /// Runs the worker's executor's tasks, nested, until `event` is set or `deadline` passes; `stuck`
  /// where this worker may run no more and nobody else of its executor is left.
  using Help = WaitEnd (*)(Worker&, Event&, const Instant& deadline);

  Worker(const void* executor, std::shared_ptr<EpochDomain> epochs, std::size_t index,
         Help how_to_help) noexcept
      : executor_(executor), epochs_(std::move(epochs)), index_(index), help_(how_to_help) {}

  /// The worker that runs on this thread, or null on a thread that no executor owns.
  static Worker* current() noexcept { return current_; }

  /// Identifies the executor this worker belongs to.
  const void* executor() const noexcept { return executor_; }
  /// The domain this worker announces itself in; null where the executor keeps none.
  const std::shared_ptr<EpochDomain>& epochs() const noexcept { return epochs_; }
  std::size_t index() const noexcept { return index_; }
  WaitEnd help(Event& event, const Instant& deadline) { return help_(*this, event, deadline); }

  /// Makes `worker` this thread's worker as long as the scope lives.
  class Scope {
   public:
    explicit Scope(Worker& worker) noexcept : before_(std::exchange(current_, &worker)) {}
    ~Scope() { current_ = before_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Worker* before_;
  };

 private:
  static inline constinit thread_local Worker* current_ = nullptr;

  const void* executor_;
  std::shared_ptr<EpochDomain> epochs_;
  std::size_t index_;
  Help help_;
};

/// What an executor of one's own must offer; `Executor` is made from a shared pointer to it.
///
/// 1. `now()` is the executor's time; `yield()` lets other runnable threads go first.
/// 2. `post(task)` runs the task on a worker some time later, never inside the call; false when
///    shut down, and then the task is untouched. `post_at` the same at a time; `cancel` takes a
///    timed task back and is true when none of its calls was or will be made.
/// 3. `concurrency()` is how many tasks run at once.
/// 4. `each_worker(f)` runs f once on every worker and returns when all are done.
/// 5. `wait(event, deadline)` blocks until the event is set. On a worker it runs other tasks
///    meanwhile; where nothing could ever set the event it returns `stuck` instead of hanging.
///
/// The contract suite is `testing/contracts/executor.hpp`.
template <class E>
concept ExecutorImpl = requires(E& e, const E& read, Task& task, TimedTask& timed, TimePoint at,
                                FunctionRef<void(Worker&)> f, Event& event, const Instant& limit) {
  { read.now() } -> std::same_as<Instant>;
  { e.post(task) } -> std::same_as<bool>;
  { e.post_at(timed, at) } -> std::same_as<bool>;
  { e.cancel(timed) } -> std::same_as<bool>;
  e.yield();
  { read.concurrency() } -> std::same_as<std::size_t>;
  { e.each_worker(f) } -> std::same_as<Result<void>>;
  { e.wait(event, limit) } -> std::same_as<WaitEnd>;
};

/// Threads and time, brought by the host or taken from galley. A shared handle: whatever holds one
/// keeps the executor's state alive, not its threads running.
///
/// Threads  thread-safe
class Executor {
 public:
  template <ExecutorImpl E>
  explicit Executor(std::shared_ptr<E> impl) : table_(&table_of<E>), impl_(std::move(impl)) {}

  Instant now() const { return table_->now(impl_.get()); }
  bool post(Task& task) const { return table_->post(impl_.get(), task); }
  bool post_at(TimedTask& task, TimePoint at) const {
    return table_->post_at(impl_.get(), task, at);
  }
  bool cancel(TimedTask& task) const { return table_->cancel(impl_.get(), task); }
  void yield() const { table_->yield(impl_.get()); }
  std::size_t concurrency() const { return table_->concurrency(impl_.get()); }
  Result<void> each_worker(FunctionRef<void(Worker&)> f) const {
    return table_->each_worker(impl_.get(), f);
  }
  WaitEnd wait(Event& event, const Instant& deadline) const {
    return table_->wait(impl_.get(), event, deadline);
  }

  friend bool operator==(const Executor& a, const Executor& b) noexcept {
    return a.impl_ == b.impl_;
  }

 private:
  struct Table {
    Instant (*now)(const void*);
    bool (*post)(void*, Task&);
    bool (*post_at)(void*, TimedTask&, TimePoint);
    bool (*cancel)(void*, TimedTask&);
    void (*yield)(void*);
    std::size_t (*concurrency)(const void*);
    Result<void> (*each_worker)(void*, FunctionRef<void(Worker&)>);
    WaitEnd (*wait)(void*, Event&, const Instant&);
  };

  template <class E>
  static constexpr Table table_of{
      [](const void* e) { return static_cast<const E*>(e)->now(); },
      [](void* e, Task& task) { return static_cast<E*>(e)->post(task); },
      [](void* e, TimedTask& task, TimePoint at) { return static_cast<E*>(e)->post_at(task, at); },
      [](void* e, TimedTask& task) { return static_cast<E*>(e)->cancel(task); },
      [](void* e) { static_cast<E*>(e)->yield(); },
      [](const void* e) { return static_cast<const E*>(e)->concurrency(); },
      [](void* e, FunctionRef<void(Worker&)> f) { return static_cast<E*>(e)->each_worker(f); },
      [](void* e, Event& event, const Instant& limit) {
        return static_cast<E*>(e)->wait(event, limit);
      }};

  const Table* table_;
  std::shared_ptr<void> impl_;
};

}  // namespace galley::inline v1
