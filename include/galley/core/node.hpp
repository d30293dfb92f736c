// Node: what stands behind a servable, and the interface every combinator is written against.
#pragma once

#include <galley/core/batch.hpp>
#include <galley/core/completion.hpp>
#include <galley/core/context.hpp>
#include <galley/core/executor.hpp>
#include <galley/core/frame.hpp>
#include <galley/core/function_ref.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/owned_rows.hpp>
#include <galley/core/result.hpp>
#include <galley/core/traits.hpp>
#include <galley/core/type_name.hpp>
#include <galley/core/wait_plan.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1 {

class Pins;
struct NodeHeader;
struct Signature;

/// What a servable says of itself: for people, for checks and for drawing graphs.
struct Description {
  std::string kind;    ///< What it is: "map", "pipeline", "torch_script".
  std::string name;    ///< What it is called.
  std::string input;   ///< The row type it takes.
  std::string output;  ///< The row type it gives.
  std::vector<std::pair<std::string, std::string>> options;
  /// Names, dtypes and shapes, where rows are tensors; else null (<galley/core/signature.hpp>).
  std::shared_ptr<const Signature> signature;
  NodeTraits traits;
  std::vector<Description> children;
};

/// Where `prepare` does its work: on every worker of an executor, or on the calling thread.
class PrepareScope {
 public:
  /// On the calling thread.
  PrepareScope() = default;
  /// On every worker of `executor`.
  explicit PrepareScope(Executor executor) : executor_(std::move(executor)) {}

  /// Runs `work` on each of the threads that will serve, and returns the first error.
  Result<void> each_worker(FunctionRef<Result<void>()> work) const {
    if (!executor_.has_value()) return work();
    std::mutex mutex;
    Result<void> first;
    GALLEY_TRY(executor_->each_worker([&](Worker&) {
      Result<void> result = work();
      const std::lock_guard lock(mutex);
      if (first.has_value()) first = std::move(result);
    }));
    return first;
  }

 private:
  std::optional<Executor> executor_;
};

/// A typed question or order for one node, found by its path: statistics, new options, flush,
/// drain.
///
/// A node looks for the types it knows with `as`; others it leaves.
class ControlRequest {
 public:
  template <class R>
  explicit ControlRequest(R& request) noexcept
      : type_(type_id<R>()), type_name_(galley::type_name<R>()), request_(&request) {}

  /// The request, when it is an R; else null.
  template <class R>
  R* as() const noexcept {
    return type_ == type_id<R>() ? static_cast<R*>(request_) : nullptr;
  }
  std::string_view type_name() const noexcept { return type_name_; }

 private:
  const void* type_;
  std::string_view type_name_;
  void* request_;
};

/// What a node can do that needs no row type.
struct NodeTable {
  Description (*describe)(const NodeHeader&);
  Result<void> (*prepare)(const NodeHeader&, const PrepareScope&);
  Result<void> (*control)(const NodeHeader&, ControlRequest&);
  void (*pin)(const NodeHeader&, Pins&);
  void (*plan_wait)(const NodeHeader&, WaitPlan&);
  void (*each_child)(const NodeHeader&, FunctionRef<void(const NodeHeader&)>);
};

/// The part of a node that needs no row type. Immutable once built, but for the frame pool.
struct NodeHeader : std::enable_shared_from_this<NodeHeader> {
  NodeHeader(const NodeTable& node_table, const char* node_kind, std::string node_name,
             NodeTraits node_traits, std::size_t node_frame_bytes, std::size_t root_bytes)
      : table(&node_table),
        kind(node_kind),
        name(std::move(node_name)),
        traits(node_traits),
        frame_bytes(node_frame_bytes),
        frames(node_frame_bytes + root_bytes) {}

  const NodeTable* table;
  std::string_view kind;
  std::string name;
  NodeTraits traits;
  /// What this node and all beneath take from a request's frame.
  std::size_t frame_bytes;
  /// Why the composition is impossible, if it is.
  std::optional<Error> error;
  /// Frames for requests that enter the graph here.
  mutable FramePool frames;
};

/// What a node can do with rows.
template <class In, class Out>
struct ServeTable {
  NodeTable node;
  Outcomes<Out> (*serve)(const NodeHeader&, const Batch<In>&, const BatchContext&);
  void (*submit)(const NodeHeader&, Rows<In>&&, const BatchContext&, Frame&, BatchCompletion<Out>);
};

