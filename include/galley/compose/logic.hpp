// logic: a user's own code over several servables, row by row or a whole batch at a time.
#pragma once

#include <galley/compose/logic/batch.hpp>
#include <galley/compose/logic/node.hpp>
#include <galley/compose/logic/row_task.hpp>
#include <galley/compose/logic/with_later.hpp>
#include <galley/compose/on.hpp>
#include <galley/core/servable.hpp>

#include <concepts>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

/// `RowTask<Out> f(In row, RowCaller<A, B>&... servables)`, a coroutine, for the servables Models:
/// its last parameters may be `auto&...`. Must be callable through const.
template <class F, class In, class... Models>
concept RowLogic = std::move_constructible<F> &&
                   std::invocable<const F&, In, detail::RowCallerOf<Models>&...> && requires {
                     typename detail::TaskOf<
                         std::invoke_result_t<const F&, In, detail::RowCallerOf<Models>&...>>::type;
                   };

/// `Outcomes<Out> f(const Batch<In>& rows, const BatchCaller<In, A, B>&... servables)`, also
/// `Rows<Out>` or a `Result` of either, for the servables Models. Must be callable through const.
template <class F, class In, class... Models>
concept BatchLogic =
    std::move_constructible<F> &&
    std::invocable<const F&, const Batch<In>&, detail::BatchCallerOf<In, Models>&...> &&
    detail::is_batch_answer<detail::BatchLogicAnswer<F, In, Models...>,
                            typename detail::RowOf<typename detail::WithoutResult<
                                detail::BatchLogicAnswer<F, In, Models...>>::type>::type>;

/// A servable of the coroutine `f`, started for each row, which awaits calls of `servables` and may
/// return early:
///
///     logic<Image>("sure or asked", [](Image image, auto& small, auto& large)
///                                       -> galley::RowTask<Label> {
///       galley::Result<Label> quick = co_await small(image);
///       if (quick && quick->confidence > 0.9) co_return quick;
///       co_return co_await large(std::move(image));
///     }, small, large)
///
/// Rows run in rounds: each up to its next call, or its end; then the calls of all rows go on, one
/// batch for each servable that is called, and what came back resumes the rows, in order. So a
/// servable sees in one batch what rows that took the same way ask it, and a row that has returned
/// takes no part any more. A row whose request is over is not resumed. All calls of a request see
/// one version of a slot.
///
/// Coroutines run on the calling thread, and where a servable answers later, on the thread that
/// answers. `f` is called with a row of its own, or by reference with the batch's: either lives as
/// long as the coroutine.
///
/// Errors   internal: the coroutine threw, or made more than `max_calls` calls
/// Threads  f is called from any thread
/// Cost     a round costs a few allocations; frames of coroutines are taken from the node's pool
/// Example  examples/business_logic.cpp
template <Row In, class Mode = detail::ExceptionMode, class F, AnyServable... Models>
  requires(sizeof...(Models) > 0)
auto logic(std::string name, LogicOptions options, F&& f, Models... servables) {
  using Function = std::decay_t<F>;
  static_assert(RowLogic<Function, In, Models...>,
                "galley::logic needs galley::RowLogic: a coroutine of a row and a "
                "galley::RowCaller& for each servable that returns a galley::RowTask");
  using Out = typename detail::TaskOf<
      std::invoke_result_t<const Function&, In, detail::RowCallerOf<Models>&...>>::type;
  using Step = detail::LogicStep<In, Out, Function, Mode, Models...>;
  if (options.max_calls == 0) {
    return Servable<In, Out>::broken(
        std::move(name),
        Error(Status::failed_precondition, "options.max_calls: expected at least 1, got 0"));
  }
  auto shared = std::make_unique<typename Step::Shared>(options.kept_frames);
  Step step{name, std::forward<F>(f), options, std::tuple(std::move(servables)...),
            std::move(shared)};
  return Servable<In, Out>::of_node(std::move(name), detail::LogicNode<Step>(std::move(step)));
}

/// The same with the default options.
template <Row In, class Mode = detail::ExceptionMode, class F, AnyServable... Models>
  requires(sizeof...(Models) > 0 && !std::same_as<std::decay_t<F>, LogicOptions>)
auto logic(std::string name, F&& f, Models... servables) {
  return galley::logic<In, Mode>(std::move(name), LogicOptions(), std::forward<F>(f),
                                 std::move(servables)...);
}

namespace detail {

template <class In, class Mode, class F, class... Models>
auto make_logic_batch(std::string name, F&& f, Models... servables) {
  using Function = std::decay_t<F>;
  static_assert(galley::BatchLogic<Function, In, Models...>,
                "galley::logic_batch needs galley::BatchLogic: a function of a galley::Batch and a "
                "galley::BatchCaller& for each servable that returns the batch's outcomes");
  using Answer = BatchLogicAnswer<Function, In, Models...>;
  using Out = typename RowOf<typename WithoutResult<Answer>::type>::type;
  using Logic = BatchLogicAuthor<In, Function, Mode, Models...>;
  Logic author{std::forward<F>(f), std::tuple(std::move(servables)...)};
  LogicBatchNode<In, Out, Logic, Mode> node(name, std::move(author));
  return Servable<In, Out>::of_node(std::move(name), std::move(node));
}

}  // namespace detail

/// A servable of the whole-batch function `f`, which calls `servables` with its rows, some of them,
/// or values made of them, as often as it likes:
///
///     logic_batch<Image>("second opinion", [](const auto& images, auto& small, auto& large) {
///       galley::Outcomes<Label> labels = small();
///       const std::vector<galley::RowIndex> rows = unsure(labels);
///       return with_later(std::move(labels), rows, large(rows));
///     }, small, large)
///
/// Calls block, so servables that wait for other threads are refused (`check`): see below. Rows
/// whose request is over are answered without f. All calls of a request see one version of a slot.
///
/// Errors   as `map_batch`: where f throws for a batch it is halved, if all servables are
///          repeatable
/// Threads  f is called from any thread
template <Row In, class Mode = detail::ExceptionMode, class F, AnyServable... Models>
  requires(sizeof...(Models) > 0)
auto logic_batch(std::string name, F&& f, Models... servables) {
  auto made = detail::make_logic_batch<In, Mode>(name, std::forward<F>(f), servables...);
  if (made.traits().inline_only) return made;
  std::string waits;
  ((waits = waits.empty() && !servables.traits().inline_only ? servables.name() : waits), ...);
  return decltype(made)::broken(
      std::move(name),
      Error(Status::failed_precondition,
            "\"" + waits +
                "\" waits for other threads, and a logic_batch calls it on the caller's: give "
                "logic_batch an executor to wait on, or use logic"));
}

/// The same, run on `executor`, whose workers wait for servables that do and run other tasks
/// meanwhile.
template <Row In, class Mode = detail::ExceptionMode, class F, AnyServable... Models>
  requires(sizeof...(Models) > 0 && std::copy_constructible<In>)
auto logic_batch(Executor executor, std::string name, F&& f, Models... servables) {
  auto made = detail::make_logic_batch<In, Mode>(std::move(name), std::forward<F>(f),
                                                 std::move(servables)...);
  using Out = typename decltype(made)::output_type;
  return galley::on<In, Out, Mode>(std::move(executor), std::move(made));
}

}  // namespace galley::inline v1
