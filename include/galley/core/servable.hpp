// Servable: a named, immutable, shared step from rows to outcomes; what everyone but its author
// holds.
#pragma once

#include <galley/core/author.hpp>
#include <galley/core/deduce.hpp>
#include <galley/core/leaf.hpp>
#include <galley/core/node.hpp>
#include <galley/core/traced_call.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

/// What may be said about a call beside its context.
struct CallOptions {
  /// One key per row, or none. Borrowed until the call returns.
  std::span<const Key> keys = {};
  /// Memory for the outcomes and what lies between, borrowed until they are destroyed; null is the
  /// heap. Used by `serve` and `serve_rows` only.
  Workspace* workspace = nullptr;
};

/// A step of a serving graph, from rows of In to outcomes of Out: a model, a function, a whole
/// pipeline.
///
/// Made from a name and what an author wrote (`ServableFunction`); In and Out are found from its
/// signature. Everything composed of servables is one again. A handle: copies share the node.
///
/// Errors   whatever the graph answers; a graph that cannot be (see `check`) answers every row with
///          why
/// Threads  thread-safe
/// Cost     a call through the handle costs a few nanoseconds and allocates nothing for one row
/// Example  examples/readme.cpp
template <class In, class Out>
class Servable {
 public:
  using input_type = In;
  using output_type = Out;

  /// A servable of the author's function or struct `f`.
  template <class F, class Mode = detail::ExceptionMode>
    requires(ServableFunction<std::decay_t<F>, In, Out>)
  Servable(std::string name, F&& f, NodeTraits traits = {}, Mode = {})
      : Servable(make_leaf<std::decay_t<F>, Mode>(std::move(name), std::forward<F>(f), traits)) {}

  /// A servable of a combinator's node.
  template <NodeImpl<In, Out> N>
  static Servable of_node(std::string name, N node) {
    std::size_t bytes = 0;
    if constexpr (detail::SubmitsToo<N, In, Out>) bytes = node.frame_bytes();
    using Box = detail::NodeBox<N>;
    constexpr const ServeTable<In, Out>* table = &detail::serve_table<N, In, Out>;
    auto box = std::make_shared<Box>(table->node, std::move(name), bytes, detail::root_bytes<Out>(),
                                     std::move(node));
    GALLEY_ASSERT((detail::SubmitsToo<N, In, Out>) || box->traits.inline_only);
    return Servable(table, std::move(box));
  }

  /// A composition that cannot be: `check` says `error`, and every row is answered with it.
  static Servable broken(std::string name, Error error);

  // ---- calling ----

  /// Answers one row, now. Blocks only where the graph waits for another thread.
  Result<Out> serve(const In& row, const Context& context = {}, CallOptions options = {}) const
    requires(std::copy_constructible<In>)
  {
    return serve_one(Batch<In>::one(row), context, options);
  }
  Result<Out> serve(In&& row, const Context& context = {}, CallOptions options = {}) const {
    return serve_one(Batch<In>::last_use(row), context, options);
  }

  /// Answers a batch, now: one outcome per row, in order. The rows are borrowed until it returns.
  Outcomes<Out> serve_rows(const Rows<In>& rows, const Context& context = {},
                           CallOptions options = {}) const
    requires(std::copy_constructible<In>)
  {
    return serve_many(Batch<In>(rows), context, options);
  }
  Outcomes<Out> serve_rows(Rows<In>&& rows, const Context& context = {},
                           CallOptions options = {}) const {
    return serve_many(Batch<In>::last_use(rows), context, options);
  }
  Outcomes<Out> serve_rows(std::span<const In> rows, const Context& context = {},
                           CallOptions options = {}) const
    requires(std::copy_constructible<In>)
  {
    return serve_many(Batch<In>(rows), context, options);
  }

