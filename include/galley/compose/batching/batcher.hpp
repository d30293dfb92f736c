// Batcher: the queue behind `batched`, and the tasks that run its batches.
#pragma once

#include <galley/compose/batching/options.hpp>
#include <galley/compose/batching/request.hpp>
#include <galley/compose/batching/slots.hpp>
#include <galley/core/node.hpp>
#include <galley/core/pins.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>
#include <galley/policy/batch_mode.hpp>
#include <galley/policy/batch_sizes.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// The state of one `batched` node: shared by the node, and by its tasks while they are posted.
///
/// *Who looks.* A runner is a task that takes batches from the queue until there is none to take.
/// Whoever adds to the queue, or gives a place back, wakes an idle runner unless one is looking
/// already; a runner that closes a batch wakes the next one if rows are left for it; and a runner
/// becomes idle only where a last look under the lock finds nothing to do. So no row is forgotten.
///
/// *Locks.* One mutex. Under it the policy is called and nothing else that is not ours; answers are
/// given, stop callbacks are destroyed and tasks are posted without it.
///
/// *Memory.* Whatever takes some is done under the guard, and before anything is changed that an
/// exception would leave half done. Rows there is none for answer `resource_exhausted`; where there
/// is none to take rows from the queue, they stay and somebody looks again. To say so takes memory
/// too: a heap that stays empty ends the program.
template <class In, class Out, BatchPolicy Policy>
class Batcher : public std::enable_shared_from_this<Batcher<In, Out, Policy>> {
 public:
  using Request = BatchRequest<In, Out>;

  Batcher(Executor executor, Servable<In, Out> child, const BatchOptions& options, Policy policy,
          Guard guard);
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  const Executor& executor() const noexcept { return executor_; }
  const Servable<In, Out>& child() const noexcept { return child_; }

