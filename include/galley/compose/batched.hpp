// batched: the same answers, computed in batches of many callers' rows.
#pragma once

#include <galley/compose/batching/batcher.hpp>
#include <galley/compose/batching/options.hpp>
#include <galley/core/function_ref.hpp>
#include <galley/core/servable.hpp>
#include <galley/policy/batch/learned_cap.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace galley::inline v1 {

namespace detail {

template <class In, class Out, BatchPolicy Policy, class Mode>
class BatchedNode {
 public:
  static constexpr const char* kind = "batched";
  using State = Batcher<In, Out, Policy>;

  explicit BatchedNode(std::shared_ptr<State> state) : state_(std::move(state)) {}

  NodeTraits traits() const {
    NodeTraits traits = state_->child().traits();
    traits.inline_only = false;
    return traits;
  }
  std::size_t frame_bytes() const { return Frame::bytes_for<typename State::Request>(); }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    visit(state_->child().node());
  }
  Result<void> prepare(const PrepareScope&) const {
    return state_->child().prepare(PrepareScope(state_->executor()));
  }
  void plan_wait(WaitPlan& plan) const {
    if (state_->runs_beneath()) plan.refuse();
    plan.add(state_->executor());
    state_->child().node().table->plan_wait(state_->child().node(), plan);
  }
  void describe(Description& description) const { state_->describe(description); }
  Result<void> control(ControlRequest& request) const { return state_->control(request); }

  Outcomes<Out> serve(const NodeHeader& node, const Batch<In>& batch,
                      const BatchContext& context) const {
    if (state_->enter_inline(batch.size())) return state_->serve_inline(batch, context);
    if (state_->runs_beneath()) [[unlikely]]
      return state_->serve_above(batch, context);
    return serve_by_waiting<In, Out, Mode>(
        node, batch, context,
        [this](Rows<In>&& rows, const BatchContext& owned, Frame& frame,
               BatchCompletion<Out> done) {
          state_->submit(std::move(rows), owned, frame, std::move(done));
        },
        [this](Event& event, const Instant& deadline) {
          state_->before_waiting();
          return state_->executor().wait(event, deadline);
        });
  }

  void submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    // A stage before may give what it borrows.
    const Result<void> owned = Mode::template call<void>([&] { return make_owned(rows); });
    if (!owned.has_value()) return done.fail(owned.error());
    state_->submit(std::move(rows), context, frame, std::move(done));
  }

  /// A `Guard`.
  static Result<void> guard(FunctionRef<void()> work) {
    return Mode::template call<void>([&]() -> Result<void> {
      work();
      return {};
    });
  }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace detail

/// The same servable, its rows merged with those of other requests into batches that run on
/// `executor`.
///
/// A caller of `serve` that finds the model free and nobody queued runs its own batch, without a
/// hand-off; under contention rows queue, and the executor's workers take them in batches that
/// `policy` closes. A request of more rows than the best batch is split; outcomes come back per
/// request, in order. The default policy has nothing to tune: it learns what each batch size costs.
///
/// Rows share a batch only where they are of one kind (tensors: dtype, shape and device), bound to
/// the same versions, and all have keys or none has. Of a stateful servable one batch runs at a
/// time, with at most one row of each key, in order of arrival.
///
/// Errors   resource_exhausted at once: the queue is full, or the deadline cannot be kept; and for
///          the rows of a request or a batch that there is no memory for;
///          deadline_exceeded before it is computed: a row that can no longer be in time; cancelled
///          at once: a stop was requested while it queued; unavailable: the executor was shut down;
///          failed_precondition (`check`): rows of the servable depend on their neighbours, or
///          options contradict each other
/// Threads  thread-safe
/// Cost     alone: two atomic operations; queued: one lock to enter the queue, and the share of a
///          batch's
/// Example  examples/batching.cpp
template <class In, class Out, BatchPolicy Policy = LearnedCap, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In>)
Servable<In, Out> batched(Executor executor, Servable<In, Out> servable, BatchOptions options = {},
                          Policy policy = {}, Mode = {}) {
  using Node = detail::BatchedNode<In, Out, Policy, Mode>;
  std::string name = "batched(" + servable.name() + ")";
  if (Result<void> fits = detail::check_batchable(servable.traits(), options); !fits.has_value()) {
    return Servable<In, Out>::broken(std::move(name), std::move(fits).error());
  }
  auto state = std::make_shared<typename Node::State>(std::move(executor), std::move(servable),
                                                      options, std::move(policy), &Node::guard);
  return Servable<In, Out>::of_node(std::move(name), Node(std::move(state)));
}

}  // namespace galley::inline v1
