// The queue of a shadow: copies of rows on their way to the other servable and to the sink.
#pragma once

#include <galley/compose/resilience/shadow_options.hpp>
#include <galley/core/context.hpp>
#include <galley/core/executor.hpp>
#include <galley/core/servable.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

namespace galley::inline v1::detail {

/// Sampled rows of a batch, and what the primary made of them.
template <class In, class Out>
struct ShadowJob {
  Rows<In> rows;
  Outcomes<Out> primary;
  OwnedBatchContext context;
  Instant started;  // at the primary, then at the other
  Instant deadline;
  Duration primary_took = {};
  std::size_t requests = 0;
};

/// Holds what waits, asks the other servable with one task of the executor at a time, and tells the
/// sink. It lives until nothing waits, also when the graph is gone.
///
/// *Locks.* One mutex, under which nothing of the user's is called.
template <class In, class Out, class Sink, class Equal, class Mode>
class ShadowQueue : public std::enable_shared_from_this<ShadowQueue<In, Out, Sink, Equal, Mode>> {
 public:
  using Job = ShadowJob<In, Out>;

  ShadowQueue(Executor executor, Servable<In, Out> other, const ShadowOptions& options, Sink sink,
              Equal equal)
      : executor_(std::move(executor)),
        other_(std::move(other)),
        options_(options),
        sink_(std::move(sink)),
        equal_(std::move(equal)),
        runner_(*this) {}
  ShadowQueue(const ShadowQueue&) = delete;
  ShadowQueue& operator=(const ShadowQueue&) = delete;

  const Executor& executor() const noexcept { return executor_; }
  const Servable<In, Out>& other() const noexcept { return other_; }
  const ShadowOptions& options() const noexcept { return options_; }

  /// Counts rows that were sampled; false where there is no room for them. Else they have it until
  /// `push` or `give_up`.
  bool reserve(std::size_t requests, std::size_t rows) {
    const std::lock_guard lock(mutex_);
    counts_.sampled += rows;
    if (requests_ + requests > options_.max_requests ||
        counts_.waiting + rows > options_.max_rows) {
      counts_.dropped += rows;
      return false;
    }
    requests_ += requests;
    counts_.waiting += rows;
    return true;
  }
  void give_up(std::size_t requests, std::size_t rows) {
    const std::lock_guard lock(mutex_);
    drop(requests, rows);
  }

  /// Takes a job, whose room was reserved.
  void push(std::unique_ptr<Job> job) {
    std::unique_lock lock(mutex_);
    jobs_.push_back(std::move(job));
    wake(lock);
  }

  ShadowStatistics statistics() const {
    const std::lock_guard lock(mutex_);
    return counts_;
  }

 private:
  using Lock = std::unique_lock<std::mutex>;

  struct Runner : Task {
    explicit Runner(ShadowQueue& owner) noexcept : Task(dispatch), queue(owner) {}
    static void dispatch(Task& task, Call call) noexcept {
      ShadowQueue& queue = static_cast<Runner&>(task).queue;
      if (call == Call::run) return queue.run_one();
      if (call == Call::finish) return queue.finish();
      if (call == Call::abandon) return queue.abandon();
    }
    ShadowQueue& queue;
    std::shared_ptr<ShadowQueue> keep;
    bool posted = false;  // under the lock
  };

  void drop(std::size_t requests, std::size_t rows) noexcept {
    counts_.dropped += rows;
    leave(requests, rows);
  }
  void leave(std::size_t requests, std::size_t rows) noexcept {
    requests_ -= requests;
    counts_.waiting -= rows;
  }

  /// Posts the runner where there is something for it. The lock is given up.
  void wake(Lock& lock) {
    const bool needed = !runner_.posted && !jobs_.empty() && running_ < options_.max_running;
    if (needed) {
      runner_.posted = true;
      runner_.keep = this->shared_from_this();
    }
    lock.unlock();
    if (needed && !executor_.post(runner_)) abandon();
  }

  void finish() {
    Lock lock(mutex_);
    runner_.posted = false;
    const std::shared_ptr<ShadowQueue> keep = std::move(runner_.keep);
    wake(lock);
  }