  void submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out>&& done);

  /// True for a caller who is to run its batch of so many rows itself, with `serve_inline`.
  bool enter_inline(std::size_t rows) noexcept {
    return rows <= caller_rows_.load(std::memory_order_relaxed) && slots_.enter_inline();
  }
  Outcomes<Out> serve_inline(const Batch<In>& batch, const BatchContext& context);
  /// True for a caller above a batch of this batcher that waits for something: it must not wait for
  /// another, since their places may all lie beneath callers like it. It is answered by
  /// `serve_above`.
  bool runs_beneath() const noexcept { return RunsHere::has(this); }
  Outcomes<Out> serve_above(const Batch<In>& batch, const BatchContext& context);
  /// For a caller of `serve` whose rows queue, before it waits for them.
  void before_waiting();

  void describe(Description& description) const;
  Result<void> control(ControlRequest& request);

 private:
  using Lock = std::unique_lock<std::mutex>;
  using Part = BatchPart<In, Out>;

  /// What rows have in common that may share a batch.
  struct Kind {
    RowKind<In> rows = {};
    bool keys = false;
    bool pinned = false;
    std::uint64_t versions = 0;  // their stamp
    friend bool operator==(const Kind&, const Kind&) = default;
  };
  struct Bucket : BucketBase {
    Kind kind;
    std::size_t running = 0;
  };

  /// How often who closes a batch has yielded for it, and how many rows there were before the last.
  struct Looks {
    unsigned yields = 0;
    std::size_t rows_before = 0;
  };

  struct Runner : Task {
    explicit Runner(Batcher& owner) noexcept : Task(dispatch), batcher(owner) {}
    static void dispatch(Task& task, Call call) noexcept;

    Batcher& batcher;
    // Its own thread's while it is active.
    std::shared_ptr<Batcher> keep;
    Gathered<In> gathered;
    MergedContext context;
    SharedBlocks<Out> blocks;
    // Under the lock.
    bool active = false;
    bool computing = false;
    bool answering = false;
    bool stolen = false;  // answered by a shutdown
    std::vector<Part> parts;
    std::size_t size = 0;              // of the batch, filled up
    bool sized = false;                // it is to keep that
    TimePoint taken_at = {};           // the zero time where nobody asks for it
    const Pins* bound = nullptr;       // what the first part was bound to before
    std::shared_ptr<const Pins> pins;  // what requests are bound to that this batch splits
    Looks looks;
  };

  struct Timer : TimedTask {
    explicit Timer(Batcher& owner) noexcept : TimedTask(dispatch), batcher(owner) {}
    static void dispatch(Task& task, Task::Call call) noexcept;

    Batcher& batcher;
    std::shared_ptr<Batcher> keep;
    bool posted = false;                  // under the lock
    TimePoint due_at = TimePoint::max();  // under the lock
  };

  /// The place that a caller runs in.
  struct InlinePlace {
    Batcher& batcher;
    ~InlinePlace() { batcher.leave_inline(); }
  };

  /// A bucket and what is to be done with it.
  struct Choice {
    Bucket* bucket = nullptr;
    BatchDecision decision = {};
  };

  /// What the rows must have in common with others; nothing where the child sorts them itself.
  template <class Held>
  RowKind<In> kind_of(const Held& rows) const {
    return mixed_shapes_ ? RowKind<In>() : RowKind<In>::of(rows);
  }
  /// The most rows a caller may run by itself, which cannot fill batches up.
  std::size_t caller_rows() const noexcept {
    if (options_.caller_runs == CallerRuns::never) return 0;
    if (options_.sizes.empty()) return SIZE_MAX;
    return options_.sizes.front() == 1 ? 1 : 0;
  }
  void let_callers_run() noexcept {
    caller_rows_.store(admits_ && trial_.mode().caller_runs ? caller_rows() : 0,
                       std::memory_order_relaxed);
  }
  /// The most rows a batch may have.
  std::size_t limit() const noexcept {
    return options_.sizes.empty() ? options_.max_rows : options_.sizes.back();
  }
  /// The size of a batch of `rows` rows, filled up.
  std::size_t size_for(std::size_t rows) const noexcept {
    const auto& sizes = options_.sizes;
    const auto size = std::lower_bound(sizes.begin(), sizes.end(), rows);
    return size == sizes.end() ? rows : *size;
  }

  /// What `work` answers to `rows` rows, or that it threw.
  template <class Work>
  Outcomes<Out> guarded(std::size_t rows, Work&& work) const {
    Outcomes<Out> outcomes;
    const Result<void> done = guard_([&] { outcomes = work(); });
    if (done.has_value()) [[likely]]
      return outcomes;
    return failed(rows, done.error());
  }
  Outcomes<Out> failed(std::size_t rows, const Error& error) const {
    return Outcomes<Out>::failed(rows, within(child_.name(), error));
  }

  // ---- batching/profile.hpp: what is known of costs, for the next start
  CostTable first_costs(const Kind& kind) const;
  BatchProfile profile_now() const;
  Result<void> begin_with(const BatchProfile& profile);

  // ---- batching/admission.hpp: entering and leaving the queue
  std::optional<Error> refusal(const Request& request);
  std::optional<Error> too_late(const Request& request, const Bucket& bucket) const;
  Bucket* bucket_of(const Kind& kind);
  Result<Bucket*> admit(Request& request, const Kind& kind, std::int32_t priority);
  void enqueue(Request& request, Bucket& bucket, std::int32_t priority);
  void note_time(Request& request, Bucket& bucket);
  void dequeue(Request& request, Bucket& bucket);
  void flush();
  void note_times();
  static void cancel(void* batcher, Request& request) noexcept;
  void close(Lock& lock, std::vector<Answer<Out>> answers = {});
  void drop_late(Bucket& bucket, std::vector<Answer<Out>>& answers, std::vector<Request*>& dead);
  bool refuse(Request& request, Bucket& bucket, Status status, const char* why,
              std::vector<Answer<Out>>& answers, std::vector<Request*>& dead);

  // ---- batching/wake.hpp: who looks at the queue, and what the policy makes of it
  bool needs_time() const noexcept { return policy_waits_.load(std::memory_order_relaxed); }
  TimePoint time_now() const { return executor_.now().at; }
  BatchView view_of(const Bucket& bucket, TimePoint now, const Looks& looks) const;
  BatchDecision decide(const Bucket& bucket, TimePoint now, const Looks& looks) const;
  Choice choose(TimePoint now, const Looks& looks) const;
  bool looks_at_time() const;
  Runner* runner_to_wake();
  Runner* runner_for(const Bucket& bucket);
  void wake(Runner* runner);
  bool somebody_looks() const noexcept;
  void answers_begin(Runner& runner);
  void answers_given(Runner& runner);
  void finish(Runner& runner);
  void overdue(Runner& runner);
  void abandon(Runner& runner);
  void arm(Lock& lock, TimePoint due);
  /// When to look again: a policy may wait for ever; a timer should not, since it keeps this alive.
  static TimePoint look_again(TimePoint now, const BatchDecision& decision) {
    return now + std::min<Duration>(decision.wait, std::chrono::seconds(1));
  }

  // ---- batching/take.hpp: which rows go
  bool take_batch(Runner& runner, Bucket*& bucket, const BatchDecision& decision);
  void take(Runner& runner, Bucket& bucket, std::size_t rows);
  bool is_of_other_versions(const Runner& runner, const Request& request) const;
  std::shared_ptr<const Pins> pins_of_now() const;
  std::unique_ptr<Pieces<Out>> new_pieces();
  std::size_t takeable(const Request& request, std::vector<Key>& seen, std::vector<Key>& blocked);
  void take_in_sequence(Runner& runner, Bucket*& bucket, std::size_t rows);
  void take_part(Runner& runner, Bucket& bucket, Request& request, std::size_t count);

  // ---- batching/run.hpp: computing
  bool run_batch(Runner& runner);
  void yield_for(Runner& runner, Bucket& bucket, Lock& lock);
  void note_window(TimePoint now);
  Outcomes<Out> ask(const Batch<In>& batch, const BatchContext& context);
  Outcomes<Out> ask_sized(const Batch<In>& batch, MergedContext& context,
                          const std::shared_ptr<const Pins>* pins, std::size_t rows);
  Outcomes<Out> compute(Runner& runner, Bucket& bucket);
  Outcomes<Out> gather_and_ask(Runner& runner, Bucket& bucket, std::size_t rows);
  void leave_inline();
  Outcomes<Out> serve_in_slices(const Batch<In>& batch, const BatchContext& context);
  std::size_t next_slice(const Batch<In>& batch, std::size_t rows);
  Outcomes<Out> serve_slice(const Batch<In>& batch, const BatchContext& context, std::size_t first,
                            std::size_t count, std::size_t size, bool sized,
                            const std::shared_ptr<const Pins>* pins);

  // ---- batching/deliver.hpp: outcomes to their requests
  void deliver(Runner& runner, Bucket& bucket, Outcomes<Out> outcomes, TimePoint start);
  void answer(Runner& runner, const std::vector<Part>& parts, Outcomes<Out>&& outcomes,
              bool stolen);
  void hand_over(const Part& part, Outcomes<Out>&& own, bool stolen) noexcept;

  const Executor executor_;
  const Servable<In, Out> child_;
  const Guard guard_;
  const bool stateful_;
  const bool versioned_;
  const bool mixed_shapes_;
  Slots slots_;
  // Copies of what is under the lock, for who does not take it. Relaxed: each stands alone.
  std::atomic<std::size_t> caller_rows_{0};
  std::atomic<bool> policy_waits_;

  mutable std::mutex mutex_;
  BatchOptions options_;
  Policy policy_;
  BatchStatistics statistics_;
  std::vector<std::unique_ptr<Bucket>> buckets_;
  std::vector<std::unique_ptr<Runner>> runners_;
  std::vector<std::unique_ptr<Pieces<Out>>>
      spare_pieces_;  // no more than there was room for at first
  Timer timer_;
  std::size_t looking_ = 0;    // active runners that hold no batch
  std::size_t answering_ = 0;  // of these, those that give answers first
  Duration answer_time_ = {};  // of a batch, in the mean
  std::size_t queued_rows_ = 0;
  std::size_t queued_bytes_ = 0;
  std::size_t deadlines_ = 0;  // queued requests that have one
  std::uint64_t arrivals_ = 0;
  std::uint64_t batches_ = 0;

  // The window of time that is being measured.
  ModeTrial trial_;
  TimePoint window_start_;
  std::uint64_t window_rows_ = 0;    // answered by workers, and of callers all but their first
  std::uint64_t window_inline_ = 0;  // callers' runs before it
  bool window_contended_ = false;
  bool admits_ = true;
  bool over_ = false;  // the executor was shut down
  bool arming_ = false;
  TimePoint wanted_ = TimePoint::max();
  BatchProfile profile_;      // what new buckets begin with
  Bucket* latest_ = nullptr;  // the bucket that a batch ran of last
};

