// fan_out: the same rows to servables of unlike outputs, whose answers come back as a tuple.
#pragma once

#include <galley/compose/routing/at_once.hpp>
#include <galley/core/leaf.hpp>
#include <galley/core/pinned.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

/// What one member answered, and to which rows.
template <class Out>
struct FanAnswer {
  Outcomes<Out> outcomes;
  std::optional<std::vector<RowIndex>> asked;  // ascending; none: all

  /// The rows it was asked of and answered.
  std::vector<RowIndex> answered() const {
    std::vector<RowIndex> rows = survivors_of(outcomes.size(), outcomes.casualties());
    if (!asked.has_value()) return rows;
    for (RowIndex& row : rows) row = (*asked)[row];
    return rows;
  }
};

/// Walks through one member's answers in the order of the batch's rows.
template <class Out>
class FanWalk {
 public:
  explicit FanWalk(FanAnswer<Out>& answer)
      : answer_(answer), values_(Batch<Out>::last_use(answer.outcomes.survivors())) {}

  /// Goes to `row`; its error, or null where it has a value or was not asked because of another's.
  Error* go_to(std::size_t row) {
    if (answer_.asked.has_value()) {
      const std::vector<RowIndex>& asked = *answer_.asked;
      if (asked_ == asked.size() || asked[asked_] != row) return nullptr;
      row = asked_++;
    }
    const auto casualties = answer_.outcomes.casualties().mutable_span();
    if (casualty_ < casualties.size() && casualties[casualty_].row == row) {
      return &casualties[casualty_++].error;
    }
    at_ = next_++;
    return nullptr;
  }
  /// The value of the row it is at.
  Out take() { return values_.take(at_); }

 private:
  FanAnswer<Out>& answer_;
  Batch<Out> values_;
  std::size_t asked_ = 0;
  std::size_t casualty_ = 0;
  std::size_t next_ = 0;
  std::size_t at_ = 0;
};

template <class In, class Mode, class... Outs>
class FanOutNode {
 public:
  static constexpr const char* kind = "fan_out";
  using Out = std::tuple<Outs...>;

  explicit FanOutNode(Servable<In, Outs>... members) : members_(std::move(members)...) {
    each([this](const auto& one, auto place) {
      later_ += one.traits().inline_only ? 0 : 1;
      traits_ = place == 0 ? one.traits() : traits_ & one.traits();
    });
  }

  NodeTraits traits() const { return traits_; }
  std::size_t frame_bytes() const { return later_ == 0 ? 0 : Frame::bytes_for<Join>(); }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    each([&](const auto& one, auto) { visit(one.node()); });
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const;

  void submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    if (const Result<void> owned = make_owned(rows); !owned.has_value()) {
      return done.fail(owned.error());
    }
    const PinnedContext pinned_context = pinned(context);
    const BatchContext& bound = pinned_context.view();
    Join& join = frame.make<Join>(std::move(done));
    // Those that answer later first: they work while the others are asked here.
    each([&](const auto& one, auto place) {
      if (!one.traits().inline_only) join.template ask<place>(one, rows, bound);
    });
    each([&](const auto& one, auto place) {
      if (!one.traits().inline_only) return;
      std::get<place>(join.answers).outcomes = asked(one, Batch<In>(rows), bound);
    });
    join.release();
  }

 private:
  using Answers = std::tuple<FanAnswer<Outs>...>;
  static constexpr std::size_t count = sizeof...(Outs);

  /// Calls `f` with each member and its place.
  template <class F>
  void each(F&& f) const {
    [&]<std::size_t... i>(std::index_sequence<i...>) {
      (f(std::get<i>(members_), std::integral_constant<std::size_t, i>()), ...);
    }(std::make_index_sequence<count>());
  }

  template <class Mid>
  static Outcomes<Mid> asked(const Servable<In, Mid>& member, const Batch<In>& batch,
                             const BatchContext& context) {
    Outcomes<Mid> outcomes = member.serve_batch(batch, context);
    if (outcomes.answers(batch.size())) [[likely]]
      return outcomes;
    return Outcomes<Mid>::failed(batch.size(),
                                 within(member.name(), miscounted(outcomes.size(), batch.size())));
  }

  /// All see the same versions.
  PinnedContext pinned(const BatchContext& context) const {
    return PinnedContext(context, traits_, [this](auto&& visit) { each_child(visit); });
  }

  using Apart = std::tuple<std::shared_ptr<AtOnce<Outs>>...>;
  bool may_wait(WaitPlan& plan) const;
  Apart submit_first(const Batch<In>& batch, const BatchContext& context) const;

  /// The tuples of the rows that all have answered; of the others the first member's error.
  static Outcomes<Out> together(Answers& answers, std::size_t rows, Workspace* workspace) {
    return std::apply(
        [&](auto&... answer) {
          std::tuple<FanWalk<Outs>...> walks(answer...);
          return std::apply([&](auto&... walk) { return join_rows(rows, workspace, walk...); },
                            walks);
        },
        answers);
  }
  template <class... Walks>
  static Outcomes<Out> join_rows(std::size_t rows, Workspace* workspace, Walks&... walks) {
    Outcomes<Out> all(make_rows<Out>(rows, workspace));
    for (std::size_t row = 0; row < rows; ++row) {
      Error* first = nullptr;
      const auto go = [&](auto& walk) {
        Error* error = walk.go_to(row);
        if (first == nullptr) first = error;
      };
      (go(walks), ...);
      if (first == nullptr) {
        all.survivors().push_back(Out(walks.take()...));
      } else {
        all.casualties().append(row, std::move(*first));
      }
    }
    return all;
  }

  /// A request whose members are being asked; the last to answer answers it. `submit` counts as one
  /// more.
  struct Join {
    explicit Join(BatchCompletion<Out> owed) : done(std::move(owed)) {}

    template <std::size_t place, class Mid>
    void ask(const Servable<In, Mid>& member, const Rows<In>& rows, const BatchContext& context) {
      Result<Rows<In>> own =
          Mode::template call<Rows<In>>([&] { return Batch<In>(rows).to_rows(); });
      if (!own.has_value()) {
        std::get<place>(answers).outcomes =
            Outcomes<Mid>::failed(rows.size(), within(member.name(), own.error()));
        return;
      }
      left.fetch_add(1, std::memory_order_relaxed);
      member.submit_apart(*std::move(own), context,
                          BatchCompletion<Mid>(
                              rows.size(),
                              [this](Outcomes<Mid>&& outcomes) {
                                std::get<place>(answers).outcomes = std::move(outcomes);
                                release();
                              },
                              NoExceptions()));
    }

    // acq_rel: the last one sees what the others answered.
    void release() {
      if (left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      Outcomes<Out> all = together(answers, done.rows(), nullptr);
      BatchCompletion<Out> owed = std::move(done);
      this->~Join();
      owed(std::move(all));
    }

    Answers answers;
    std::atomic<std::size_t> left{1};
    BatchCompletion<Out> done;
  };

  std::tuple<Servable<In, Outs>...> members_;
  std::size_t later_ = 0;  // members that answer later
  NodeTraits traits_;
};