/// What a combinator's author writes: a struct with these members, all const, callable from any
/// thread.
///
/// 1. `serve(batch, context)` answers every row of the batch, in order; or `serve(node, batch,
///    context)` for one that needs its own header, as to wait (`serve_by_waiting`).
/// 2. `traits()`.
/// 3. Where `traits().inline_only` can be false: `submit(rows, context, frame, done)`, which never
///    waits, and `frame_bytes()`, what it takes from the frame (children included). What `context`
///    views stays valid until `done` has been called; a node that keeps it keeps a copy.
/// 4. `kind`, a static string. As needed: `describe(Description&)`; `prepare(scope)`;
///    `control(request)`; `pin(pins)`; where it has an executor, `plan_wait(plan)`;
///    `each_child(f)`, which calls f(const NodeHeader&) for each child in order. Without them the
///    node asks its children.
template <class N, class In, class Out>
concept NodeImpl =
    requires(const N& node) {
      { node.traits() } -> std::same_as<NodeTraits>;
    } &&
    (
        requires(const N& node, const Batch<In>& batch, const BatchContext& context) {
          { node.serve(batch, context) } -> std::same_as<Outcomes<Out>>;
        } ||
        requires(const N& node, const NodeHeader& header, const Batch<In>& batch,
                 const BatchContext& context) {
          { node.serve(header, batch, context) } -> std::same_as<Outcomes<Out>>;
        });

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

template <class N, class In, class Out>
concept SubmitsToo = requires(const N& node, Rows<In> rows, const BatchContext& context,
                              Frame& frame, BatchCompletion<Out> done) {
  node.submit(std::move(rows), context, frame, std::move(done));
  { node.frame_bytes() } -> std::same_as<std::size_t>;
};

/// The state of a blocking caller: shared by the caller and the completion, the last destroys it.
template <class Out>
struct WaitState {
  Event answered{Event::Kept::by_setting};  // until it lets go of its side
  std::optional<Outcomes<Out>> outcomes;
  FrameRef frame;  // kept until both sides are done
  std::atomic<int> sides{2};

  // acq_rel: the last side sees what the other wrote before it let go.
  void release() noexcept {
    if (sides.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    const FrameRef keep = std::move(frame);
    this->~WaitState();
  }
};

/// The state of a submitted request at the root: who is owed the answer.
template <class Answer>
struct RootState {
  RootState(FrameRef memory, Answer owed) : frame(std::move(memory)), done(std::move(owed)) {}
  FrameRef frame;
  Answer done;
};

/// What a request that enters at a node takes from its frame beside the nodes' own states.
template <class Out>
constexpr std::size_t root_bytes() noexcept {
  constexpr std::size_t wait = Frame::bytes_for<WaitState<Out>>();
  constexpr std::size_t root = Frame::bytes_for<RootState<BatchCompletion<Out>>>();
  return wait > root ? wait : root;
}

template <class N>
struct NodeBox : NodeHeader {
  template <class... Args>
  explicit NodeBox(const NodeTable& node_table, std::string node_name, std::size_t frame_size,
                   std::size_t root_size, N node)
      : NodeHeader(node_table, N::kind, std::move(node_name), node.traits(), frame_size, root_size),
        impl(std::move(node)) {}
  N impl;
};

template <class N>
const N& impl_of(const NodeHeader& node) noexcept {
  return static_cast<const NodeBox<N>&>(node).impl;
}

template <class N>
void visit_children(const NodeHeader& node, FunctionRef<void(const NodeHeader&)> visit) {
  if constexpr (requires(const N& n) { n.each_child(visit); }) impl_of<N>(node).each_child(visit);
}

template <class N, class In, class Out>
Description describe_node(const NodeHeader& node) {
  Description d;
  d.kind = node.kind;
  d.name = node.name;
  d.input = galley::type_name<In>();
  d.output = galley::type_name<Out>();
  d.traits = node.traits;
  visit_children<N>(
      node, [&d](const NodeHeader& child) { d.children.push_back(child.table->describe(child)); });
  if constexpr (requires(const N& n) { n.describe(d); }) impl_of<N>(node).describe(d);
  return d;
}

template <class N>
Result<void> prepare_node(const NodeHeader& node, const PrepareScope& scope) {
  if constexpr (requires(const N& n) { n.prepare(scope); }) {
    return impl_of<N>(node).prepare(scope);
  } else {
    Result<void> first;
    visit_children<N>(node, [&](const NodeHeader& child) {
      if (first.has_value()) first = child.table->prepare(child, scope);
    });
    return first;
  }
}

template <class N>
Result<void> control_node(const NodeHeader& node, ControlRequest& request) {
  if constexpr (requires(const N& n) { n.control(request); }) {
    return impl_of<N>(node).control(request);
  } else {
    return Error(Status::unimplemented, "\"" + node.name + "\" does not know the request " +
                                            std::string(request.type_name()));
  }
}

template <class N>
void pin_node(const NodeHeader& node, Pins& pins) {
  if constexpr (requires(const N& n) { n.pin(pins); }) {
    impl_of<N>(node).pin(pins);
  } else {
    visit_children<N>(node, [&](const NodeHeader& c) { c.table->pin(c, pins); });
  }
}

template <class N>
void plan_node_wait(const NodeHeader& node, WaitPlan& plan) {
  if constexpr (requires(const N& n) { n.plan_wait(plan); }) {
    impl_of<N>(node).plan_wait(plan);
  } else {
    visit_children<N>(node, [&](const NodeHeader& c) { c.table->plan_wait(c, plan); });
  }
}

template <class N, class In, class Out>
Outcomes<Out> serve_node(const NodeHeader& node, const Batch<In>& batch,
                         const BatchContext& context) {
  if constexpr (requires { impl_of<N>(node).serve(node, batch, context); }) {
    return impl_of<N>(node).serve(node, batch, context);
  } else {
    return impl_of<N>(node).serve(batch, context);
  }
}

template <class N, class In, class Out>
void submit_node(const NodeHeader& node, Rows<In>&& rows, const BatchContext& context, Frame& frame,
                 BatchCompletion<Out> done) {
  if constexpr (SubmitsToo<N, In, Out>) {
    if (!node.traits.inline_only) {
      return impl_of<N>(node).submit(std::move(rows), context, frame, std::move(done));
    }
  }
  done(serve_node<N, In, Out>(node, Batch<In>::last_use(rows), context));
}

template <class N, class In, class Out>
inline constexpr ServeTable<In, Out> serve_table{.node = {.describe = describe_node<N, In, Out>,
                                                          .prepare = prepare_node<N>,
                                                          .control = control_node<N>,
                                                          .pin = pin_node<N>,
                                                          .plan_wait = plan_node_wait<N>,
                                                          .each_child = visit_children<N>},
                                                 .serve = serve_node<N, In, Out>,
                                                 .submit = submit_node<N, In, Out>};

/// The error of the node itself or of the first node beneath that has one, with its path.
inline Result<void> check_node(const NodeHeader& node) {
  if (node.error.has_value()) return within(node.name, *node.error);
  Result<void> first;
  node.table->each_child(node, [&](const NodeHeader& child) {
    if (!first.has_value()) return;
    first = check_node(child);
    if (!first.has_value()) first = within(node.name, first.error());
  });
  return first;
}

/// Calls `visit` with the node at `path`, names joined by '/', beneath `node`; empty names the node
/// itself. False when there is none.
inline bool visit_node(const NodeHeader& node, std::string_view path,
                       FunctionRef<void(const NodeHeader&)> visit) {
  if (path.empty()) {
    visit(node);
    return true;
  }
  const std::size_t slash = path.find('/');
  const std::string_view rest = slash == path.npos ? std::string_view() : path.substr(slash + 1);
  bool found = false;
  node.table->each_child(node, [&](const NodeHeader& child) {
    if (!found && child.name == path.substr(0, slash)) found = visit_node(child, rest, visit);
  });
  return found;
}

}  // namespace detail