  /// Answers one row, later; never waits. A graph that waits for nobody answers before this
  /// returns; for any other the row is owned from here on, and tensors over borrowed memory are
  /// copied.
  ///
  /// Answers `resource_exhausted` when too many requests are in flight.
  void submit(In row, const Context& context, Completion<Out> done,
              CallOptions options = {}) const {
    submit_owned(Rows<In>::single(std::move(row)), context,
                 BatchCompletion<Out>(1, OnlyRow{std::move(done)}, detail::NoExceptions()),
                 options);
  }

  /// Answers a batch, later; never waits.
  void submit_rows(Rows<In> rows, const Context& context, BatchCompletion<Out> done,
                   CallOptions options = {}) const {
    submit_owned(std::move(rows), context, std::move(done), options);
  }

  // ---- for combinators ----

  /// Answers a batch with its contexts, now.
  Outcomes<Out> serve_batch(const Batch<In>& batch, const BatchContext& context) const {
    if (context.traced() != nullptr) [[unlikely]]
      return serve_traced(batch, context);
    return table_->serve(*node_, batch, context);
  }

  /// Answers a batch within a request in flight: `context` is valid as long as `frame`.
  void submit_batch(Rows<In>&& rows, const BatchContext& context, Frame& frame,
                    BatchCompletion<Out> done) const {
    if (context.traced() != nullptr) [[unlikely]]
      return submit_traced(std::move(rows), context, frame, std::move(done));
    table_->submit(*node_, std::move(rows), context, frame, std::move(done));
  }

  /// Answers a batch in a frame of its own, which keeps the graph and copies the context: for a
  /// combinator that calls a child any number of times, or may answer before the child does. The
  /// rows are owned.
  ///
  /// Answers `resource_exhausted` when too many requests are in flight here.
  void submit_apart(Rows<In>&& rows, const BatchContext& context,
                    BatchCompletion<Out>&& done) const;

  const NodeHeader& node() const noexcept { return *node_; }
  std::shared_ptr<const NodeHeader> shared_node() const noexcept { return node_; }

  // ---- about it ----

  const std::string& name() const noexcept { return node_->name; }
  const NodeTraits& traits() const noexcept { return node_->traits; }

  /// Ok, or why this composition is impossible, with the path to the node that says so.
  Result<void> check() const { return detail::check_node(*node_); }

  /// Does everything slow before the first call, on the threads that will serve: every worker of
  /// `executor`, or this thread. Parts behind an executor of their own are prepared there.
  Result<void> prepare(const Executor& executor) const { return prepare(PrepareScope(executor)); }
  Result<void> prepare(const PrepareScope& scope = {}) const {
    GALLEY_TRY(check());
    return node_->table->prepare(*node_, scope);
  }

  /// The node and all beneath it.
  Description describe() const { return node_->table->describe(*node_); }

  /// Asks the node at `path` (names joined by '/', empty for this one) something of a type it
  /// knows.
  ///
  /// Errors  `not_found` for the path, `unimplemented` for the type
  template <class R>
  Result<void> control(std::string_view path, R& request) const {
    ControlRequest erased(request);
    Result<void> answer =
        Error(Status::not_found, "\"" + name() + "\" has no node at \"" + std::string(path) + "\"");
    detail::visit_node(node(), path,
                       [&](const NodeHeader& at) { answer = at.table->control(at, erased); });
    return answer;
  }

 private:
  struct OnlyRow {
    Completion<Out> done;
    void operator()(Outcomes<Out>&& outcomes) { done(std::move(outcomes).only()); }
  };

  Servable(const ServeTable<In, Out>* table, std::shared_ptr<const NodeHeader> node)
      : table_(table), node_(std::move(node)) {}

  template <class F, class Mode>
  static Servable make_leaf(std::string name, F f, NodeTraits traits) {
    using Node = detail::Leaf<F, In, Out, Mode>;
    return of_node(name, Node{detail::AuthorBase<F>{std::move(f), traits}, name});
  }

  Result<Out> serve_one(const Batch<In>& batch, const Context& context,
                        const CallOptions& options) const {
    return serve_many(batch, context, options).only();
  }