  /// The executor is shut down: nothing is compared any more.
  void abandon() {
    std::deque<std::unique_ptr<Job>> ended;  // rows are destroyed without the lock
    Lock lock(mutex_);
    runner_.posted = false;
    const std::shared_ptr<ShadowQueue> keep = std::move(runner_.keep);
    ended.swap(jobs_);
    for (const auto& job : ended) drop(job->requests, job->rows.size());
    lock.unlock();
  }

  void run_one() {
    Lock lock(mutex_);
    if (jobs_.empty()) return;
    std::unique_ptr<Job> job = std::move(jobs_.front());
    jobs_.pop_front();
    ++running_;
    lock.unlock();
    job->started = executor_.now();
    if (job->deadline <= job->started) return end(std::move(job), false);
    const BatchContext context = job->context.view();
    if (other_.traits().inline_only) {
      Outcomes<Out> outcomes = other_.serve_batch(Batch<In>(job->rows), context);
      return compare(std::move(job), outcomes);
    }
    Result<Rows<In>> copies =
        Mode::template call<Rows<In>>([&] { return Batch<In>(job->rows).to_rows(); });
    if (!copies.has_value()) return end(std::move(job), false);
    struct Answer {
      std::shared_ptr<ShadowQueue> queue;
      std::unique_ptr<Job> job;
      void operator()(Outcomes<Out>&& outcomes) { queue->compare(std::move(job), outcomes); }
    };
    const std::size_t n = copies->size();
    // The context goes to a frame of the other's before the job can go.
    other_.submit_apart(
        *std::move(copies), context,
        BatchCompletion<Out>(n, Answer{this->shared_from_this(), std::move(job)}, NoExceptions()));
  }

  void compare(std::unique_ptr<Job> job, const Outcomes<Out>& shadow) {
    const Duration took = executor_.now().at - job->started.at;
    ShadowStatistics seen;
    for (std::size_t i = 0; i < job->rows.size(); ++i) {
      const auto one = job->primary[i], two = shadow[i];
      if (one.has_value() && !two.has_value()) ++seen.failed;
      if (one.has_value() && two.has_value() && differ(*one, *two, seen)) ++seen.mismatches;
    }
    tell(*job, shadow, took, seen);
    {
      const std::lock_guard lock(mutex_);
      counts_.compared += job->rows.size();
      counts_.mismatches += seen.mismatches;
      counts_.failed += seen.failed;
      counts_.threw += seen.threw;
    }
    end(std::move(job), true);
  }

  bool differ(const Out& one, const Out& two, ShadowStatistics& seen) {
    if constexpr (std::same_as<Equal, NotCompared>) {
      return false;
    } else {
      const Result<bool> equal = Mode::template call<bool>(
          [&]() -> bool { return static_cast<bool>(std::as_const(equal_)(one, two)); });
      if (!equal.has_value()) ++seen.threw;
      return equal.has_value() && !*equal;
    }
  }

  void tell(const Job& job, const Outcomes<Out>& shadow, Duration took, ShadowStatistics& seen) {
    const auto guarded = [&](const auto& what) {
      const Result<bool> told = Mode::template call<bool>([&]() -> bool {
        sink_(what);
        return true;
      });
      if (!told.has_value()) ++seen.threw;
    };
    if constexpr (std::invocable<Sink&, const ShadowBatch<In, Out>&>) {
      guarded(ShadowBatch<In, Out>{job.rows, job.primary, shadow, job.primary_took, took});
    } else {
      const Batch<In> rows(job.rows);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        guarded(ShadowRow<In, Out>{rows[i], job.primary[i], shadow[i], job.primary_took, took});
      }
    }
  }

  /// A job that had begun is over.
  void end(std::unique_ptr<Job> job, bool compared) {
    Lock lock(mutex_);
    --running_;
    compared ? leave(job->requests, job->rows.size()) : drop(job->requests, job->rows.size());
    lock.unlock();
    job.reset();
    lock.lock();
    wake(lock);
  }

  const Executor executor_;
  const Servable<In, Out> other_;
  const ShadowOptions options_;
  Sink sink_;
  const Equal equal_;

  mutable std::mutex mutex_;
  Runner runner_;
  std::deque<std::unique_ptr<Job>> jobs_;
  std::size_t requests_ = 0;
  std::size_t running_ = 0;
  ShadowStatistics counts_;
};

}  // namespace galley::inline v1::detail