/// Answers a batch by submitting it and blocking in `wait`: how a node that answers later serves
/// now.
///
/// `wait(Event&, const Instant&)` returns a `WaitEnd`. The rows are owned from here on, copied
/// unless this is their last use, because the answer may come (deadline) before the node is done
/// with them; lent memory stays on this thread.
template <class In, class Out, class Mode = detail::ExceptionMode, class Submit, class Wait>
Outcomes<Out> serve_by_waiting(const NodeHeader& node, const Batch<In>& batch,
                               const BatchContext& context, Submit&& submit, Wait&& wait) {
  using State = detail::WaitState<Out>;
  const auto failed = [&](Status status, const char* why) {
    return Outcomes<Out>::failed(batch.size(), Error(status, node.name + ": " + why));
  };
  Result<Rows<In>> rows =
      Mode::template call<Rows<In>>([&] { return own_rows(batch.to_rows()); });  // copies may throw
  if (!rows.has_value())
    return Outcomes<Out>::failed(batch.size(), within(node.name, rows.error()));
  FrameRef frame = node.frames.take();
  if (!frame) return failed(Status::resource_exhausted, "all request frames are in use");
  Frame& memory = *frame;
  memory.graph = node.shared_from_this();
  const Result<void> kept = Mode::template call<void>([&]() -> Result<void> {
    memory.context.assign(context);
    return {};
  });
  if (!kept.has_value())
    return Outcomes<Out>::failed(batch.size(), within(node.name, kept.error()));
  State& state = memory.template make<State>();
  state.frame = std::move(frame);
  submit(*std::move(rows), memory.context.view(), memory,
         BatchCompletion<Out>(
             batch.size(),
             [&state](Outcomes<Out> outcomes) {
               state.outcomes.emplace(std::move(outcomes));
               state.answered.set();
               state.release();
             },
             detail::NoExceptions()));
  Instant deadline = context.context().deadline;
  for (const RequestRun& run : context.runs()) deadline = std::max(deadline, run.context->deadline);
  const WaitEnd end = wait(state.answered, deadline);
  Outcomes<Out> outcomes;
  if (end == WaitEnd::done) {
    outcomes = std::move(*state.outcomes);
  } else if (end == WaitEnd::late) {
    outcomes = failed(Status::deadline_exceeded, "no answer in time");
  } else {
    outcomes = failed(Status::failed_precondition,
                      "every runner waits beneath this call, so that nobody is left to answer it");
  }
  state.release();
  return outcomes;
}

}  // namespace galley::inline v1