// ---- implementation ----------------------------------------------------------------------------

template <class In, class Out, BatchPolicy Policy>
Batcher<In, Out, Policy>::Batcher(Executor executor, Servable<In, Out> child,
                                  const BatchOptions& options, Policy policy, Guard guard)
    : executor_(std::move(executor)),
      child_(std::move(child)),
      guard_(guard),
      stateful_(child_.traits().stateful),
      versioned_(child_.traits().versioned),
      mixed_shapes_(child_.traits().mixed_shapes),
      slots_(stateful_                  ? 1
             : options.max_running == 0 ? std::max<std::size_t>(1, executor_.concurrency())
                                        : options.max_running),
      policy_waits_(policy.max_wait() > Duration::zero()),
      options_(options),
      policy_(std::move(policy)),
      timer_(*this),
      trial_(options.caller_runs == CallerRuns::when_idle) {
  let_callers_run();
  spare_pieces_.reserve(2 * slots_.places());
  for (std::size_t i = 0; i < slots_.places(); ++i) {
    runners_.push_back(std::make_unique<Runner>(*this));
  }
}

template <class In, class Out, BatchPolicy Policy>
void Batcher<In, Out, Policy>::describe(Description& description) const {
  const Lock lock(mutex_);
  description.options.emplace_back("max_rows", std::to_string(options_.max_rows));
  description.options.emplace_back("max_queued_rows", std::to_string(options_.max_queued_rows));
  description.options.emplace_back("max_running", std::to_string(slots_.places()));
  if constexpr (requires { policy_.name(); }) {  // one that was chosen while the program runs
    description.options.emplace_back("policy", policy_.name());
  } else {
    description.options.emplace_back("policy", galley::type_name<Policy>());
  }
}