  Outcomes<Out> serve_many(const Batch<In>& batch, const Context& context,
                           const CallOptions& options) const {
    if (!options.keys.empty() && options.keys.size() != batch.size()) [[unlikely]] {
      return Outcomes<Out>::failed(batch.size(), wrong_keys(batch.size(), options));
    }
    if (batch.empty()) return Outcomes<Out>();
    const BatchContext view(context, batch.size(), options.keys, options.workspace);
    if (context.trace != nullptr) [[unlikely]]
      return serve_root_traced(batch, view);
    return serve_batch(batch, view);
  }

  void submit_owned(Rows<In>&& rows, const Context& context, BatchCompletion<Out>&& done,
                    const CallOptions& options) const;
  void submit_root(Rows<In>&& rows, const BatchContext& context, BatchCompletion<Out>&& done) const;
  void start_apart(Rows<In>&& rows, const BatchContext& context, BatchCompletion<Out>&& done) const;

  // With the spans of rows that are traced. Out of line: the others' way stays short.
  Outcomes<Out> serve_root_traced(const Batch<In>& batch, const BatchContext& context) const;
  Outcomes<Out> serve_traced(const Batch<In>& batch, const BatchContext& context) const;
  void submit_traced(Rows<In>&& rows, const BatchContext& context, Frame& frame,
                     BatchCompletion<Out>&& done) const;
  void submit_apart_traced(Rows<In>&& rows, const BatchContext& context,
                           BatchCompletion<Out>&& done) const;

  Error wrong_keys(std::size_t rows, const CallOptions& options) const {
    return Error(Status::invalid_argument, name() + ": got " + std::to_string(options.keys.size()) +
                                               " keys for " + std::to_string(rows) + " rows");
  }

  const ServeTable<In, Out>* table_;
  std::shared_ptr<const NodeHeader> node_;
};

template <class F>
  requires(DeducibleFunction<std::decay_t<F>>)
Servable(std::string, F&&) -> Servable<InOf<std::decay_t<F>>, OutOf<std::decay_t<F>>>;
template <class F>
  requires(DeducibleFunction<std::decay_t<F>>)
Servable(std::string, F&&, NodeTraits) -> Servable<InOf<std::decay_t<F>>, OutOf<std::decay_t<F>>>;

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

/// A composition that cannot be.
template <class In, class Out>
struct BrokenNode {
  static constexpr const char* kind = "broken";
  Error error;
  NodeTraits traits() const { return {}; }
  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext&) const {
    return Outcomes<Out>::failed(batch.size(), error);
  }
  Result<void> prepare(const PrepareScope&) const { return error; }
};

template <class T>
inline constexpr bool is_servable = false;
template <class In, class Out>
inline constexpr bool is_servable<Servable<In, Out>> = true;

}  // namespace detail

/// Any servable.
template <class S>
concept AnyServable = detail::is_servable<std::remove_cvref_t<S>>;

template <class In, class Out>
Servable<In, Out> Servable<In, Out>::broken(std::string name, Error error) {
  using Box = detail::NodeBox<detail::BrokenNode<In, Out>>;
  constexpr const ServeTable<In, Out>* table =
      &detail::serve_table<detail::BrokenNode<In, Out>, In, Out>;
  auto box = std::make_shared<Box>(table->node, std::move(name), std::size_t{0},
                                   detail::root_bytes<Out>(), detail::BrokenNode<In, Out>{error});
  box->error = std::move(error);
  return Servable(table, std::move(box));
}

template <class In, class Out>
void Servable<In, Out>::submit_owned(Rows<In>&& rows, const Context& context,
                                     BatchCompletion<Out>&& done,
                                     const CallOptions& options) const {
  const std::size_t n = rows.size();
  if (!options.keys.empty() && options.keys.size() != n) {
    return done.fail(wrong_keys(n, options));
  }
  if (n == 0) return done(Outcomes<Out>());
  const BatchContext view(context, n, options.keys);
  if (context.trace != nullptr) [[unlikely]]
    return submit_root(std::move(rows), view.traced_as(detail::traced_root(view)), std::move(done));
  submit_root(std::move(rows), view, std::move(done));
}

