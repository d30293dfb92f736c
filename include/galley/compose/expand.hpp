// expand: each row becomes several items, which are answered in one batch, and one row again.
#pragma once

#include <galley/compose/expand/items.hpp>
#include <galley/compose/expand/run.hpp>
#include <galley/core/deduce.hpp>
#include <galley/core/servable.hpp>

#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

namespace detail {

template <class In, class Mid, class Found, class Out, class Split, class Collapse, class Mode>
class ExpandNode {
 public:
  static constexpr const char* kind = "expand";
  using Step = ExpandStep<In, Mid, Found, Out, Split, Collapse, Mode>;
  using Run = ExpandRun<Step>;

  ExpandNode(Step step, Servable<Mid, Found> inner)
      : step_(std::move(step)), inner_(std::move(inner)) {}

  NodeTraits traits() const { return inner_.traits(); }
  std::size_t frame_bytes() const {
    if (traits().inline_only) return 0;
    return Frame::bytes_for<Join>() + inner_.node().frame_bytes;
  }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const { visit(inner_.node()); }
  void describe(Description& description) const {
    description.options.emplace_back("max_items", std::to_string(step_.options.max_items));
    description.options.emplace_back("max_batch", std::to_string(step_.options.max_batch));
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    Run run(step_, inner_.node(), batch, context);
    while (run.split()) {
      const ContextSelection asked(run.context(), run.rows());
      run.collapse(inner_.serve_batch(Batch<Mid>::last_use(run.items()), asked.view()));
    }
    return std::move(run).outcomes();
  }

  void submit(Rows<In> rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    // A stage before may give what it borrows, and collapse looks at the rows again.
    if (const Result<void> owned = make_owned(rows); !owned.has_value()) {
      return done.fail(owned.error());
    }
    frame.make<Join>(*this, std::move(rows), context, frame, std::move(done)).go_on();
  }

 private:
  /// A request whose items are being answered.
  struct Join {
    Join(const ExpandNode& expand, Rows<In> batch, const BatchContext& request, Frame& memory,
         BatchCompletion<Out> owed)
        : node(expand),
          rows(std::move(batch)),
          run(node.step_, node.inner_.node(), Batch<In>(rows), request),
          frame(memory),
          done(std::move(owed)) {}

    /// Asks for batch after batch, until one is answered later or all are.
    void go_on() {
      const FrameRef keep(frame);
      while (run.split()) {
        turns.store(2, std::memory_order_relaxed);
        ask(asked.emplace(run.context(), run.rows()).view());
        if (!is_last()) return;
      }
      BatchCompletion<Out> owed = std::move(done);
      Outcomes<Out> outcomes = std::move(run).outcomes();
      this->~Join();
      owed(std::move(outcomes));
    }

    void ask(const BatchContext& context) {
      BatchCompletion<Found> owed(
          run.items().size(),
          [this](Outcomes<Found> found) {
            run.collapse(std::move(found));
            if (is_last()) go_on();
          },
          NoExceptions());
      if (run.is_all()) {
        node.inner_.submit_batch(std::move(run.items()), context, frame, std::move(owed));
      } else {
        node.inner_.submit_apart(std::move(run.items()), context, std::move(owed));
      }
    }

    /// True for the later of whoever asked and whoever answered, who goes on. acq_rel: it sees what
    /// the other wrote.
    bool is_last() noexcept { return turns.fetch_sub(1, std::memory_order_acq_rel) == 1; }

    const ExpandNode& node;
    const Rows<In> rows;
    Run run;
    Frame& frame;
    BatchCompletion<Out> done;
    std::optional<ContextSelection> asked;
    std::atomic<int> turns{0};
  };

  Step step_;
  Servable<Mid, Found> inner_;
};

inline Result<void> check_expandable(const ExpandOptions& options) {
  const auto refused = [](std::string why) {
    return Error(Status::failed_precondition, std::move(why));
  };
  if (options.max_items == 0) return refused("options.max_items: expected at least 1, got 0");
  if (options.max_batch >= options.max_items) return {};
  return refused("options.max_batch: expected at least max_items, " +
                 std::to_string(options.max_items) + ", got " + std::to_string(options.max_batch));
}

}  // namespace detail

/// Each row split into items, all items of all rows answered by `servable` in one batch, and what
/// was found for a row's items collapsed into its answer: detector, crops, classifier, regroup.
///
/// `split(row)` gives none, one or many items (`SplitsInto`); `collapse(row, found)` is called with
/// the row and what was found for its items, in order, also where there are none (`CollapsesFrom`).
/// Where it takes values (`Rows<Found>`, `Batch<Found>`) a row of which an item failed is answered
/// with that item's error; where it takes `ItemOutcomes<Found>` failed items are its own business.
/// An item goes on with its row's deadline, stop token, priority and key. Rows whose split failed
/// skip the rest. Equal rows must give equal items.
///
/// Errors   invalid_argument: a row gives more than `max_items`; internal: split or collapse threw
/// Cost     one batch of items, and its outcomes; rows are not copied
/// Example  examples/expand.cpp
template <class Split, class Mid, class Found, class Collapse, class Mode = detail::ExceptionMode>
  requires(DeducibleFunction<std::decay_t<Split>>)
auto expand(Split&& split, Servable<Mid, Found> servable, Collapse&& collapse,
            ExpandOptions options = {}, Mode = {}) {
  using In = InOf<std::decay_t<Split>>;
  static_assert(
      SplitsInto<std::decay_t<Split>, In, Mid>,
      "galley::expand needs galley::SplitsInto: a function from a row to the galley::Rows "
      "or std::vector of what the servable takes");
  static_assert(CollapsesFrom<std::decay_t<Collapse>, In, Found>,
                "galley::expand needs galley::CollapsesFrom: a function of a row and the "
                "galley::Rows, galley::Batch or galley::ItemOutcomes of what the servable gives");
  using Answer = detail::CollapseAnswer<std::decay_t<Collapse>, In, Found>;
  using Out = typename detail::WithoutResult<Answer>::type;
  using Node =
      detail::ExpandNode<In, Mid, Found, Out, std::decay_t<Split>, std::decay_t<Collapse>, Mode>;
  std::string name = "expand(" + servable.name() + ")";
  if (Result<void> fits = detail::check_expandable(options); !fits.has_value()) {
    return Servable<In, Out>::broken(std::move(name), std::move(fits).error());
  }
  typename Node::Step step{name, std::forward<Split>(split), std::forward<Collapse>(collapse),
                           options};
  return Servable<In, Out>::of_node(std::move(name), Node(std::move(step), std::move(servable)));
}

}  // namespace galley::inline v1
