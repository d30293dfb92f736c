// Members asked beside each other: how `serve` and `submit` poll them.
#pragma once

#include <galley/compose/ensembling/poll.hpp>

namespace galley::inline v1::detail {

template <class In, class Mid, class C, class Mode>
std::size_t EnsembleNode<In, Mid, C, Mode>::frame_bytes() const {
  if (traits_.inline_only) return 0;
  const std::size_t own = Frame::bytes_for<Poll>() +
                          ballot_.size() * Frame::bytes_for<typename Poll::Seat>() +
                          most_lanes_ * Frame::bytes_for<typename Poll::Lane>();
  const std::size_t only = Frame::bytes_for<Only>() + ballot_[0].servable.node().frame_bytes;
  return ballot_.size() == 1 ? std::max(own, only) : own;
}

/// How long a deadline leaves, on its own clock.
inline Duration time_left(const Instant& deadline) {
  if (deadline.is_never()) return Duration::max();
  return std::max(deadline.at - deadline.clock.now(), Duration::zero());
}

/// The latest deadline of a batch's requests.
inline Instant latest_deadline(const BatchContext& context) {
  Instant deadline = context.context().deadline;
  for (const RequestRun& run : context.runs()) deadline = std::max(deadline, run.context->deadline);
  return deadline;
}

/// When the vote on a batch that starts now is closed, on the executor's clock.
template <class In, class Mid, class C, class Mode>
Instant EnsembleNode<In, Mid, C, Mode>::closes_at(const BatchContext& context) const {
  const Duration cut_off = ballot_.options().cut_off;
  const Duration left = std::min(time_left(latest_deadline(context)),
                                 cut_off > Duration::zero() ? cut_off : Duration::max());
  if (left == Duration::max()) return {};
  return executor_->now() + left;
}

template <class In, class Mid, class C, class Mode>
auto EnsembleNode<In, Mid, C, Mode>::serve_forking(const NodeHeader& node, const Batch<In>& batch,
                                                   const BatchContext& context) const
    -> Outcomes<Out> {
  const bool takes_part = ballot_.options().cut_off == Duration::zero();
  const bool may_stay = takes_part && later_.empty();
  const auto on_one_thread = [&] {
    return serve_in_turn(batch, context, record_->ran_inline() ? &*executor_ : nullptr);
  };
  if (may_stay && record_->stays_inline(batch.size())) return on_one_thread();
  ForkPlan plan;
  if (!inline_.empty()) {
    // A caller that takes part is one of as many threads as the executor has, a worker or not: the
    // cores are no more. Where there is one worker the caller is a second.
    const bool is_one = Worker::current() != nullptr || !takes_part || workers_ > 1;
    plan =
        record_->plan(inline_, batch.size(), workers_ - (is_one ? 1 : 0), ballot_.options().fork);
  }
  if (may_stay && plan.lanes == 1) return on_one_thread();
  return serve_together(node, batch, context, plan);
}

/// Asks members beside each other and waits.
template <class In, class Mid, class C, class Mode>
auto EnsembleNode<In, Mid, C, Mode>::serve_together(const NodeHeader& node, const Batch<In>& batch,
                                                    const BatchContext& context,
                                                    const ForkPlan& plan) const -> Outcomes<Out> {
  const auto failed = [&](Error error) {
    return Outcomes<Out>::failed(batch.size(), within(ballot_.name(), std::move(error)));
  };
  Result<Rows<In>> rows =
      Mode::template call<Rows<In>>([&] { return own_rows(batch.to_rows()); });  // copies may throw
  if (!rows.has_value()) return failed(rows.error());
  FrameRef frame = node.frames.take();
  if (!frame) return failed(Error(Status::resource_exhausted, "all request frames are in use"));
  frame->graph = node.shared_from_this();
  record_->ran_forked();
  const Duration cut_off = ballot_.options().cut_off;
  const auto caller = cut_off > Duration::zero() ? Poll::Caller::waits : Poll::Caller::takes_part;
  Instant limit = latest_deadline(context);
  const Instant closes = closes_at(context);
  if (cut_off > Duration::zero() && cut_off < time_left(limit)) limit = closes;
  Poll& poll = frame->template make<Poll>(*this, *std::move(rows), context, *frame, plan, caller,
                                          BatchCompletion<Out>());
  poll.limit_at = closes.at;
  poll.start();
  if (caller == Poll::Caller::takes_part && Worker::current() == nullptr) poll.linger();
  const WaitEnd end = poll.is_closed() ? WaitEnd::done : executor_->wait(poll.over, limit);
  Error why = Poll::late();
  if (end == WaitEnd::stuck) {
    why = Error(Status::failed_precondition,
                "every runner waits beneath this call, so that nobody is left to answer it");
  }
  poll.closed.store(true, std::memory_order_release);
  Outcomes<Out> outcomes = poll.outcomes(why, context.workspace());
  poll.release();
  return outcomes;
}

/// Passes a single member's answer on, and counts.
template <class In, class Mid, class C, class Mode>
void EnsembleNode<In, Mid, C, Mode>::submit_only(Rows<In>&& rows, const BatchContext& context,
                                                 Frame& frame, BatchCompletion<Mid> done) const {
  const std::size_t n = rows.size();
  Only& only = frame.make<Only>(*this, std::move(done));
  ballot_[0].servable.submit_batch(std::move(rows), context, frame,
                                   BatchCompletion<Mid>(
                                       n,
                                       [&only](Outcomes<Mid>&& outcomes) {
                                         only.node.count(0, outcomes);
                                         BatchCompletion<Mid> owed = std::move(only.done);
                                         only.~Only();
                                         owed(std::move(outcomes));
                                       },
                                       NoExceptions()));
}

template <class In, class Mid, class C, class Mode>
void EnsembleNode<In, Mid, C, Mode>::submit(Rows<In>&& rows, const BatchContext& context,
                                            Frame& frame, BatchCompletion<Out> done) const {
  if constexpr (std::same_as<Out, Mid>) {
    if (is_only_vote() && !executor_.has_value()) {
      return submit_only(std::move(rows), context, frame, std::move(done));
    }
  }
  if (const Result<void> owned = make_owned(rows); !owned.has_value()) {  // a stage may borrow
    return done.fail(within(ballot_.name(), owned.error()));
  }
  ForkPlan plan;
  if (executor_.has_value() && !inline_.empty()) {
    plan = record_->plan(inline_, rows.size(), workers_ - 1, ballot_.options().fork);
  }
  plan.lanes > 1 || later_.size() > 1 ? record_->ran_forked()
                                      : static_cast<void>(record_->ran_inline());
  Poll& poll = frame.make<Poll>(*this, std::move(rows), context, frame, plan, Poll::Caller::left,
                                std::move(done));
  if (executor_.has_value()) {
    const Instant limit = closes_at(context);
    if (!limit.is_never()) poll.close_at(limit.at);
  }
  poll.start();
  poll.release();
}

}  // namespace galley::inline v1::detail
