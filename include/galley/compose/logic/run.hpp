// How the coroutines of a batch's rows are driven, in rounds of calls.
#pragma once

#include <galley/compose/logic/row_task.hpp>
#include <galley/core/assert.hpp>
#include <galley/core/context.hpp>
#include <galley/core/leaf.hpp>
#include <galley/core/liveness.hpp>
#include <galley/core/pins.hpp>
#include <galley/core/servable.hpp>

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

struct LogicOptions {
  /// The most calls of one row; one that would make another is answered `internal`.
  std::size_t max_calls = 64;
  /// How many coroutine frames are kept for later requests.
  std::size_t kept_frames = 1024;
};

/// What a `logic` counts: `servable.control(path, statistics)` fills it in.
struct LogicStatistics {
  std::uint64_t requests = 0;  ///< Batches of rows that came.
  std::uint64_t rows = 0;      ///< In those.
  std::uint64_t calls = 0;     ///< That rows made.
  std::uint64_t batches = 0;   ///< That those calls became.
};

namespace detail {

/// A caller of S for the rows of a logic.
template <class S>
using RowCallerOf = RowCaller<typename S::input_type, typename S::output_type>;

/// Binds a request to the versions beneath `nodes` that it is not bound to yet; null where there
/// are none, or it is.
inline std::shared_ptr<const Pins> pins_for(const BatchContext& context,
                                            std::initializer_list<const NodeHeader*> nodes) {
  if (context.pins() != nullptr) return nullptr;
  std::shared_ptr<Pins> pins;
  for (const NodeHeader* node : nodes) {
    if (!node->traits.versioned) continue;
    if (pins == nullptr) pins = std::make_shared<Pins>();
    node->table->pin(*node, *pins);
  }
  return pins;
}

/// What the user wrote and whom it calls, and what requests share.
template <class InRow, class OutRow, class F, class CallMode, class... Models>
struct LogicStep {
  using In = InRow;
  using Out = OutRow;
  using Mode = CallMode;
  using Callers = std::tuple<RowCallerOf<Models>...>;
  static constexpr std::size_t models_count = sizeof...(Models);
  template <std::size_t k>
  using Model = std::tuple_element_t<k, std::tuple<Models...>>;

  /// Relaxed: nothing but the counts is shared.
  struct Shared {
    explicit Shared(std::size_t kept_frames) noexcept : pool(kept_frames) {}
    CoroutinePool pool;
    std::atomic<std::uint64_t> requests{0}, rows{0}, calls{0}, batches{0};
  };

  std::string name;
  F f;
  LogicOptions options;
  std::tuple<Models...> models;
  std::unique_ptr<Shared> shared;
};

/// A batch whose rows are being answered by their coroutines. `advance` lets them run until each
/// has ended or waits for a call; `values` and `give` are for whoever sees to it that the calls are
/// answered. It asks nobody itself.
template <class Step>
class LogicRun {
 public:
  using In = typename Step::In;
  using Out = typename Step::Out;
  using Mode = typename Step::Mode;
  template <std::size_t k>
  using A = typename Step::template Model<k>::input_type;
  template <std::size_t k>
  using B = typename Step::template Model<k>::output_type;
  static constexpr auto each_model = std::make_index_sequence<Step::models_count>();

  /// All of these outlive this.
  LogicRun(const Step& step, const Batch<In>& batch, const BatchContext& context)
      : LogicRun(step, batch, context, each_model) {}
  LogicRun(const LogicRun&) = delete;
  LogicRun& operator=(const LogicRun&) = delete;

  /// Resumes each row that has not ended, whose call must be answered; first starts it. Rows whose
  /// request is over end here. True when some rows wait now.
  bool advance() {
    waiting_.fill({});
    Liveness live;
    bool some = false;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      RowState& row = rows_[i];
      if (row.answer.has_value()) continue;
      if (const Status status = live.of(*row.context); status != Status::ok) {
        end(row, Error(status));
      } else {
        some |= resume(i);
      }
    }
    if (some) count_calls();
    return some;
  }

  /// How many rows wait for model k.
  template <std::size_t k>
  std::size_t waiting() const noexcept {
    return waiting_[k].count;
  }
  /// The numbers of those rows, ascending, and the values they call it with.
  template <std::size_t k>
  Rows<RowIndex> rows() const {
    Rows<RowIndex> numbers(waiting<k>());
    for_waiting<k>([&](std::size_t i) { numbers.push_back(static_cast<RowIndex>(i)); });
    return numbers;
  }
  template <std::size_t k>
  Rows<A<k>> values() {
    Rows<A<k>> all = make_rows<A<k>>(waiting<k>(), context_.workspace());
    for_waiting<k>([&](std::size_t i) { all.push_back(std::move(call<k>(i).value)); });
    return all;
  }
  /// Gives those rows what they asked for; `advance` goes on with it.
  template <std::size_t k>
  void give(Outcomes<B<k>>&& found) {
    if (!found.answers(waiting<k>())) [[unlikely]] {
      found = Outcomes<B<k>>::failed(waiting<k>(), within(std::get<k>(step_.models).name(),
                                                          miscounted(found.size(), waiting<k>())));
    }
    const Batch<B<k>> good = Batch<B<k>>::last_use(found.survivors());
    auto failed = found.casualties().mutable_span();
    std::size_t at = 0, next = 0;
    for_waiting<k>([&](std::size_t i) {
      if (!failed.empty() && failed.front().row == at++) {
        call<k>(i).answer.emplace(std::move(failed.front().error));
        failed = failed.subspan(1);
      } else {
        call<k>(i).answer.emplace(good.take(next++));
      }
    });
  }