/// True where this thread may submit to all members that answer later and then wait. Not a worker:
/// what it runs while it waits could be what waits for it.
template <class In, class Mode, class... Outs>
bool FanOutNode<In, Mode, Outs...>::may_wait(WaitPlan& plan) const {
  if (later_ < 2 || Worker::current() != nullptr) return false;
  each([&](const auto& one, auto) { one.node().table->plan_wait(one.node(), plan); });
  return plan.possible();
}

/// Submits to those that answer later, but for the last: this thread asks that one itself.
template <class In, class Mode, class... Outs>
auto FanOutNode<In, Mode, Outs...>::submit_first(const Batch<In>& batch,
                                                 const BatchContext& context) const -> Apart {
  Apart apart;
  std::size_t left = later_ - 1;
  each([&](const auto& one, auto place) {
    if (left == 0 || one.traits().inline_only) return;
    --left;
    auto& answer = std::get<place>(apart);
    answer = std::make_shared<typename std::remove_cvref_t<decltype(answer)>::element_type>(1);
    auto owed = answer->owed(0, batch.size());
    Result<Rows<In>> rows = Mode::template call<Rows<In>>(
        [&] { return own_rows(batch.borrowed().to_rows()); });  // copies may throw
    if (!rows.has_value()) return owed.fail(within(one.name(), std::move(rows).error()));
    one.submit_apart(*std::move(rows), context.without_workspace(), std::move(owed));
  });
  return apart;
}

template <class In, class Mode, class... Outs>
auto FanOutNode<In, Mode, Outs...>::serve(const Batch<In>& batch, const BatchContext& context) const
    -> Outcomes<Out> {
  const PinnedContext pinned_context = pinned(context);
  const BatchContext& bound = pinned_context.view();
  WaitPlan plan;
  Apart apart;
  if (may_wait(plan)) apart = submit_first(batch, bound);
  Answers answers;
  std::optional<std::vector<RowIndex>> alive;
  each([&](const auto& one, auto place) {
    if (std::get<place>(apart) != nullptr) return;
    auto& answer = std::get<place>(answers);
    const Batch<In> rows = place + 1 == count ? batch : batch.borrowed();
    if (!alive.has_value()) {
      answer.outcomes = asked(one, rows, bound);
    } else {
      answer.asked = alive;
      if (alive->empty()) return;
      std::vector<RowIndex> places;
      places.reserve(alive->size());
      for (const RowIndex row : *alive) places.push_back(static_cast<RowIndex>(batch.place(row)));
      const ContextSelection own(bound, *alive);
      answer.outcomes = asked(one, rows.at_places(places), own.view());
    }
    if (!answer.outcomes.all_ok()) alive = answer.answered();
  });
  each([&](const auto& one, auto place) {
    auto& later = std::get<place>(apart);
    if (later == nullptr) return;
    const WaitEnd end = later->wait(plan, bound);
    std::get<place>(answers).outcomes = later->take(0, batch.size(), end, one.name());
  });
  return together(answers, batch.size(), context.workspace());
}

}  // namespace detail

/// The same rows to each of these, whatever they give: a tuple of their answers, in their order. A
/// row fails with the error of the first that failed it.
///
/// Members are asked in turn, without the rows that failed before; those that answer later are
/// submitted to at once before that, by `serve` where its thread can wait for all of them. Slots
/// beneath several members are read at one version.
///
/// Cost     no copy of a row but for members that are submitted to; one tuple for each row
/// Example  fan_out(detect, embed) | map([](const std::tuple<Boxes, Vector>& both) { ... })
template <class In, class... Outs, class Mode = detail::ExceptionMode>
  requires(sizeof...(Outs) > 0 && std::copy_constructible<In>)
Servable<In, std::tuple<Outs...>> fan_out(Servable<In, Outs>... members) {
  std::string name;
  ((name += (name.empty() ? "fan_out(" : ", ") + members.name()), ...);
  return Servable<In, std::tuple<Outs...>>::of_node(
      name + ")", detail::FanOutNode<In, Mode, Outs...>(std::move(members)...));
}

}  // namespace galley::inline v1