template <class In, class Out>
void Servable<In, Out>::submit_root(Rows<In>&& rows, const BatchContext& context,
                                    BatchCompletion<Out>&& done) const {
  if (node_->traits.inline_only) return done(serve_batch(Batch<In>::last_use(rows), context));
  if (const Result<void> owned = make_owned(rows); !owned.has_value()) {
    return done.fail(within(name(), owned.error()));
  }
  submit_apart(std::move(rows), context, std::move(done));
}

template <class In, class Out>
void Servable<In, Out>::submit_apart(Rows<In>&& rows, const BatchContext& context,
                                     BatchCompletion<Out>&& done) const {
  if (node_->traits.inline_only) return done(serve_batch(Batch<In>::last_use(rows), context));
  if (context.traced() != nullptr) [[unlikely]]
    return submit_apart_traced(std::move(rows), context, std::move(done));
  start_apart(std::move(rows), context, std::move(done));
}

template <class In, class Out>
void Servable<In, Out>::start_apart(Rows<In>&& rows, const BatchContext& context,
                                    BatchCompletion<Out>&& done) const {
  FrameRef taken = node_->frames.take();
  if (!taken) {
    return done.fail(
        Error(Status::resource_exhausted, name() + ": " + std::to_string(node_->frames.bound()) +
                                              " requests are in flight, which is the bound"));
  }
  Frame& frame = *taken;
  frame.graph = node_;
  frame.context.assign(context);
  using Root = detail::RootState<BatchCompletion<Out>>;
  Root& root = frame.template make<Root>(std::move(taken), std::move(done));
  const FrameRef keep(frame);  // what runs inside this call may look at the context to its end
  const std::size_t n = rows.size();
  table_->submit(*node_, std::move(rows), frame.context.view(), frame,
                 BatchCompletion<Out>(
                     n,
                     [&root](Outcomes<Out>&& outcomes) {
                       BatchCompletion<Out> owed = std::move(root.done);
                       FrameRef held = std::move(root.frame);
                       root.~Root();
                       held = FrameRef();
                       owed(std::move(outcomes));
                     },
                     detail::NoExceptions()));
}

template <class In, class Out>
[[gnu::noinline]] Outcomes<Out> Servable<In, Out>::serve_root_traced(
    const Batch<In>& batch, const BatchContext& context) const {
  return serve_batch(batch, context.traced_as(detail::traced_root(context)));
}

template <class In, class Out>
[[gnu::noinline]] Outcomes<Out> Servable<In, Out>::serve_traced(const Batch<In>& batch,
                                                                const BatchContext& context) const {
  detail::TracedCall call(*node_, context, SpanCall::serve);
  Outcomes<Out> outcomes = table_->serve(*node_, batch, call.context());
  call.close(outcomes.casualties());
  return outcomes;
}

template <class In, class Out>
[[gnu::noinline]] void Servable<In, Out>::submit_traced(Rows<In>&& rows,
                                                        const BatchContext& context, Frame& frame,
                                                        BatchCompletion<Out>&& done) const {
  if (node_->traits.inline_only) return done(serve_traced(Batch<In>::last_use(rows), context));
  using Call = detail::TracedSubmit<Out>;
  const auto call = std::make_shared<Call>(*node_, context, std::move(done));
  const std::size_t n = rows.size();
  table_->submit(*node_, std::move(rows), call->context(), frame, Call::completion(call, n));
}

template <class In, class Out>
[[gnu::noinline]] void Servable<In, Out>::submit_apart_traced(Rows<In>&& rows,
                                                              const BatchContext& context,
                                                              BatchCompletion<Out>&& done) const {
  using Call = detail::TracedSubmit<Out>;
  const auto call = std::make_shared<Call>(*node_, context, std::move(done));
  const std::size_t n = rows.size();
  start_apart(std::move(rows), call->context(), Call::completion(call, n));
}

}  // namespace galley::inline v1
