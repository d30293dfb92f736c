// retry: rows that failed for a reason that may pass are tried again.
#pragma once

#include <galley/compose/resilience/apart.hpp>
#include <galley/compose/resilience/replaced.hpp>
#include <galley/compose/resilience/retry_state.hpp>
#include <galley/compose/resilience/text.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>
#include <galley/policy/retry.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

inline Result<void> check_retry(const RetryOptions& options) {
  const auto refused = [](std::string why) {
    return Error(Status::invalid_argument, "options." + std::move(why));
  };
  if (options.attempts == 0 || options.attempts > RetryOptions::most_attempts) {
    return refused("attempts: expected 1 to " + std::to_string(RetryOptions::most_attempts) +
                   ", got " + std::to_string(options.attempts));
  }
  if (options.statuses.contains(Status::ok)) return refused("statuses: ok is no failure");
  if (options.backoff < Duration::zero() || options.max_backoff < options.backoff) {
    return refused("backoff: expected 0 to max_backoff, " + text_of(options.max_backoff) +
                   ", got " + text_of(options.backoff));
  }
  const BudgetOptions& budget = options.budget;
  if (!(budget.ratio >= 0 && budget.per_second >= 0 && budget.burst >= 0)) {
    return refused("budget: expected no negative number, got ratio " + text_of(budget.ratio) +
                   ", per_second " + text_of(budget.per_second) + ", burst " +
                   text_of(budget.burst));
  }
  return {};
}

template <class In, class Out, class Mode>
class RetryNode {
 public:
  static constexpr const char* kind = "retry";

  RetryNode(std::optional<Executor> executor, Servable<In, Out> child, const RetryOptions& options,
            Clock clock)
      : executor_(std::move(executor)),
        child_(std::move(child)),
        later_(executor_.has_value() ? off_thread<Mode>(*executor_, child_) : child_),
        state_(std::make_shared<RetryState>(options, std::move(clock))) {}

  NodeTraits traits() const {
    NodeTraits traits = child_.traits();
    traits.inline_only = traits.inline_only && !executor_.has_value();
    return traits;
  }
  std::size_t frame_bytes() const { return Frame::bytes_for<Call>(); }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const { visit(child_.node()); }
  void plan_wait(WaitPlan& plan) const {
    if (executor_.has_value()) plan.add(*executor_);
    child_.node().table->plan_wait(child_.node(), plan);
  }
  Result<void> prepare(const PrepareScope& scope) const {
    GALLEY_TRY(child_.prepare(scope));
    return &later_.node() != &child_.node() ? later_.prepare(scope) : Result<void>();
  }
  void describe(Description& description) const {
    const RetryOptions& options = state_->options();
    description.options.emplace_back("attempts", std::to_string(options.attempts));
    description.options.emplace_back("statuses", to_string(options.statuses));
    description.options.emplace_back("budget.ratio", text_of(options.budget.ratio));
    description.options.emplace_back("budget.per_second", text_of(options.budget.per_second));
    description.options.emplace_back("budget.burst", text_of(options.budget.burst));
    if (!executor_.has_value()) return;
    description.options.emplace_back("backoff", text_of(options.backoff));
    description.options.emplace_back("max_backoff", text_of(options.max_backoff));
  }
  Result<void> control(ControlRequest& request) const {
    auto* statistics = request.as<RetryStatistics>();
    if (statistics == nullptr) {
      return Error(Status::unimplemented,
                   "a retry does not know the request " + std::string(request.type_name()));
    }
    *statistics = state_->statistics();
    return {};
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    state_->count(batch.size());
    const auto pins = pins_for(context, batch.size(), child_.node());
    const BatchContext bound = pins != nullptr ? context.pinned(pins) : context;
    Outcomes<Out> outcomes = child_.serve_batch(is_last(1) ? batch : batch.borrowed(), bound);
    if (outcomes.all_ok()) [[likely]]
      return outcomes;
    return serve_again(std::move(outcomes), batch, bound);
  }

