// filter: predictions are checked before the caller sees them.
#pragma once

#include <galley/core/owned_rows.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>
#include <galley/policy/check.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// Answered by a filter to `control`.
struct FilterStatistics {
  std::uint64_t rejected = 0;  ///< Predictions that the rule did not let pass.
};

namespace detail {

template <class A, class Out>
inline constexpr bool is_filter_answer =
    CheckAnswer<A> || std::same_as<A, Out> || std::same_as<A, Result<Out>>;

template <class F, class In, class Out>
concept FiltersRows = requires(const F& rule, const In& row, const Out& prediction) {
  requires is_filter_answer<std::remove_cvref_t<decltype(rule(row, prediction))>, Out>;
};
template <class F, class Out>
concept FiltersPredictions = RowCheck<F, Out> || requires(const F& rule, const Out& prediction) {
  requires is_filter_answer<std::remove_cvref_t<decltype(rule(prediction))>, Out>;
};

/// What a rule answered: whether the prediction passes as it is, or another, or why none.
template <class Out, class A>
Result<std::optional<Out>> filtered(A&& answer) {
  using Answer = std::remove_cvref_t<A>;
  if constexpr (std::same_as<Answer, bool> && !std::same_as<Out, bool>) {
    if (answer) return std::optional<Out>();
    return Error(Status::unavailable, "the prediction was rejected");
  } else if constexpr (std::same_as<Answer, Result<void>>) {
    if (answer.has_value()) return std::optional<Out>();
    return std::forward<A>(answer).error();
  } else if constexpr (std::same_as<Answer, Result<Out>>) {
    if (!answer.has_value()) return std::forward<A>(answer).error();
    return std::optional<Out>(*std::forward<A>(answer));
  } else {
    return std::optional<Out>(std::forward<A>(answer));
  }
}

template <class In, class Out, class Rule, class Mode>
class FilterNode {
 public:
  static constexpr const char* kind = "filter";
  static constexpr bool sees_rows = FiltersRows<Rule, In, Out>;

  FilterNode(std::string name, Rule rule, Servable<In, Out> child)
      : name_(std::move(name)),
        rule_(std::move(rule)),
        child_(std::move(child)),
        rejected_(std::make_unique<std::atomic<std::uint64_t>>(0)) {}

  NodeTraits traits() const { return child_.traits(); }
  std::size_t frame_bytes() const {
    return traits().inline_only ? 0 : Frame::bytes_for<Held>() + child_.node().frame_bytes;
  }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const { visit(child_.node()); }
  void describe(Description& description) const {
    const std::string what = check_text(rule_);
    description.options.emplace_back("rule", what.empty() ? "a function" : what);
  }
  Result<void> control(ControlRequest& request) const {
    if (auto* statistics = request.as<FilterStatistics>()) {
      statistics->rejected = rejected_->load(std::memory_order_relaxed);
      return {};
    }
    return Error(Status::unimplemented, "a filter knows galley::FilterStatistics, not " +
                                            std::string(request.type_name()));
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    if constexpr (sees_rows) {
      const Batch<In> kept = batch.borrowed();
      return filter(kept, child_.serve_batch(kept, context), context.workspace());
    } else {
      return filter(Batch<In>(), child_.serve_batch(batch, context), context.workspace());
    }
  }

  void submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    const std::size_t n = rows.size();
    Rows<In> kept;
    if constexpr (sees_rows) {
      Result<Rows<In>> copy = Mode::template call<Rows<In>>([&] { return Rows<In>(rows); });
      if (!copy.has_value()) return done.fail(within(name_, std::move(copy).error()));
      kept = *std::move(copy);
    }
    Held& held = frame.make<Held>(*this, std::move(kept), std::move(done));
    child_.submit_batch(
        std::move(rows), context, frame,
        BatchCompletion<Out>(
            n, [&held](Outcomes<Out>&& made) { held.answer(std::move(made)); }, NoExceptions()));
  }

 private:
  /// A submitted request at the child.
  struct Held {
    Held(const FilterNode& filtering, Rows<In>&& batch, BatchCompletion<Out>&& owed)
        : node(filtering), rows(std::move(batch)), done(std::move(owed)) {}
    void answer(Outcomes<Out>&& made) {
      Outcomes<Out> all = node.filter(Batch<In>(rows), std::move(made), nullptr);
      BatchCompletion<Out> owed = std::move(done);
      this->~Held();
      owed(std::move(all));
    }
    const FilterNode& node;
    Rows<In> rows;
    BatchCompletion<Out> done;
  };

