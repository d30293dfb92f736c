// Pipeline: the rows that survive one stage go on to the next.
#pragma once

#include <galley/core/servable.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

/// `a | b`: rows that failed in `a` skip `b`.
template <class In, class Mid, class Out>
class PipelineNode {
 public:
  static constexpr const char* kind = "pipeline";

  PipelineNode(Servable<In, Mid> a, Servable<Mid, Out> b) : a_(std::move(a)), b_(std::move(b)) {}

  NodeTraits traits() const {
    NodeTraits traits = a_.traits() & b_.traits();
    traits.mixed_shapes = a_.traits().mixed_shapes;  // the rows that come in are the first stage's
    return traits;
  }

  std::size_t frame_bytes() const {
    if (traits().inline_only) return 0;
    return a_.node().frame_bytes + b_.node().frame_bytes + Frame::bytes_for<Joint>();
  }

  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    flatten(a_.node(), visit);
    flatten(b_.node(), visit);
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    Outcomes<Mid> mid = a_.serve_batch(batch, context);
    if (mid.all_ok()) [[likely]] {
      return b_.serve_batch(Batch<Mid>::last_use(mid.survivors()), context);
    }
    return serve_survivors(mid, context);
  }

  void submit(Rows<In> rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    if (a_.traits().inline_only) {
      Outcomes<Mid> mid = a_.serve_batch(Batch<In>::last_use(rows), context);
      if (mid.all_ok()) {
        return b_.submit_batch(std::move(mid).survivors(), context, frame, std::move(done));
      }
      return frame.make<Joint>(*this, context, frame, std::move(done)).go_on(std::move(mid));
    }
    Joint& joint = frame.make<Joint>(*this, context, frame, std::move(done));
    const std::size_t n = rows.size();
    a_.submit_batch(
        std::move(rows), context, frame,
        BatchCompletion<Mid>(
            n, [&joint](Outcomes<Mid> mid) { joint.go_on(std::move(mid)); }, NoExceptions()));
  }

 private:
  [[gnu::noinline]] Outcomes<Out> serve_survivors(Outcomes<Mid>& mid,
                                                  const BatchContext& context) const {
    if (mid.survivors().empty()) return Outcomes<Out>(Rows<Out>(), std::move(mid).casualties());
    const std::vector<RowIndex> alive = survivors_of(mid.size(), mid.casualties());
    const ContextSelection selected(context, alive);
    Outcomes<Out> out = b_.serve_batch(Batch<Mid>::last_use(mid.survivors()), selected.view());
    return with_earlier(std::move(mid).casualties(), std::move(out));
  }

  /// A pipeline of pipelines shows its stages, however it was bracketed.
  static void flatten(const NodeHeader& stage, FunctionRef<void(const NodeHeader&)> visit) {
    stage.kind == kind ? stage.table->each_child(stage, visit) : visit(stage);
  }

  /// A request between the two stages.
  struct Joint {
    Joint(const PipelineNode& node, const BatchContext& request, Frame& memory,
          BatchCompletion<Out> owed)
        : pipeline(node), context(request), frame(memory), done(std::move(owed)) {}

    void go_on(Outcomes<Mid> mid) {
      const FrameRef keep(frame);  // answering may let go of the request's own reference
      if (mid.survivors().empty()) {
        return answer(Outcomes<Out>(Rows<Out>(), std::move(mid).casualties()));
      }
      const std::size_t n = mid.survivors().size();
      if (mid.all_ok() && pipeline.b_.traits().inline_only) {
        return answer(pipeline.b_.serve_batch(Batch<Mid>::last_use(mid.survivors()), context));
      }
      if (!mid.all_ok()) {
        alive.emplace(context, survivors_of(mid.size(), mid.casualties()));
        casualties = std::move(mid).casualties();
      }
      const BatchContext& onward = alive.has_value() ? alive->view() : context;
      // NOLINTNEXTLINE(bugprone-use-after-move): the two parts of it, one after the other
      pipeline.b_.submit_batch(std::move(mid).survivors(), onward, frame,
                               BatchCompletion<Out>(
                                   n,
                                   [this](Outcomes<Out> out) {
                                     answer(with_earlier(std::move(casualties), std::move(out)));
                                   },
                                   NoExceptions()));
    }

    void answer(Outcomes<Out> out) {
      BatchCompletion<Out> owed = std::move(done);
      this->~Joint();
      owed(std::move(out));
    }

    const PipelineNode& pipeline;
    const BatchContext context;
    Frame& frame;
    BatchCompletion<Out> done;
    Casualties casualties;
    std::optional<ContextSelection> alive;
  };

  Servable<In, Mid> a_;
  Servable<Mid, Out> b_;
};

struct NeedsFeedsInto {};

}  // namespace detail

/// True when what A gives is what B takes.
template <class A, class B>
concept FeedsInto = AnyServable<A> && AnyServable<B> &&
                    std::same_as<typename std::remove_cvref_t<A>::output_type,
                                 typename std::remove_cvref_t<B>::input_type>;

/// First `a`, then `b` for the rows that survived. Data flow only.
///
/// Associative: `(a | b) | c` answers as `a | (b | c)`.
template <AnyServable A, AnyServable B>
  requires(FeedsInto<A, B>)
auto operator|(A&& a, B&& b) {
  using In = typename std::remove_cvref_t<A>::input_type;
  using Mid = typename std::remove_cvref_t<A>::output_type;
  using Out = typename std::remove_cvref_t<B>::output_type;
  std::string name = a.name() + " | " + b.name();
  return Servable<In, Out>::of_node(
      std::move(name), detail::PipelineNode<In, Mid, Out>(std::forward<A>(a), std::forward<B>(b)));
}

// Servables that do not fit: deleted under a name that compilers show first.
template <AnyServable A, AnyServable B>
  requires(!FeedsInto<A, B>)
detail::NeedsFeedsInto operator|(A&& a, B&& b) = delete;

/// First `a`, then the per-row or whole-batch function `f`.
template <AnyServable A, class F, class Mode = detail::ExceptionMode>
  requires(!AnyServable<F> &&
           (DeducibleFunction<std::decay_t<F>> ||
            std::invocable<const std::decay_t<F>&, typename std::remove_cvref_t<A>::output_type>))
auto operator|(A&& a, F&& f) {
  using Mid = typename std::remove_cvref_t<A>::output_type;
  using Function = std::decay_t<F>;
  if constexpr (DeducibleFunction<Function>) {
    return std::forward<A>(a) |
           Servable<InOf<Function>, OutOf<Function>>("map", std::forward<F>(f), {}, Mode());
  } else {
    using Answer = std::remove_cvref_t<std::invoke_result_t<const Function&, Mid>>;
    using Out = typename detail::WithoutResult<Answer>::type;
    return std::forward<A>(a) | Servable<Mid, Out>("map", std::forward<F>(f), {}, Mode());
  }
}

}  // namespace galley::inline v1