  /// Whose the rows are, bound to versions where there are any.
  const BatchContext& context() const noexcept { return context_; }

  /// What became of every row. Needs `advance` to have said that none waits.
  Outcomes<Out> outcomes() && {
    Outcomes<Out> all(make_rows<Out>(rows_.size(), context_.workspace()));
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      std::optional<Result<Out>>& answer = rows_[i].answer;
      GALLEY_ASSERT(answer.has_value());
      if (answer->has_value()) [[likely]] {
        all.survivors().push_back(**std::move(answer));
      } else {
        all.casualties().append(i, std::move(*answer).error());
      }
    }
    return all;
  }

 private:
  static constexpr RowIndex nobody = ~RowIndex{0};
  struct RowState {
    const Context* context;
    std::size_t calls = 0;
    RowIndex next = nobody;      // who waits for the same model
    std::optional<In> row = {};  // where the batch cannot lend it to the coroutine
    std::optional<RowTask<Out>> task = {};
    std::optional<Result<Out>> answer = {};
  };
  struct Waiting {
    RowIndex first = nobody, last = nobody;
    std::size_t count = 0;
  };

  template <std::size_t... k>
  LogicRun(const Step& step, const Batch<In>& batch, const BatchContext& context,
           std::index_sequence<k...>)
      : step_(step),
        batch_(batch),
        pins_(pins_for(context, {&std::get<k>(step.models).node()...})),
        context_(pins_ != nullptr ? context.pinned(pins_) : context),
        memory_(step.shared->pool, batch.size()),
        callers_(CallerSeat{&memory_, k}...),
        rows_(batch.size(), context.workspace()) {
    RowContexts contexts(context_);
    for (std::size_t i = 0; i < batch.size(); ++i) rows_.push_back({.context = &contexts.next()});
    step.shared->requests.fetch_add(1, std::memory_order_relaxed);
    step.shared->rows.fetch_add(batch.size(), std::memory_order_relaxed);
  }

  template <std::size_t k>
  RowCall<A<k>, B<k>>& call(std::size_t i) {
    std::optional<RowTask<Out>>& task = rows_[i].task;
    GALLEY_ASSERT(task.has_value());
    return static_cast<RowCall<A<k>, B<k>>&>(task->waits_for());
  }
  template <std::size_t k, class Each>
  void for_waiting(Each&& each) const {
    for (RowIndex i = waiting_[k].first; i != nobody; i = rows_[i].next) each(std::size_t{i});
  }

  /// True when the row waits.
  bool resume(std::size_t i) {
    RowState& row = rows_[i];
    if (!row.task.has_value()) {
      Result<RowTask<Out>> task = Mode::template call<RowTask<Out>>([&] { return start(i); });
      if (!task.has_value()) return fail(row, std::move(task).error());
      row.task.emplace(*std::move(task));
    }
    row.task->resume();
    if (row.task->done()) {
      Result<Out> answer = row.task->template answer<Mode>();
      if (!answer.has_value()) return fail(row, std::move(answer).error());
      return end(row, std::move(answer));
    }
    if (row.calls++ == step_.options.max_calls) {
      return fail(row, Error(Status::internal, "never ended: a row made " +
                                                   std::to_string(step_.options.max_calls) +
                                                   " calls, which is the most, and another"));
    }
    Waiting& list = waiting_[row.task->waits_for().model];
    (list.first == nobody ? list.first : rows_[list.last].next) = static_cast<RowIndex>(i);
    list.last = static_cast<RowIndex>(i);
    row.next = nobody;
    ++list.count;
    return true;
  }

  /// Lends the row to the coroutine where it stays as it is, else keeps it beside.
  Result<RowTask<Out>> start(std::size_t i) {
    return std::apply(
        [&](auto&... callers) -> Result<RowTask<Out>> {
          if constexpr (std::is_lvalue_reference_v<typename Batch<In>::Reference> &&
                        std::invocable<decltype(step_.f), const In&, decltype(callers)...>) {
            if (!batch_.is_last_use()) return step_.f(batch_[i], callers...);
          }
          rows_[i].row.emplace(batch_.take(i));
          return step_.f(std::move(*rows_[i].row), callers...);
        },
        callers_);
  }

  /// Answers the row, which takes no part any more; false.
  bool end(RowState& row, Result<Out> answer) {
    row.answer.emplace(std::move(answer));
    row.task.reset();
    row.row.reset();
    return false;
  }
  bool fail(RowState& row, Error why) { return end(row, within(step_.name, std::move(why))); }

  void count_calls() noexcept {
    std::size_t calls = 0, batches = 0;
    for (const Waiting& list : waiting_) {
      calls += list.count;
      batches += list.count > 0 ? 1 : 0;
    }
    step_.shared->calls.fetch_add(calls, std::memory_order_relaxed);
    step_.shared->batches.fetch_add(batches, std::memory_order_relaxed);
  }

  const Step& step_;
  const Batch<In> batch_;
  const std::shared_ptr<const Pins> pins_;
  const BatchContext context_;
  CoroutineMemory memory_;  // before the rows, whose coroutines are in it
  typename Step::Callers callers_;
  Rows<RowState> rows_;
  std::array<Waiting, Step::models_count> waiting_;
};

}  // namespace detail

}  // namespace galley::inline v1