  Result<std::optional<Out>> ask(const Batch<In>& batch, std::size_t row, const Rows<Out>& made,
                                 std::size_t i) const {
    return Mode::template call<std::optional<Out>>([&]() -> Result<std::optional<Out>> {
      if constexpr (sees_rows) {
        return filtered<Out>(rule_(batch[row], made[i]));
      } else if constexpr (requires { rule_.check(made[i]); }) {
        return filtered<Out>(rule_.check(made[i]));
      } else {
        return filtered<Out>(rule_(made[i]));
      }
    });
  }

  /// What is left of the child's outcomes. Predictions that pass stay where they are until one does
  /// not.
  Outcomes<Out> filter(const Batch<In>& batch, Outcomes<Out>&& outcomes,
                       Workspace* workspace) const {
    Rows<Out>& made = outcomes.survivors();
    std::vector<RowIndex> rows;  // of the survivors, where they are not all
    if (sees_rows && !outcomes.all_ok()) rows = survivors_of(batch.size(), outcomes.casualties());
    Casualties rejected;
    std::vector<RowIndex> passed;                   // by number among the survivors
    std::vector<std::pair<RowIndex, Out>> changed;  // likewise
    for (std::size_t i = 0; i < made.size(); ++i) {
      Result<std::optional<Out>> pass = ask(batch, rows.empty() ? i : rows[i], made, i);
      if (!pass.has_value()) {
        if (rejected.empty()) {
          for (std::size_t k = 0; k < i; ++k) passed.push_back(static_cast<RowIndex>(k));
        }
        rejected.append(i, within(name_, std::move(pass).error()));
        continue;
      }
      if (!rejected.empty()) passed.push_back(static_cast<RowIndex>(i));
      if (pass->has_value()) changed.emplace_back(static_cast<RowIndex>(i), *std::move(*pass));
    }
    if (rejected.empty() && changed.empty()) [[likely]]
      return std::move(outcomes);
    if (!rejected.empty()) rejected_->fetch_add(rejected.size(), std::memory_order_relaxed);
    const std::size_t n = made.size();
    Rows<Out> left = rejected.empty() ? std::move(made) : std::move(made).select(passed, workspace);
    if (!changed.empty()) left = rewritten(std::move(left), passed, std::move(changed));
    GALLEY_ASSERT(left.size() + rejected.size() == n);
    (void)n;
    return with_earlier(std::move(outcomes).casualties(),
                        Outcomes<Out>(std::move(left), std::move(rejected)));
  }

  /// The predictions with those that were changed in their places.
  static Rows<Out> rewritten(Rows<Out>&& left, const std::vector<RowIndex>& passed,
                             std::vector<std::pair<RowIndex, Out>>&& changed) {
    const Batch<Out> before = Batch<Out>::last_use(left);
    Rows<Out> after;
    after.reserve(left.size());
    std::size_t next = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const std::size_t number = passed.empty() ? i : passed[i];
      if (next < changed.size() && changed[next].first == number) {
        after.push_back(std::move(changed[next++].second));
      } else {
        after.push_back(before.take(i));
      }
    }
    return after;
  }

  std::string name_;
  Rule rule_;
  Servable<In, Out> child_;
  std::unique_ptr<std::atomic<std::uint64_t>> rejected_;  // relaxed: it only counts
};

}  // namespace detail

/// A rule over predictions: `f(const Out&)` or `f(const In&, const Out&)`, which sees the row too,
/// answering `bool` or `Result<void>` (whether the prediction passes), or an Out or `Result<Out>`
/// (what it becomes); or a `RowCheck` of predictions, such as `finite()`. Where Out is `bool`, a
/// `bool` is what it becomes.
template <class F, class In, class Out>
concept FilterRule = std::move_constructible<F> &&
                     (detail::FiltersRows<F, In, Out> || detail::FiltersPredictions<F, Out>);

/// The same servable, whose predictions pass `rule`: one that is rejected is the row's error, for a
/// fallback to see. Rows that fail in the servable are not asked about.
///
/// `control` answers `FilterStatistics`.
///
/// Errors   the rule's; unavailable: it answered false; internal: it threw
/// Threads  thread-safe
/// Cost     the rule's; while predictions pass unchanged, no copy and no allocation. A rule that
///          sees rows keeps them: the servable gets them borrowed, in `submit` a copy
/// Example  filter([](const Order& o, const Offer& made) { return made.price < o.limit; }, model)
template <class F, class In, class Out, class Mode = detail::ExceptionMode>
  requires(FilterRule<F, In, Out> &&
           (!detail::FiltersRows<F, In, Out> || std::copy_constructible<In>))
Servable<In, Out> filter(F rule, Servable<In, Out> servable, Mode = {}) {
  std::string name = "filter(" + servable.name() + ")";
  using Node = detail::FilterNode<In, Out, F, Mode>;
  Node node(name, std::move(rule), std::move(servable));
  return Servable<In, Out>::of_node(std::move(name), std::move(node));
}

}  // namespace galley::inline v1
