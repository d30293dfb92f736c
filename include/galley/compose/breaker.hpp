// breaker: a servable that fails too often is left alone for a while.
#pragma once

#include <galley/compose/resilience/breaker_state.hpp>
#include <galley/compose/resilience/text.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>
#include <galley/policy/breaker.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

inline Result<void> check_breaker(const BreakerOptions& options) {
  const auto refused = [](std::string why) {
    return Error(Status::invalid_argument, "options." + std::move(why));
  };
  if (!(options.failure_rate > 0 && options.failure_rate <= 1)) {
    return refused("failure_rate: expected more than 0, at most 1, got " +
                   text_of(options.failure_rate));
  }
  if (options.window == 0) return refused("window: expected at least 1, got 0");
  // Nine tenths of the window are certain to be seen.
  const std::size_t most = options.window - options.window / 10;
  if (options.least_rows == 0 || options.least_rows > most) {
    return refused("least_rows: expected 1 to nine tenths of window, " + std::to_string(most) +
                   ", got " + std::to_string(options.least_rows));
  }
  if (options.open_for <= Duration::zero()) {
    return refused("open_for: expected more than 0, got " + text_of(options.open_for));
  }
  if (options.probes == 0) return refused("probes: expected at least 1, got 0");
  if (options.failures.empty() || options.failures.contains(Status::ok)) {
    return refused("failures: expected at least one, and not ok, got " +
                   to_string(options.failures));
  }
  return {};
}

template <class In, class Out>
class BreakerNode {
 public:
  static constexpr const char* kind = "breaker";

  BreakerNode(std::string name, Servable<In, Out> child, const BreakerOptions& options, Clock clock)
      : name_(std::move(name)),
        child_(std::move(child)),
        core_(std::make_shared<BreakerCore>(options, std::move(clock))) {}

  NodeTraits traits() const { return child_.traits(); }
  std::size_t frame_bytes() const {
    return traits().inline_only ? 0 : Frame::bytes_for<Call>() + child_.node().frame_bytes;
  }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const { visit(child_.node()); }
  void describe(Description& description) const {
    const BreakerOptions& options = core_->options();
    description.options.emplace_back("failure_rate", text_of(options.failure_rate));
    description.options.emplace_back("window", std::to_string(options.window));
    description.options.emplace_back("least_rows", std::to_string(options.least_rows));
    description.options.emplace_back("open_for", text_of(options.open_for));
    description.options.emplace_back("probes", std::to_string(options.probes));
    description.options.emplace_back("failures", to_string(options.failures));
  }
  Result<void> control(ControlRequest& request) const {
    if (auto* statistics = request.as<BreakerStatistics>()) {
      *statistics = core_->statistics();
    } else if (auto* set = request.as<SetBreakerMode>()) {
      core_->set_mode(set->mode);
    } else {
      return Error(Status::unimplemented,
                   "a breaker does not know the request " + std::string(request.type_name()));
    }
    return {};
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    const Ticket ticket = core_->look();
    if (ticket.closed() && all_live(context)) [[likely]] {
      Outcomes<Out> outcomes = child_.serve_batch(batch, context);
      core_->record(outcomes, ticket);
      return outcomes;
    }
    return serve_some(batch, context);
  }

  void submit(Rows<In> rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    const Ticket ticket = core_->look();
    if (ticket.closed() && all_live(context)) [[likely]] {
      return frame.make<Call>(*this, ticket, std::move(done)).ask(std::move(rows), context, frame);
    }
    Chosen chosen = choose(context, rows.size());
    if (chosen.rows.empty()) return done(none(std::move(chosen)));
    Call& call = frame.make<Call>(*this, chosen.ticket, std::move(done));
    if (chosen.refused.empty()) return call.ask(std::move(rows), context, frame);
    call.refused = std::move(chosen.refused);
    const BatchContext& some = call.some.emplace(context, chosen.rows).view();
    call.ask(std::move(rows).select(chosen.rows), some, frame);
  }

 private:
  using Ticket = BreakerCore::Ticket;

  /// A request that the child answers later.
  struct Call {
    Call(const BreakerNode& breaker, Ticket told, BatchCompletion<Out>&& owed)
        : node(breaker), ticket(told), done(std::move(owed)) {}

