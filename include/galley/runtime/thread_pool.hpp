// ThreadPool: the executor galley brings along.
#pragma once

#include <galley/core/executor.hpp>
#include <galley/core/result.hpp>
#include <galley/core/time.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace galley::inline v1 {

/// Joins a started thread: returns when its body has ended. Called at most once; dropped uncalled
/// only where a pool is destroyed on that very thread, which then runs on by itself until its body
/// ends.
using JoinThread = std::function<void()>;

/// The thread a factory is asked for.
struct ThreadSpec {
  /// Which worker it is, from 0.
  std::size_t index = 0;
  /// Its name; Linux keeps 15 characters of one.
  std::string name = {};
};

/// How a `ThreadPool` is set up. None of the functions may throw.
struct ThreadPoolOptions {
  /// How many threads; 0 is one per physical core that this process may use.
  std::size_t workers = 0;
  /// What the threads are called: name-0, name-1 and so on.
  std::string name = "galley";
  /// How long the destructor lets running tasks go on before it has them answered `unavailable`.
  Duration grace = {};
  /// Starts a thread that runs `body` once, and returns what joins it; empty where it cannot. By
  /// default a `std::thread` of that name.
  std::function<JoinThread(const ThreadSpec& thread, std::function<void()> body)> thread_factory =
      {};
  /// Runs first on each worker, for priority, affinity or denormals.
  std::function<void(std::size_t index)> on_thread_start = {};
  /// Runs last on each worker.
  std::function<void(std::size_t index)> on_thread_end = {};
};

/// A few threads that run tasks in the order posted; they sleep when there is nothing to do.
///
/// Owns its threads: the destructor shuts down and joins, and so waits for a task that cannot be
/// stopped. An `Executor` made from it may outlive it and then answers `post` with false.
///
/// On a worker, `wait` runs other tasks of the pool, at most 32 on top of one another. At that
/// depth it only sleeps, and answers `stuck` where every worker of the pool waited for is at that
/// depth too, as well as once the pool it would run tasks of is shut down and its grace is over. A
/// deadline on a clock other than the steady one is looked at every few milliseconds.
///
/// Threads  thread-safe
/// Cost     post: one mutex, and a wake where a worker sleeps; post_at and cancel: O(log timers)
class ThreadPool {
 public:
  explicit ThreadPool(ThreadPoolOptions options = {});
  ThreadPool(ThreadPool&&) noexcept;
  ThreadPool& operator=(ThreadPool&&) noexcept;
  ~ThreadPool();

  operator Executor() const;  // NOLINT: a pool is an executor

  /// The time now, on the steady clock.
  Instant now() const;

  /// How many workers there are.
  std::size_t concurrency() const noexcept;

  /// Whether all threads could be started; those that could work nevertheless.
  ///
  /// Errors  resource_exhausted
  Result<void> check() const;

  /// Takes no more tasks and abandons those that have not begun; waits up to `grace` for those that
  /// run, then tells the rest that they are overdue. True when all had ended.
  ///
  /// May be called again, then with a grace for what still runs. On a worker of the pool it waits
  /// for the other workers only, and the tasks beneath this call end as usual.
  bool shutdown(Duration grace = {});

 private:
  struct Owner;
  std::unique_ptr<Owner> owner_;
};

}  // namespace galley::inline v1
