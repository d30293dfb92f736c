// hedge: a request that is late is sent a second time, and the first answer counts.
#pragma once

#include <galley/compose/resilience/apart.hpp>
#include <galley/compose/resilience/hedge_state.hpp>
#include <galley/compose/resilience/replaced.hpp>
#include <galley/compose/resilience/stop_chain.hpp>
#include <galley/compose/resilience/text.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/text.hpp>
#include <galley/policy/hedge.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

inline Result<void> check_hedge(const HedgeOptions& options) {
  const auto refused = [](const char* what, const char* expected, const std::string& got) {
    return Error(Status::invalid_argument,
                 text({"options.", what, ": expected ", expected, ", got ", got}));
  };
  if (!(options.quantile > 0 && options.quantile < 1)) {
    return refused("quantile", "more than 0, less than 1", text_of(options.quantile));
  }
  if (options.least_delay < Duration::zero()) {
    return refused("least_delay", "no negative time", text_of(options.least_delay));
  }
  if (!(options.share >= 0 && options.share <= 1)) {
    return refused("share", "0 to 1", text_of(options.share));
  }
  if (!(options.burst >= 1)) return refused("burst", "at least 1", text_of(options.burst));
  return {};
}

/// `first`, and for its casualties what `second` has a value for; tells whether that was any.
template <Row T>
std::pair<Outcomes<T>, bool> either(Outcomes<T> first, Outcomes<T> second) {
  std::vector<RowIndex> rows, values;
  for (const Casualty& casualty : first.casualties()) {
    if (second.casualties().find(casualty.row) != nullptr) continue;
    rows.push_back(casualty.row);
    values.push_back(casualty.row -
                     static_cast<RowIndex>(second.casualties().before(casualty.row)));
  }
  if (rows.empty()) return {std::move(first), false};
  Outcomes<T> chosen(std::move(second).survivors().select(values));
  return {replaced(std::move(first), rows, std::move(chosen)), true};
}

template <class In, class Out, class Mode>
class HedgeNode {
 public:
  static constexpr const char* kind = "hedge";

  HedgeNode(Executor executor, Servable<In, Out> primary, Servable<In, Out> backup,
            const HedgeOptions& options)
      : executor_(std::move(executor)),
        primary_(std::move(primary)),
        backup_(std::move(backup)),
        state_(std::make_shared<HedgeState>(options)) {}