template <class In, class Out, BatchPolicy Policy>
Result<void> Batcher<In, Out, Policy>::control(ControlRequest& request) {
  if (auto* set = request.as<SetBatchOptions>()) {
    GALLEY_TRY(check_batchable(child_.traits(), set->options));
  }
  Lock lock(mutex_);
  if (auto* set = request.as<SetBatchOptions>()) {
    if (options_.caller_runs != set->options.caller_runs) {
      trial_ = ModeTrial(set->options.caller_runs == CallerRuns::when_idle);
    }
    options_ = set->options;
    let_callers_run();
  } else if (auto* statistics = request.as<BatchStatistics>()) {
    *statistics = statistics_;
    statistics->inline_runs = slots_.inline_runs();
    statistics->queued_rows = queued_rows_;
  } else if (auto* get = request.as<BatchPolicyOf<Policy>>()) {
    get->policy = policy_;
  } else if (auto* put = request.as<SetBatchPolicy<Policy>>()) {
    policy_ = put->policy;
    policy_waits_.store(policy_.max_wait() > Duration::zero(), std::memory_order_relaxed);
    if (needs_time()) note_times();
  } else if (auto* drain = request.as<DrainBatches>()) {
    admits_ = drain->admit == DrainBatches::Admit::all;
    let_callers_run();
    drain->left = queued_rows_;
    std::size_t computing = 0;
    for (const auto& runner : runners_) {
      if (!runner->computing) continue;
      ++computing;
      for (const Part& part : runner->parts) drain->left += part.count;
    }
    // What callers run: one row each at least.
    drain->left += std::max(slots_.running(), computing) - computing;
  } else if (auto* profile = request.as<BatchProfile>()) {
    *profile = profile_now();
  } else if (auto* begin = request.as<SetBatchProfile>()) {
    GALLEY_TRY(begin_with(begin->profile));
  } else if (request.as<FlushBatches>() == nullptr) {
    return Error(Status::unimplemented, "a batched servable does not know the request " +
                                            std::string(request.type_name()));
  } else {
    flush();
  }
  Runner* const runner = runner_to_wake();  // a change may let a batch go
  lock.unlock();
  wake(runner);
  return {};
}

}  // namespace galley::inline v1::detail

#include <galley/compose/batching/admission.hpp>
#include <galley/compose/batching/deliver.hpp>
#include <galley/compose/batching/profile.hpp>
#include <galley/compose/batching/run.hpp>
#include <galley/compose/batching/take.hpp>
#include <galley/compose/batching/wake.hpp>