  void submit(Rows<In> rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    Result<Rows<In>> owned = own_rows(std::move(rows));  // for the next attempt
    if (!owned.has_value()) return done.fail(owned.error());
    state_->count(owned->size());
    frame.make<Call>(*this, *std::move(owned), context, frame, std::move(done)).ask();
  }

 private:
  /// A request between attempts. One thread at a time works on it: who submits, who answers an
  /// attempt, or the timer.
  struct Call : TimedTask {
    Call(const RetryNode& retry, Rows<In> batch, const BatchContext& request, Frame& memory,
         BatchCompletion<Out>&& owed)
        : TimedTask(dispatch),
          node(retry),
          rows(std::move(batch)),
          frame(memory),
          pins(pins_for(request, rows.size(), retry.child_.node())),
          context(pins != nullptr ? request.pinned(pins) : request),
          done(std::move(owed)) {}

    static void dispatch(Task& task, Task::Call what) noexcept {
      Call& self = static_cast<Call&>(task);
      if (what == Task::Call::finish) return self.ask();  // not `run`: it may end the task
      if (what == Task::Call::abandon) return self.answer();
    }

    /// An attempt, for all rows or for those of `again`.
    void ask() {
      const FrameRef keep(*frame);
      const bool first = attempts++ == 0;
      Result<Rows<In>> asked = take(first);
      if (!asked.has_value()) return answer();
      const std::size_t n = asked->size();
      const Servable<In, Out>& child = first ? node.child_ : node.later_;
      BatchCompletion<Out> owed(
          n, [this](Outcomes<Out>&& got) { answered(std::move(got)); }, NoExceptions());
      if (first) return child.submit_apart(*std::move(asked), context, std::move(owed));
      const ContextSelection own(context, again);
      child.submit_apart(*std::move(asked), own.view(), std::move(owed));
    }

    /// Moved at their last use; else copied, and where that fails this attempt is the last.
    Result<Rows<In>> take(bool first) {
      if (!node.is_last(attempts)) {
        Result<Rows<In>> copies = Mode::template call<Rows<In>>([&]() -> Rows<In> {
          if (first) return Batch<In>(rows).to_rows();
          return std::as_const(rows).select(again);
        });
        if (copies.has_value() || !first) return copies;
        attempts = node.state_->options().attempts;
      }
      return first ? std::move(rows) : std::move(rows).select(again);
    }

    void answered(Outcomes<Out>&& got) {
      if (again.empty()) {
        outcomes = std::move(got);
      } else {
        node.state_->recovered(got.survivors().size());
        outcomes = replaced(std::move(outcomes), again, std::move(got));
      }
      if (outcomes.all_ok() || node.is_last(attempts)) return answer();
      const Duration pause = node.pause(attempts);
      again = node.state_->again(outcomes.casualties(), context, attempts, pause);
      if (again.empty()) return answer();
      if (pause == Duration::zero()) return ask();
      if (!node.executor_->post_at(*this, (node.executor_->now() + pause).at)) answer();
    }

    void answer() {
      const FrameRef keep = std::move(frame);
      BatchCompletion<Out> owed = std::move(done);
      Outcomes<Out> answers = std::move(outcomes);
      this->~Call();
      owed(std::move(answers));
    }

    const RetryNode& node;
    Rows<In> rows;
    FrameRef frame;
    const std::shared_ptr<const Pins> pins;
    const BatchContext context;
    BatchCompletion<Out> done;
    Outcomes<Out> outcomes;
    std::vector<RowIndex> again;
    unsigned attempts = 0;  // begun
  };

  bool is_last(unsigned attempt) const noexcept { return attempt >= state_->options().attempts; }
  Duration pause(unsigned attempts) const {
    return executor_.has_value() ? state_->pause(attempts) : Duration::zero();
  }