    void ask(Rows<In>&& rows, const BatchContext& context, Frame& frame) {
      const std::size_t n = rows.size();
      node.child_.submit_batch(
          std::move(rows), context, frame,
          BatchCompletion<Out>(
              n, [this](Outcomes<Out>&& outcomes) { answer(std::move(outcomes)); },
              NoExceptions()));
    }
    void answer(Outcomes<Out>&& outcomes) {
      node.core_->record(outcomes, ticket);
      Outcomes<Out> all = with_earlier(std::move(refused), std::move(outcomes));
      BatchCompletion<Out> owed = std::move(done);
      this->~Call();
      owed(std::move(all));
    }

    const BreakerNode& node;
    Ticket ticket;
    BatchCompletion<Out> done;
    Casualties refused;
    std::optional<ContextSelection> some;
  };

  /// Which rows of a batch go through, and what the others answer.
  struct Chosen {
    Ticket ticket;
    std::vector<RowIndex> rows;
    Casualties refused;
  };

  /// Rows whose own request is over would say nothing of the servable.
  static bool all_live(const BatchContext& context) {
    for (const RequestRun& run : context.runs()) {
      if (run.context->live() != Status::ok) return false;
    }
    return true;
  }

  Chosen choose(const BatchContext& context, std::size_t rows) const {
    Casualties expired = expired_rows(context);
    const BreakerCore::Admission admission = core_->admit(rows - expired.size());
    Chosen chosen{admission.ticket, {}, {}};
    const Error refusal(Status::unavailable, text({name_, ": ", admission.why}));
    auto over = expired.mutable_span();
    for (std::size_t row = 0; row < rows; ++row) {
      if (!over.empty() && over.front().row == row) {
        chosen.refused.append(row, std::move(over.front().error));
        over = over.subspan(1);
      } else if (chosen.rows.size() < admission.rows) {
        chosen.rows.push_back(static_cast<RowIndex>(row));
      } else {
        chosen.refused.append(row, refusal);
      }
    }
    return chosen;
  }

  static Outcomes<Out> none(Chosen&& chosen) {
    return Outcomes<Out>(Rows<Out>(), std::move(chosen.refused));
  }

  [[gnu::noinline]] Outcomes<Out> serve_some(const Batch<In>& batch,
                                             const BatchContext& context) const {
    Chosen chosen = choose(context, batch.size());
    if (chosen.rows.empty()) return none(std::move(chosen));
    std::vector<RowIndex> places;
    places.reserve(chosen.rows.size());
    for (RowIndex row : chosen.rows) places.push_back(static_cast<RowIndex>(batch.place(row)));
    const ContextSelection some(context, chosen.rows);
    Outcomes<Out> outcomes = child_.serve_batch(batch.at_places(places), some.view());
    core_->record(outcomes, chosen.ticket);
    return with_earlier(std::move(chosen.refused), std::move(outcomes));
  }

  std::string name_;
  Servable<In, Out> child_;
  std::shared_ptr<BreakerCore> core_;
};

}  // namespace detail

/// The same servable, left alone for a while when too many of its latest rows failed: rows then
/// answer `unavailable` at once, and after `options.open_for` a few try whether it is well again.
///
/// What counts is how rows end, whatever requests they are of. Rows whose own deadline has passed,
/// or that were stopped, do not reach the servable and do not count. `SetBreakerMode` holds it open
/// or closed, `BreakerStatistics` says how it is.
///
/// Errors   unavailable: open, with since when and why; invalid_argument (`check`): options out of
///          bounds
/// Threads  thread-safe
/// Cost     closed and no row fails: an atomic read, an atomic addition; else a lock
/// Example  fallback({breaker(clock, remote), local})
template <class In, class Out>
Servable<In, Out> breaker(Clock clock, Servable<In, Out> servable, BreakerOptions options = {}) {
  std::string name = "breaker(" + servable.name() + ")";
  if (Result<void> fits = detail::check_breaker(options); !fits.has_value()) {
    return Servable<In, Out>::broken(std::move(name), std::move(fits).error());
  }
  using Node = detail::BreakerNode<In, Out>;
  return Servable<In, Out>::of_node(name,
                                    Node(name, std::move(servable), options, std::move(clock)));
}

/// The same, on the executor's clock.
template <class In, class Out>
Servable<In, Out> breaker(const Executor& executor, Servable<In, Out> servable,
                          BreakerOptions options = {}) {
  return breaker(executor.now().clock, std::move(servable), options);
}

}  // namespace galley::inline v1
