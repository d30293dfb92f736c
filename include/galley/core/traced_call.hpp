// What a servable does around the call of a node for rows of traced requests.
#pragma once

#include <galley/core/completion.hpp>
#include <galley/core/context.hpp>
#include <galley/core/node.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/rows.hpp>
#include <galley/core/trace.hpp>
#include <galley/core/traced_rows.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace galley::inline v1::detail {

/// The rows of a traced request that enters a graph, nobody above it.
inline Rows<TracedRows> traced_root(const BatchContext& context) {
  return Rows<TracedRows>::single({.trace = context.context().trace,
                                   .parent = no_span,
                                   .first = 0,
                                   .count = static_cast<RowIndex>(context.rows()),
                                   .number = 0});
}

/// Calls `f` with the rows of each span in turn: those that lie side by side in the list.
template <class F>
void each_asking(std::span<TracedRows> list, F&& f) {
  while (!list.empty()) {
    std::size_t n = 1;
    while (n < list.size() && list[n].is_asked_with(list.front())) ++n;
    f(list.first(n));
    list = list.subspan(n);
  }
}

/// Reads the clocks of traces at one moment: traces of one clock are told one time, so that spans
/// that begin and end together say so.
class Moment {
 public:
  TimePoint of(const Trace& trace) {
    if (clock_ == nullptr || !(*clock_ == trace.clock())) {
      clock_ = &trace.clock();
      at_ = clock_->now();
    }
    return at_;
  }

 private:
  const Clock* clock_ = nullptr;
  TimePoint at_;
};

/// The spans of one call of a node: one in the trace of each request whose rows it is given.
///
/// Threads  thread-compatible
class TracedCall {
 public:
  /// Begins them.
  TracedCall(const NodeHeader& node, const BatchContext& context, SpanCall call);
  TracedCall(const TracedCall&) = delete;
  TracedCall& operator=(const TracedCall&) = delete;
  /// What was not answered was left by an exception.
  ~TracedCall() {
    if (open_) end([](const TracedRows& rows) -> std::size_t { return rows.count; });
  }

  /// What the node is called with: valid as long as this and what the context was a view of.
  const BatchContext& context() const noexcept { return context_; }

  /// Ends them, with the casualties of the whole batch.
  void close(const Casualties& casualties) {
    end([&casualties](const TracedRows& rows) {
      return casualties.before(std::size_t{rows.first} + rows.count) -
             casualties.before(rows.first);
    });
  }

 private:
  template <class Failed>
  void end(Failed&& failed_of) {
    if (!std::exchange(open_, false)) return;
    Moment now;
    each_asking({rows_.data(), rows_.size()}, [&](std::span<TracedRows> asked) {
      std::size_t failed = 0;
      for (const TracedRows& rows : asked) failed += failed_of(rows);
      Trace& trace = *asked.front().trace;
      trace.close(asked.front().parent, failed, now.of(trace));
    });
  }

  Rows<TracedRows> rows_;  // asked for by the spans of this call
  BatchContext context_;
  bool open_ = false;
};

inline TracedCall::TracedCall(const NodeHeader& node, const BatchContext& context, SpanCall call)
    : rows_(*context.traced()), context_(context.traced_as(rows_)) {
  const TracedRows& any = rows_[0];
  constexpr std::string_view flat = "pipeline";  // one in another shows its stages as the other's
  if (node.kind == flat && any.trace->is_of_kind(any.parent, flat)) return;
  open_ = true;
  Moment start;
  const std::size_t batch_rows = context.rows();
  const RequestRun* run = context.runs().data();
  std::size_t run_end = run->rows;
  each_asking({rows_.data(), rows_.size()}, [&](std::span<TracedRows> asked) {
    while (asked.front().first >= run_end) run_end += (++run)->rows;
    Trace& trace = *asked.front().trace;
    const SpanId span = trace.open({.name = node.name,
                                    .kind = node.kind,
                                    .parent = asked.front().parent,
                                    .request_id = run->context->request_id,
                                    .batch_rows = batch_rows,
                                    .call = call,
                                    .at = start.of(trace)},
                                   asked);
    for (TracedRows& rows : asked) rows.parent = span;
  });
}

/// The spans of a call that is answered later, and who is owed the answer. Shared by the node's
/// completion and by the call, inside of which the context may be looked at to the end.
template <class Out>
class TracedSubmit {
 public:
  TracedSubmit(const NodeHeader& node, const BatchContext& context, BatchCompletion<Out>&& done)
      : call_(node, context, SpanCall::submit), done_(std::move(done)) {}

  const BatchContext& context() const noexcept { return call_.context(); }

  /// What the node is to answer.
  static BatchCompletion<Out> completion(std::shared_ptr<TracedSubmit> self, std::size_t rows) {
    return BatchCompletion<Out>(
        rows,
        [self = std::move(self)](Outcomes<Out>&& outcomes) {
          self->call_.close(outcomes.casualties());
          BatchCompletion<Out> owed = std::move(self->done_);
          owed(std::move(outcomes));
        },
        NoExceptions());
  }

 private:
  TracedCall call_;
  BatchCompletion<Out> done_;
};

}  // namespace galley::inline v1::detail
