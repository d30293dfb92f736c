// timeout: the same answers, or none in time.
#pragma once

#include <galley/compose/resilience/apart.hpp>
#include <galley/compose/resilience/text.hpp>
#include <galley/core/servable.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace galley::inline v1 {

/// What a timeout counts: `servable.control(path, statistics)` fills it in.
struct TimeoutStatistics {
  std::uint64_t requests = 0;
  std::uint64_t timed_out = 0;  ///< Of these, answered because the time was over.
};

namespace detail {

template <class In, class Out, class Mode>
class TimeoutNode {
 public:
  static constexpr const char* kind = "timeout";

  TimeoutNode(std::string name, Executor executor, Servable<In, Out> child, Duration after)
      : name_(std::move(name)),
        executor_(std::move(executor)),
        child_(std::move(child)),
        after_(after),
        counts_(std::make_shared<Counts>()) {}

  NodeTraits traits() const {
    NodeTraits traits = child_.traits();
    traits.inline_only = false;
    return traits;
  }
  std::size_t frame_bytes() const { return Frame::bytes_for<Call>(); }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const { visit(child_.node()); }
  void plan_wait(WaitPlan& plan) const {
    plan.add(executor_);
    each_child([&plan](const NodeHeader& child) { child.table->plan_wait(child, plan); });
  }
  void describe(Description& description) const {
    description.options.emplace_back("duration", text_of(after_));
  }
  Result<void> control(ControlRequest& request) const {
    auto* statistics = request.as<TimeoutStatistics>();
    if (statistics == nullptr) {
      return Error(Status::unimplemented,
                   "a timeout does not know the request " + std::string(request.type_name()));
    }
    statistics->requests = counts_->requests.load(std::memory_order_relaxed);
    statistics->timed_out = counts_->timed_out.load(std::memory_order_relaxed);
    return {};
  }

  /// The caller itself waits until the time is over: no timer.
  Outcomes<Out> serve(const NodeHeader& node, const Batch<In>& batch,
                      const BatchContext& context) const {
    const Instant limit = begin();
    return serve_by_waiting<In, Out, Mode>(
        node, batch, context,
        [&](Rows<In>&& rows, const BatchContext& owned, Frame&, BatchCompletion<Out> done) {
          OwnedBatchContext narrowed;
          child_.submit_apart(std::move(rows), narrow(narrowed, owned, limit), std::move(done));
        },
        [&](Event& event, const Instant& deadline) {
          const WaitEnd end = executor_.wait(event, std::min(deadline, limit));
          if (end == WaitEnd::late) count_timed_out();
          return end;
        });
  }

  void submit(Rows<In> rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    Result<Rows<In>> owned = own_rows(std::move(rows));  // they may outlive the request
    if (!owned.has_value()) return done.fail(owned.error());
    OwnedBatchContext narrowed;
    const BatchContext onward = narrow(narrowed, context, begin());
    Call& call = frame.make<Call>(*this, frame, std::move(done));
    if (!call.arm(end_of(onward))) return;
    child_.submit_apart(*std::move(owned), onward,
                        BatchCompletion<Out>(
                            call.done.rows(),
                            [&call](Outcomes<Out>&& outcomes) { call.answer(std::move(outcomes)); },
                            NoExceptions()));
  }

 private:
  struct Counts {
    // Relaxed: each stands alone.
    std::atomic<std::uint64_t> requests{0};
    std::atomic<std::uint64_t> timed_out{0};
  };

  /// A request that the child or the timer answers, whichever is first; it keeps the frame until
  /// both are done.
  struct Call : TimedTask {
    Call(const TimeoutNode& timeout, Frame& memory, BatchCompletion<Out>&& owed)
        : TimedTask(dispatch), node(timeout), frame(memory), done(std::move(owed)) {}

