// shadow: a sample of the rows goes to another servable too, to see what it would have answered.
#pragma once

#include <galley/compose/resilience/shadow_options.hpp>
#include <galley/compose/resilience/shadow_queue.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>
#include <galley/policy/sample.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

template <class In, class Out, class Sink, class Equal, class Mode>
class ShadowNode {
 public:
  static constexpr const char* kind = "shadow";
  using Queue = ShadowQueue<In, Out, Sink, Equal, Mode>;
  using Job = typename Queue::Job;

  ShadowNode(Servable<In, Out> primary, std::shared_ptr<Queue> queue)
      : primary_(std::move(primary)),
        queue_(std::move(queue)),
        requests_(std::make_shared<std::atomic<std::uint64_t>>(0)) {}

  NodeTraits traits() const { return primary_.traits(); }
  std::size_t frame_bytes() const {
    return traits().inline_only ? 0 : Frame::bytes_for<Call>() + primary_.node().frame_bytes;
  }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    visit(primary_.node());
    visit(queue_->other().node());
  }
  /// Nobody waits for the other.
  void plan_wait(WaitPlan& plan) const { primary_.node().table->plan_wait(primary_.node(), plan); }
  Result<void> prepare(const PrepareScope& scope) const {
    GALLEY_TRY(primary_.prepare(scope));
    return queue_->other().prepare(PrepareScope(queue_->executor()));
  }
  void describe(Description& description) const {
    const ShadowOptions& options = queue_->options();
    description.options.emplace_back("share", text_of(options.share));
    description.options.emplace_back("by", options.by == ShadowBy::key ? "key" : "request");
    description.options.emplace_back("max_requests", std::to_string(options.max_requests));
    description.options.emplace_back("max_rows", std::to_string(options.max_rows));
    description.options.emplace_back("max_running", std::to_string(options.max_running));
    description.options.emplace_back("deadline", text_of(options.deadline));
    description.options.emplace_back("priority", std::to_string(options.priority));
    description.options.emplace_back("seed", std::to_string(options.seed));
  }
  Result<void> control(ControlRequest& request) const {
    auto* statistics = request.as<ShadowStatistics>();
    if (statistics == nullptr) {
      return Error(Status::unimplemented,
                   "a shadow does not know the request " + std::string(request.type_name()));
    }
    *statistics = queue_->statistics();
    return {};
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    const std::vector<RowIndex> rows = sample(context, batch.size());
    if (rows.empty()) [[likely]]
      return primary_.serve_batch(batch, context);
    std::unique_ptr<Job> job = begin(batch, context, rows);
    Outcomes<Out> outcomes = primary_.serve_batch(batch, context);
    if (job != nullptr && copy(*job, rows, outcomes)) queue_->push(std::move(job));
    return outcomes;
  }

  void submit(Rows<In> rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    std::vector<RowIndex> sampled = sample(context, rows.size());
    std::unique_ptr<Job> job = sampled.empty() ? nullptr : begin(Batch<In>(rows), context, sampled);
    if (job == nullptr) [[likely]] {
      return primary_.submit_batch(std::move(rows), context, frame, std::move(done));
    }
    Call& call = frame.make<Call>(*this, std::move(sampled), std::move(job), std::move(done));
    const std::size_t n = rows.size();
    primary_.submit_batch(
        std::move(rows), context, frame,
        BatchCompletion<Out>(
            n, [&call](Outcomes<Out>&& outcomes) { call.answer(std::move(outcomes)); },
            NoExceptions()));
  }

 private:
  /// A request at the primary.
  struct Call {
    Call(const ShadowNode& shadow, std::vector<RowIndex> sampled, std::unique_ptr<Job> begun,
         BatchCompletion<Out>&& owed)
        : node(shadow), rows(std::move(sampled)), job(std::move(begun)), done(std::move(owed)) {}

    /// Answers before anything comes of the copy.
    void answer(Outcomes<Out>&& outcomes) {
      const std::shared_ptr<Queue> queue = node.queue_;
      std::unique_ptr<Job> copied = std::move(job);
      if (!node.copy(*copied, rows, outcomes)) copied = nullptr;
      BatchCompletion<Out> owed = std::move(done);
      this->~Call();
      owed(std::move(outcomes));
      if (copied != nullptr) queue->push(std::move(copied));
    }

    const ShadowNode& node;
    std::vector<RowIndex> rows;
    std::unique_ptr<Job> job;
    BatchCompletion<Out> done;
  };

  /// The rows that are sampled.
  std::vector<RowIndex> sample(const BatchContext& context, std::size_t rows) const {
    const ShadowOptions& options = queue_->options();
    std::vector<RowIndex> sampled;
    const std::span<const Key> keys = context.keys();
    if (options.by == ShadowBy::key && !keys.empty()) {
      for (std::size_t i = 0; i < rows; ++i) {
        if (is_sampled(keys[i], options.share, options.seed)) {
          sampled.push_back(static_cast<RowIndex>(i));
        }
      }
      return sampled;
    }
    std::size_t first = 0;
    for (const RequestRun& run : context.runs()) {
      const std::uint64_t number = requests_->fetch_add(1, std::memory_order_relaxed);
      if (is_sampled(number, options.share, options.seed)) {
        sampled.resize(sampled.size() + run.rows);
        std::iota(sampled.end() - run.rows, sampled.end(), static_cast<RowIndex>(first));
      }
      first += run.rows;
    }
    return sampled;
  }

  /// Copies of the sampled rows, before the primary has them; null where they are dropped.
  std::unique_ptr<Job> begin(const Batch<In>& batch, const BatchContext& context,
                             std::span<const RowIndex> rows) const {
    const ContextSelection own(context, rows);
    const std::size_t requests = own.view().runs().size();
    if (!queue_->reserve(requests, rows.size())) return nullptr;
    std::vector<RowIndex> places;
    places.reserve(rows.size());
    for (const RowIndex row : rows) places.push_back(static_cast<RowIndex>(batch.place(row)));
    Result<Rows<In>> copies = Mode::template call<Rows<In>>(
        [&] { return own_rows(batch.borrowed().at_places(places).to_rows()); });
    if (!copies.has_value()) {
      queue_->give_up(requests, rows.size());
      return nullptr;
    }
    auto job = std::make_unique<Job>();
    job->rows = *std::move(copies);
    job->context.assign(own.view());
    job->requests = requests;
    job->started = queue_->executor().now();
    return job;
  }

  /// Copies what the primary made of the sampled rows; false where they are dropped.
  bool copy(Job& job, std::span<const RowIndex> rows, const Outcomes<Out>& outcomes) const {
    const Instant now = queue_->executor().now();
    Result<Outcomes<Out>> copies =
        Mode::template call<Outcomes<Out>>([&]() -> Result<Outcomes<Out>> {
          std::vector<RowIndex> values;
          Casualties casualties;
          for (std::size_t i = 0; i < rows.size(); ++i) {
            if (const Error* error = outcomes.casualties().find(rows[i]); error != nullptr) {
              casualties.append(i, *error);
            } else {
              values.push_back(rows[i] -
                               static_cast<RowIndex>(outcomes.casualties().before(rows[i])));
            }
          }
          GALLEY_TRY(Rows<Out> owned, own_rows(std::as_const(outcomes).survivors().select(values)));
          return Outcomes<Out>(std::move(owned), std::move(casualties));
        });
    if (!copies.has_value()) {
      queue_->give_up(job.requests, rows.size());
      return false;
    }
    const ShadowOptions& options = queue_->options();
    job.primary = *std::move(copies);
    job.primary_took = now.at - job.started.at;
    job.deadline = now + options.deadline;
    job.context.each([&](Context& context) {
      context.deadline = job.deadline;
      context.stop = {};
      context.priority = options.priority;
    });
    return true;
  }

  Servable<In, Out> primary_;
  std::shared_ptr<Queue> queue_;
  std::shared_ptr<std::atomic<std::uint64_t>> requests_;
};

}  // namespace detail