  [[gnu::noinline]] Outcomes<Out> serve_again(Outcomes<Out> outcomes, const Batch<In>& batch,
                                              const BatchContext& context) const {
    for (unsigned attempts = 1; !is_last(attempts) && !outcomes.all_ok(); ++attempts) {
      const Duration waits = pause(attempts);
      const std::vector<RowIndex> rows =
          state_->again(outcomes.casualties(), context, attempts, waits);
      if (rows.empty() || !wait(waits)) break;
      std::vector<RowIndex> places;
      places.reserve(rows.size());
      for (const RowIndex row : rows) places.push_back(static_cast<RowIndex>(batch.place(row)));
      const ContextSelection own(context, rows);
      const Batch<In> part = is_last(attempts + 1) ? batch : batch.borrowed();
      Outcomes<Out> later = child_.serve_batch(part.at_places(places), own.view());
      state_->recovered(later.survivors().size());
      outcomes = replaced(std::move(outcomes), rows, std::move(later));
    }
    return outcomes;
  }

  /// False where nobody would end the wait.
  bool wait(Duration pause) const {
    if (pause == Duration::zero()) return true;
    Event never;
    return executor_->wait(never, executor_->now() + pause) != WaitEnd::stuck;
  }

  std::optional<Executor> executor_;
  Servable<In, Out> child_;
  Servable<In, Out> later_;  // for attempts that a timer begins
  std::shared_ptr<RetryState> state_;
};

template <class In, class Out, class Mode>
Servable<In, Out> make_retry(std::optional<Executor> executor, Servable<In, Out> servable,
                             const RetryOptions& options, Clock clock) {
  std::string name = "retry(" + servable.name() + ")";
  Result<void> fits = check_retry(options);
  if (fits.has_value()) fits = check_repeatable(servable.traits(), servable.name());
  if (fits.has_value() && !servable.traits().row_independent) {
    fits = Error(
        Status::failed_precondition,
        servable.name() + ": its rows depend on their neighbours: some alone would be other rows");
  }
  if (!fits.has_value()) {
    return Servable<In, Out>::broken(std::move(name), std::move(fits).error());
  }
  using Node = RetryNode<In, Out, Mode>;
  return Servable<In, Out>::of_node(
      std::move(name), Node(std::move(executor), std::move(servable), options, std::move(clock)));
}

}  // namespace detail

/// The same servable; rows that fail with one of `options.statuses` are tried again, at once, and
/// only those rows.
///
/// A budget, in proportion to what is asked for, bounds how many: where all fails, trying again
/// does not multiply the load. No attempt begins after a row's deadline. The rows of a request see
/// one version of a slot in all attempts, but for a request of one row.
///
/// Errors   the last attempt's; failed_precondition (`check`): a servable that is stateful, not
///          repeatable, or whose rows depend on their neighbours; invalid_argument (`check`):
///          options out of bounds
/// Threads  thread-safe
/// Cost     where no row fails: an atomic addition; `submit` copies the rows and takes a frame for
///          each attempt. `clock` is read when rows fail
/// Example  retry(on(pool, model), {.attempts = 2})
template <class In, class Out, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In>)
Servable<In, Out> retry(Servable<In, Out> servable, RetryOptions options = {}, Clock clock = {},
                        Mode = {}) {
  return detail::make_retry<In, Out, Mode>(std::nullopt, std::move(servable), options,
                                           std::move(clock));
}

/// The same, with a pause before each further attempt: `options.backoff` says how long.
///
/// `serve` waits for the pause as `Executor::wait` does; in `submit` it is a timer of the
/// executor's, where further attempts run that would compute on the thread that asks. A stop
/// during a pause is seen when it ends. A shutdown of the executor ends the pause: rows then answer
/// as the last attempt left them.
template <class In, class Out, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In>)
Servable<In, Out> retry(Executor executor, Servable<In, Out> servable, RetryOptions options = {},
                        Mode = {}) {
  Clock clock = executor.now().clock;
  return detail::make_retry<In, Out, Mode>(std::move(executor), std::move(servable), options,
                                           std::move(clock));
}

}  // namespace galley::inline v1