  NodeTraits traits() const {
    NodeTraits traits = primary_.traits() & backup_.traits();
    traits.inline_only = false;
    traits.deterministic = traits.deterministic && is_same();
    return traits;
  }
  std::size_t frame_bytes() const { return Frame::bytes_for<Call>(); }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    visit(primary_.node());
    if (!is_same()) visit(backup_.node());
  }
  void plan_wait(WaitPlan& plan) const {
    plan.add(executor_);
    each_child([&plan](const NodeHeader& child) { child.table->plan_wait(child, plan); });
  }
  void describe(Description& description) const {
    const HedgeOptions& options = state_->options();
    description.options.emplace_back("quantile", text_of(options.quantile));
    description.options.emplace_back("least_delay", text_of(options.least_delay));
    description.options.emplace_back("share", text_of(options.share));
    description.options.emplace_back("burst", text_of(options.burst));
  }
  Result<void> control(ControlRequest& request) const {
    auto* statistics = request.as<HedgeStatistics>();
    if (statistics == nullptr) {
      return Error(Status::unimplemented,
                   "a hedge does not know the request " + std::string(request.type_name()));
    }
    *statistics = state_->statistics();
    return {};
  }

  Outcomes<Out> serve(const NodeHeader& node, const Batch<In>& batch,
                      const BatchContext& context) const {
    return serve_by_waiting<In, Out, Mode>(
        node, batch, context,
        [this](Rows<In>&& rows, const BatchContext& owned, Frame& frame,
               BatchCompletion<Out> done) {
          submit(std::move(rows), owned, frame, std::move(done));
        },
        [this](Event& event, const Instant& deadline) { return executor_.wait(event, deadline); });
  }

  void submit(Rows<In> rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    Result<Rows<In>> owned = own_rows(std::move(rows));  // they may outlive the request
    if (!owned.has_value()) return done.fail(owned.error());
    const auto pins = pins_for(context, owned->size(), primary_.node(), backup_.node());
    Call& call = frame.make<Call>(*this, pins != nullptr ? context.pinned(pins) : context, frame,
                                  std::move(done));
    call.arm(*owned);
    primary_.submit_apart(*std::move(owned), call.context.view(), call.listen(Side::primary));
  }

 private:
  enum class Side : std::uint8_t { primary, backup };

  /// A request that one or two servables work on. It keeps the frame until they and the timer are
  /// done.
  struct Call : TimedTask {
    Call(const HedgeNode& hedge, const BatchContext& request, Frame& memory,
         BatchCompletion<Out>&& owed)
        : TimedTask(dispatch),
          node(hedge),
          n(context.keep(request).rows()),
          stops(context),
          frame(memory),
          done(std::move(owed)),
          started(hedge.executor_.now().at) {}

    static void dispatch(Task& task, Task::Call what) noexcept {
      Call& self = static_cast<Call&>(task);
      if (what == Task::Call::run) return self.send_again();
      if (what == Task::Call::finish || what == Task::Call::abandon) return self.release();
    }

    /// Sets the timer, where the delay is known. Rows that cannot be copied are sent once.
    void arm(const Rows<In>& rows) {
      const Duration delay = node.state_->begin(rows.size());
      const TimePoint at = (Instant{started} + delay).at;
      if (at == TimePoint::max()) return;
      Result<Rows<In>> copies =
          Mode::template call<Rows<In>>([&] { return Batch<In>(rows).to_rows(); });
      if (!copies.has_value()) return;
      again = *std::move(copies);
      users.fetch_add(1, std::memory_order_relaxed);
      if (!node.executor_.post_at(*this, at)) release();
    }

    BatchCompletion<Out> listen(Side side) {
      return BatchCompletion<Out>(
          n, [this, side](Outcomes<Out>&& outcomes) { answered(side, std::move(outcomes)); },
          NoExceptions());
    }

    void send_again() {
      if (is_answered() || !node.state_->take()) return;
      {
        const std::lock_guard lock(mutex);
        if (is_over) return;
        ++out;
      }
      users.fetch_add(1, std::memory_order_relaxed);
      node.backup_.submit_apart(std::move(again), context.view(), listen(Side::backup));
    }

    void answered(Side side, Outcomes<Out>&& outcomes) {
      const Duration took = node.executor_.now().at - started;
      const bool any = !outcomes.survivors().empty();
      std::unique_lock lock(mutex);
      --out;
      if (is_over) {
        lock.unlock();
        return release();
      }
      // Rows that failed wait for the other's answer, where there is another.
      const bool waits = !first.has_value() && !outcomes.all_ok() && out > 0;
      if (waits) {
        first.emplace(std::move(outcomes));
        backup_used = side == Side::backup && any;
      }
      is_over = !waits;
      const bool loser = is_over && out > 0;
      lock.unlock();
      // Of a primary that lost it is known that it takes longer.
      if (side == Side::primary ? any : loser) node.state_->observe(n, took);
      // NOLINTNEXTLINE(bugprone-use-after-move): only those of one that waits were moved
      if (!waits) end(side, std::move(outcomes), loser);
      release();
    }

    /// Answers with both servables' outcomes, or with those of the one that was first.
    void end(Side side, Outcomes<Out>&& outcomes, bool loser) {
      bool used = side == Side::backup && !outcomes.survivors().empty();
      if (first.has_value()) {
        auto [both, added] = either(*std::move(first), std::move(outcomes));
        used = side == Side::backup ? added : backup_used;
        outcomes = std::move(both);
      }
      if (used) node.state_->count_won();
      if (node.executor_.cancel(*this)) release();
      done(std::move(outcomes));
      if (loser) stops.request_stop();
    }
    bool is_answered() {
      const std::lock_guard lock(mutex);
      return is_over;
    }

    /// One release is each servable's, one the timer's; the last destroys. acq_rel: the last sees
    /// all.
    void release() noexcept {
      if (users.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      const FrameRef keep = std::move(frame);
      this->~Call();
    }

    const HedgeNode& node;
    OwnedBatchContext context;
    const std::size_t n;
    StopChain stops;
    FrameRef frame;
    BatchCompletion<Out> done;
    const TimePoint started;
    Rows<In> again = {};  // for the second request
    std::atomic<int> users{1};
    std::mutex mutex;
    // Under the lock.
    int out = 1;  // servables that have not answered
    bool is_over = false;
    std::optional<Outcomes<Out>> first;  // where rows of it failed
    bool backup_used = false;            // for rows of that
  };

  bool is_same() const noexcept { return &primary_.node() == &backup_.node(); }

  Executor executor_;
  Servable<In, Out> primary_;
  Servable<In, Out> backup_;
  std::shared_ptr<HedgeState> state_;
};