    static void dispatch(Task& task, Task::Call what) noexcept {
      Call& self = static_cast<Call&>(task);
      switch (what) {
        case Task::Call::run:
          if (!self.claim()) return;
          self.node.count_timed_out();
          return self.fail(Status::deadline_exceeded, "no answer in time");
        case Task::Call::finish:
          return self.release();
        case Task::Call::overdue:
          return;
        case Task::Call::abandon:
          if (self.claim()) self.fail(Status::unavailable, "the executor was shut down");
          return self.release();
      }
    }

    /// False where the executor is shut down: then it is answered, and over.
    bool arm(TimePoint end) {
      if (end == TimePoint::max()) {
        release();
        return true;
      }
      if (node.executor_.post_at(*this, end)) return true;
      dispatch(*this, Task::Call::abandon);
      release();
      return false;
    }

    void answer(Outcomes<Out>&& outcomes) {
      if (claim()) {
        if (node.executor_.cancel(*this)) release();
        done(std::move(outcomes));
      }
      release();
    }
    void fail(Status status, const char* why) { done.fail(Error(status, node.name_ + ": " + why)); }

    /// True for whoever may answer. Relaxed: it only decides who; nothing is handed over by it.
    bool claim() noexcept { return !answered.exchange(true, std::memory_order_relaxed); }

    /// One release is the timer's, one the child's; the last destroys. acq_rel: the last sees all.
    void release() noexcept {
      if (users.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      const FrameRef keep = std::move(frame);
      this->~Call();
    }

    const TimeoutNode& node;
    FrameRef frame;
    BatchCompletion<Out> done;
    std::atomic<bool> answered{false};
    std::atomic<int> users{2};
  };

  /// Counts a request, and says when its time is over.
  Instant begin() const {
    counts_->requests.fetch_add(1, std::memory_order_relaxed);
    return executor_.now() + after_;
  }
  void count_timed_out() const { counts_->timed_out.fetch_add(1, std::memory_order_relaxed); }

  static BatchContext narrow(OwnedBatchContext& narrowed, const BatchContext& context,
                             const Instant& limit) {
    narrowed.assign(context);
    narrowed.each([&](Context& each) { each = each.within(limit); });
    return narrowed.view();
  }
  /// When the last of the requests is late.
  static TimePoint end_of(const BatchContext& context) {
    TimePoint last = TimePoint::min();
    for (const RequestRun& run : context.runs()) last = std::max(last, run.context->deadline.at);
    return last;
  }

  std::string name_;
  Executor executor_;
  Servable<In, Out> child_;
  Duration after_;
  std::shared_ptr<Counts> counts_;
};

}  // namespace detail

/// The same servable, which has `duration` to answer: every request's deadline is narrowed to it,
/// and when it is over the request is answered, whatever the servable is doing.
///
/// A servable that waits for nobody runs on `executor`, as by `on`: it could not be left
/// otherwise. An answer that comes late is discarded, and what it touches stays alive until then.
/// Deadlines are on the executor's clock.
///
/// Errors   deadline_exceeded: no answer in time; unavailable: the executor was shut down;
///          invalid_argument (`check`): a time that is not positive
/// Threads  thread-safe
/// Cost     submit: a timer and a frame for the servable; serve: a wait, no timer
template <class In, class Out, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In>)
Servable<In, Out> timeout(Executor executor, Servable<In, Out> servable, Duration duration,
                          Mode = {}) {
  std::string name = "timeout(" + servable.name() + ")";
  if (duration <= Duration::zero()) {
    return Servable<In, Out>::broken(
        std::move(name), Error(Status::invalid_argument,
                               "duration: expected more than 0, got " + detail::text_of(duration)));
  }
  Servable<In, Out> child = detail::off_thread<Mode>(executor, std::move(servable));
  using Node = detail::TimeoutNode<In, Out, Mode>;
  return Servable<In, Out>::of_node(name,
                                    Node(name, std::move(executor), std::move(child), duration));
}

}  // namespace galley::inline v1
