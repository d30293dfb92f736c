// ManualExecutor: threads and time in a test's own hands.
#pragma once

#include <galley/core/executor.hpp>
#include <galley/core/time.hpp>
#include <galley/testing/manual_state.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace galley::inline v1 {

/// In which order a `ManualExecutor` runs the tasks that are ready.
enum class TaskOrder : std::uint8_t {
  posted,    ///< As they were posted.
  shuffled,  ///< Any of them next, drawn from the seed: for schedule tests.
};

struct ManualExecutorOptions {
  /// What `shuffled` draws from; print it where a test fails.
  std::uint64_t seed = 1;
  TaskOrder order = TaskOrder::posted;
};

/// An executor of one worker that runs tasks when told to, in virtual time that starts at one hour
/// and moves only when told to or when a wait has nothing else left. A handle: copies share
/// everything, and when the last of them goes it shuts down. An `Executor` made from it may outlive
/// it and then answers `post` with false.
///
/// `wait`, and so a `serve` that blocks, runs ready tasks nested until the event is set. When none
/// is ready nothing can happen here but the next timer or the deadline, so time moves on to the
/// earlier of the two: `late` when that was a deadline on this clock, even if a timer falls due
/// with it. With neither, or 32 tasks on top of one another, it answers `stuck`. It does not wait
/// for tasks that other threads may yet post.
///
/// Threads  post, post_at, cancel, now, shutdown and the counts: thread-safe. One thread at a time
///          runs tasks; on another, what would run them runs none, and `wait` only waits.
class ManualExecutor {
 public:
  ManualExecutor() : ManualExecutor(ManualExecutorOptions()) {}
  explicit ManualExecutor(ManualExecutorOptions options)
      : seed_(options.seed),
        owner_(std::make_shared<Owner>(
            options.order == TaskOrder::shuffled ? std::optional(options.seed) : std::nullopt)) {}

  operator Executor() const { return Executor(owner_->state); }  // NOLINT: it is an executor

  /// The virtual time, on a clock that keeps the executor's state alive.
  Instant now() const { return owner_->state->now(); }

  /// Runs one ready task; false when there is none.
  bool run_one() const { return owner_->state->run_one(); }
  /// Runs ready tasks, also those they post, until none is left or `limit` ran; how many ran.
  std::size_t run_ready(std::size_t limit = 1'000'000) const {
    return owner_->state->run_ready(limit);
  }
  /// Runs what is ready, then moves time on by `by`, stopping at each timer's time to run it and
  /// what it posts; how many ran.
  std::size_t advance(Duration by) const { return owner_->state->advance(by); }
  /// Moves time on without running anything: timers that fall due are ready afterwards.
  void pass(Duration by) const { owner_->state->pass(by); }
  /// Runs until no task and no timer is left or `limit` ran, moving time as needed; how many ran.
  std::size_t run_all(std::size_t limit = 1'000'000) const { return owner_->state->run_all(limit); }

  /// How many tasks are ready.
  std::size_t pending() const { return owner_->state->pending(); }
  /// How many tasks wait for their time.
  std::size_t timers() const { return owner_->state->timers(); }
  /// When the first of them is due; never where none is.
  Instant next_due() const { return owner_->state->next_due(); }
  /// How often `yield` was called.
  std::size_t yields() const { return owner_->state->yields(); }
  /// What it was made with.
  std::uint64_t seed() const noexcept { return seed_; }

  /// Takes no more tasks, abandons those that wait, and tells a task that runs (this may be called
  /// from inside of one) that it is overdue. A second call does nothing.
  void shutdown() const { owner_->state->shutdown(); }

 private:
  /// What the handles share. Not the executors: a queued request holds one, and would never end.
  struct Owner {
    explicit Owner(std::optional<std::uint64_t> shuffle_seed)
        : state(std::make_shared<detail::ManualState>(shuffle_seed)) {}
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() { state->shutdown(); }
    const std::shared_ptr<detail::ManualState> state;
  };

  std::uint64_t seed_;
  std::shared_ptr<const Owner> owner_;
};

}  // namespace galley::inline v1