/// The primary's answers, untouched; and off their way, on `executor`, what `other` makes of a
/// sample of the rows, for `sink` to compare.
///
/// Sampled rows are copied before the primary has them, and its outcomes after; `other` begins when
/// the primary has answered, one request at a time where `options` says nothing else, with a
/// deadline and a priority of its own and no caller's stop. What finds no room is dropped and
/// counted. `sink` is called on the thread that answers for `other`, with one comparison at a time
/// where `max_running` is 1; what it or `equal` throws harms nothing. It may be called after the
/// graph is gone, until the executor is shut down, and so owns what it touches.
///
/// Errors   the primary's; failed_precondition (`check`): `other` is stateful, a sample would leave
///          holes in its sequences; invalid_argument (`check`): options out of bounds
/// Threads  thread-safe
/// Cost     a request that is not sampled: an atomic addition; one that is: copies of its rows and
///          outcomes, two readings of the clock, allocations and two locks
/// Example  shadow(pool, champion, challenger, {.share = 0.05},
///                 [](const ShadowRow<Image, Label>& row) { log(row); }, std::equal_to<>())
template <class In, class Out, class Sink, class Equal = NotCompared,
          class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In> && std::copy_constructible<Out> &&
           ShadowSink<std::decay_t<Sink>, In, Out> && ShadowEqual<std::decay_t<Equal>, Out>)
Servable<In, Out> shadow(Executor executor, Servable<In, Out> primary,
                         std::type_identity_t<Servable<In, Out>> other, ShadowOptions options,
                         Sink&& sink, Equal&& equal = {}, Mode = {}) {
  std::string name = "shadow(" + primary.name() + ", " + other.name() + ")";
  Result<void> fits = detail::check_shadow(options);
  if (fits.has_value() && other.traits().stateful) {
    fits = Error(Status::failed_precondition,
                 other.name() + ": it is stateful: a sample would leave holes in its sequences");
  }
  if (!fits.has_value()) {
    return Servable<In, Out>::broken(std::move(name), std::move(fits).error());
  }
  using Node = detail::ShadowNode<In, Out, std::decay_t<Sink>, std::decay_t<Equal>, Mode>;
  auto queue =
      std::make_shared<typename Node::Queue>(std::move(executor), std::move(other), options,
                                             std::forward<Sink>(sink), std::forward<Equal>(equal));
  return Servable<In, Out>::of_node(std::move(name), Node(std::move(primary), std::move(queue)));
}

}  // namespace galley::inline v1
