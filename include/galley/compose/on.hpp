// on: the same answers, computed on an executor.
#pragma once

#include <galley/core/servable.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace galley::inline v1 {

namespace detail {

template <class In, class Out, class Mode>
class OnNode {
 public:
  static constexpr const char* kind = "on";

  OnNode(Executor executor, Servable<In, Out> child)
      : executor_(std::move(executor)), child_(std::move(child)) {}

  NodeTraits traits() const {
    NodeTraits traits = child_.traits();
    traits.inline_only = false;
    return traits;
  }
  std::size_t frame_bytes() const { return Frame::bytes_for<Call>() + child_.node().frame_bytes; }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const { visit(child_.node()); }
  Result<void> prepare(const PrepareScope&) const {
    return child_.prepare(PrepareScope(executor_));
  }
  void plan_wait(WaitPlan& plan) const {
    plan.add(executor_);
    child_.node().table->plan_wait(child_.node(), plan);
  }

  Outcomes<Out> serve(const NodeHeader& node, const Batch<In>& batch,
                      const BatchContext& context) const {
    return serve_by_waiting<In, Out, Mode>(
        node, batch, context,
        [this](Rows<In> rows, const BatchContext& owned, Frame& frame, BatchCompletion<Out> done) {
          submit(std::move(rows), owned, frame, std::move(done));
        },
        [this](Event& event, const Instant& deadline) { return executor_.wait(event, deadline); });
  }

  void submit(Rows<In> rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    Result<Rows<In>> owned = own_rows(std::move(rows));  // a stage before may give what it borrows
    if (!owned.has_value()) return done.fail(owned.error());
    Call& call = frame.make<Call>(*this, *std::move(owned), context, frame, std::move(done));
    if (!executor_.post(call)) call(Task::Call::abandon);
  }

 private:
  /// A request on its way through the executor. Answered once, by the child or by a shutdown; it
  /// keeps the frame until the child is done with it, answered or not.
  struct Call : Task {
    Call(const OnNode& on, Rows<In> batch, const BatchContext& request, Frame& memory,
         BatchCompletion<Out> owed)
        : Task(dispatch), node(on), rows(std::move(batch)), frame(memory), done(std::move(owed)) {
      context.assign(request);
    }

    static void dispatch(Task& task, Task::Call what) noexcept {
      Call& self = static_cast<Call&>(task);
      switch (what) {
        case Task::Call::run:
          return self.run();
        case Task::Call::finish:
          return self.release();
        case Task::Call::overdue:
          return self.refuse("shut down while this was running");
        case Task::Call::abandon:
          self.refuse("shut down");
          self.release();
          self.release();
      }
    }

    void run() {
      const std::size_t n = rows.size();
      node.child_.submit_batch(std::move(rows), context.view(), *frame,
                               BatchCompletion<Out>(
                                   n,
                                   [this](Outcomes<Out> outcomes) {
                                     if (claim()) done(std::move(outcomes));
                                     release();
                                   },
                                   NoExceptions()));
    }
    void refuse(const char* why) {
      if (claim()) {
        done.fail(Error(Status::unavailable, node.child_.name() + ": the executor was " + why));
      }
    }
    /// True for whoever may answer. Relaxed: it only decides who; nothing is handed over by it.
    bool claim() noexcept { return !answered.exchange(true, std::memory_order_relaxed); }

    /// One release is the executor's, one the child's; the last destroys. acq_rel: the last sees
    /// all.
    void release() noexcept {
      if (users.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      const FrameRef keep = std::move(frame);
      this->~Call();
    }

    const OnNode& node;
    Rows<In> rows;
    OwnedBatchContext context;  // the child's, who may go on with it after a shutdown's answer
    FrameRef frame;
    BatchCompletion<Out> done;
    std::atomic<bool> answered{false};
    std::atomic<int> users{2};
  };

  Executor executor_;
  Servable<In, Out> child_;
};

}  // namespace detail

/// The same servable, run on `executor`: for who must not compute on the calling thread.
///
/// `submit` never computes; `serve` blocks until the answer or the deadline, and on a worker runs
/// other tasks meanwhile. Rows are owned while they wait: `serve` copies them unless it was given
/// them.
///
/// Errors  `unavailable` when the executor is shut down, `failed_precondition` when waiting could
///         never end because every runner waits beneath this call
template <class In, class Out, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In>)
Servable<In, Out> on(Executor executor, Servable<In, Out> servable) {
  std::string name = "on(" + servable.name() + ")";
  return Servable<In, Out>::of_node(
      std::move(name), detail::OnNode<In, Out, Mode>(std::move(executor), std::move(servable)));
}

}  // namespace galley::inline v1
