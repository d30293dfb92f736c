// What the function of a `logic_batch` calls servables through, and the node it becomes.
#pragma once

#include <galley/compose/logic/run.hpp>
#include <galley/core/batch.hpp>
#include <galley/core/context.hpp>
#include <galley/core/leaf.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// A servable as the function of a `logic_batch` over rows of In calls it: now, with the rows' own
/// deadlines, stop tokens, priorities and keys.
///
/// Rows are named by their numbers in the batch, ascending; one may be named several times.
///
/// Errors   internal for each row asked for: another number of values than rows, or rows that are
///          not in the batch
/// Threads  the function's own; valid within its call
template <class In, class A, class B>
class BatchCaller {
 public:
  BatchCaller(const Servable<A, B>& servable, const Batch<In>& batch,
              const BatchContext& context) noexcept
      : servable_(servable), batch_(batch.borrowed()), context_(context) {}
  BatchCaller(const BatchCaller&) = delete;
  BatchCaller& operator=(const BatchCaller&) = delete;

  /// Asks with every row of the batch as it is; with those named.
  Outcomes<B> operator()() const
    requires(std::same_as<In, A>)
  {
    return servable_.serve_batch(batch_, context_);
  }
  Outcomes<B> operator()(std::span<const RowIndex> rows) const
    requires(std::same_as<In, A>)
  {
    if (!are_rows(rows)) return refused(rows.size(), rows.size());
    std::vector<RowIndex> places;
    places.reserve(rows.size());
    for (const RowIndex row : rows) places.push_back(static_cast<RowIndex>(batch_.place(row)));
    return ask(rows, batch_.at_places(places));
  }

  /// Asks with one value for each row of the batch.
  Outcomes<B> operator()(const Batch<A>& values) const {
    if (values.size() != batch_.size()) return refused(batch_.size(), values.size());
    return servable_.serve_batch(values, context_);
  }
  Outcomes<B> operator()(Rows<A>&& values) const { return (*this)(Batch<A>::last_use(values)); }

  /// Asks with one value for each of the rows named.
  Outcomes<B> operator()(std::span<const RowIndex> rows, const Batch<A>& values) const {
    if (values.size() != rows.size() || !are_rows(rows)) {
      return refused(rows.size(), values.size());
    }
    return ask(rows, values);
  }
  Outcomes<B> operator()(std::span<const RowIndex> rows, Rows<A>&& values) const {
    return (*this)(rows, Batch<A>::last_use(values));
  }

 private:
  bool are_rows(std::span<const RowIndex> rows) const noexcept {
    return std::is_sorted(rows.begin(), rows.end()) &&
           (rows.empty() || rows.back() < batch_.size());
  }
  Outcomes<B> ask(std::span<const RowIndex> rows, const Batch<A>& values) const {
    if (rows.empty()) return Outcomes<B>();
    const ContextSelection asked(context_, rows);
    return servable_.serve_batch(values, asked.view());
  }
  Outcomes<B> refused(std::size_t rows, std::size_t values) const {
    return Outcomes<B>::failed(
        rows, Error(Status::internal, servable_.name() + ": asked with " + std::to_string(values) +
                                          " values for " + std::to_string(rows) +
                                          " rows, expected one for each of some rows of the " +
                                          std::to_string(batch_.size()) + ", ascending"));
  }

  const Servable<A, B>& servable_;
  const Batch<In> batch_;
  const BatchContext& context_;
};

namespace detail {

/// A caller of S for a batch of In.
template <class In, class S>
using BatchCallerOf = BatchCaller<In, typename S::input_type, typename S::output_type>;

/// What the function of a `logic_batch` answers.
template <class F, class In, class... Models>
using BatchLogicAnswer = std::remove_cvref_t<
    std::invoke_result_t<const F&, const Batch<In>&, BatchCallerOf<In, Models>&...>>;

/// The user's function with its servables, as an author of batches.
template <class In, class F, class Mode, class... Models>
struct BatchLogicAuthor {
  F f;
  std::tuple<Models...> models;

  NodeTraits traits() const {
    return std::apply([](const auto&... model) { return (model.traits() & ...); }, models);
  }
  BatchLogicAnswer<F, In, Models...> serve(const Batch<In>& batch,
                                           const BatchContext& context) const {
    return std::apply(
        [&](const Models&... model) {
          return call(batch, BatchCallerOf<In, Models>(model, batch, context)...);
        },
        models);
  }

 private:
  auto call(const Batch<In>& batch, BatchCallerOf<In, Models>&&... callers) const {
    return f(batch, callers...);
  }
};

/// Runs the function on the calling thread, where it waits for servables that do; of those that do
/// the node is built beneath an executor only.
template <class In, class Out, class Logic, class Mode>
class LogicBatchNode {
 public:
  static constexpr const char* kind = "logic_batch";

  LogicBatchNode(const std::string& name, Logic logic)
      : leaf_{AuthorBase<Logic>{std::move(logic), {}}, name} {}

  NodeTraits traits() const { return leaf_.traits(); }
  std::size_t frame_bytes() const { return 0; }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    std::apply([&](const auto&... model) { (visit(model.node()), ...); }, leaf_.author.models);
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    const std::shared_ptr<const Pins> pins =
        std::apply([&](const auto&... model) { return pins_for(context, {&model.node()...}); },
                   leaf_.author.models);
    return leaf_.serve(batch, pins != nullptr ? context.pinned(pins) : context);
  }
  void submit(Rows<In> rows, const BatchContext& context, Frame&, BatchCompletion<Out> done) const {
    done(serve(Batch<In>::last_use(rows), context));
  }

 private:
  BatchLeaf<Logic, In, Out, Mode> leaf_;
};

}  // namespace detail

}  // namespace galley::inline v1