/// Names are of what the user handed in; the children may be on the executor.
template <class Mode, class In, class Out>
Servable<In, Out> make_hedge(std::string name, Executor executor, Servable<In, Out> primary,
                             std::optional<Servable<In, Out>> backup, const HedgeOptions& options) {
  Result<void> fits = check_hedge(options);
  if (fits.has_value()) fits = check_repeatable(primary.traits(), primary.name());
  if (fits.has_value() && backup.has_value()) {
    fits = check_repeatable(backup->traits(), backup->name());
  }
  if (!fits.has_value()) {
    return Servable<In, Out>::broken(std::move(name), std::move(fits).error());
  }
  Servable<In, Out> first = off_thread<Mode>(executor, std::move(primary));
  Servable<In, Out> second =
      backup.has_value() ? off_thread<Mode>(executor, *std::move(backup)) : first;
  using Node = HedgeNode<In, Out, Mode>;
  return Servable<In, Out>::of_node(
      std::move(name), Node(std::move(executor), std::move(first), std::move(second), options));
}

}  // namespace detail

/// The same servable; a request that takes longer than most is sent a second time, and whichever
/// answer is first counts. For tails that are of the moment: a busy replica, a page fault, a pause.
///
/// How long a request has is learned from those before it, by its number of rows; at most a share
/// of the requests is sent twice. A row that failed waits for the other answer where there is
/// another. Who is not needed any more is told to stop, through a stop token of its own that the
/// caller's stop reaches too, and its answer is discarded. Servables that wait for nobody run on
/// `executor`, as by `on`. The rows of a request see one version of a slot.
///
/// Errors   the servable's; failed_precondition (`check`): it is stateful or not repeatable;
///          invalid_argument (`check`): options out of bounds
/// Threads  thread-safe
/// Cost     a frame for each answer, a timer, a copy of the rows for the second request once the
///          delay is known, and two allocations for the stop
/// Example  hedge(pool, batched(pool, model), {.share = 0.02})
template <class In, class Out, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In>)
Servable<In, Out> hedge(Executor executor, Servable<In, Out> primary, HedgeOptions options = {},
                        Mode = {}) {
  std::string name = "hedge(" + primary.name() + ")";
  return detail::make_hedge<Mode, In, Out>(std::move(name), std::move(executor), std::move(primary),
                                           std::nullopt, options);
}

/// The same, where the second request goes to `backup`. Where the two answer differently, so does
/// this, by who is first.
template <class In, class Out, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In>)
Servable<In, Out> hedge(Executor executor, Servable<In, Out> primary,
                        std::type_identity_t<Servable<In, Out>> backup, HedgeOptions options = {},
                        Mode = {}) {
  std::string name = "hedge(" + primary.name() + ", " + backup.name() + ")";
  return detail::make_hedge<Mode, In, Out>(std::move(name), std::move(executor), std::move(primary),
                                           std::move(backup), options);
}

}  // namespace galley::inline v1
