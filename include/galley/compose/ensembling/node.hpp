// The node behind `ensemble`: which way a batch is asked, and the members asked in turn.
#pragma once

#include <galley/compose/ensembling/ballot.hpp>
#include <galley/compose/ensembling/few.hpp>
#include <galley/compose/ensembling/options.hpp>
#include <galley/compose/ensembling/record.hpp>
#include <galley/compose/routing/at_once.hpp>
#include <galley/core/pinned.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/wait_plan.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

template <class In, class Mid, class C, class Mode>
class EnsembleNode {
 public:
  static constexpr const char* kind = "ensemble";
  using Members = Ballot<In, Mid, C, Mode>;
  using Out = typename Members::Out;

  EnsembleNode(std::optional<Executor> executor, Members ballot)
      : executor_(std::move(executor)),
        ballot_(std::move(ballot)),
        record_(std::make_unique<EnsembleRecord>(ballot_.size())) {
    for (std::size_t m = 0; m < ballot_.size(); ++m) {
      const NodeTraits& traits = ballot_[m].servable.traits();
      (traits.inline_only ? inline_ : later_).push_back(static_cast<std::uint8_t>(m));
      traits_ = m == 0 ? traits : traits_ & traits;
    }
    if (ballot_.options().cut_off > Duration::zero()) traits_.deterministic = false;
    if (!executor_.has_value()) return;
    traits_.inline_only = false;
    workers_ = std::max<std::size_t>(executor_->concurrency(), 1);
    most_lanes_ = std::min(inline_.size(), workers_);
  }

  NodeTraits traits() const { return traits_; }
  std::size_t frame_bytes() const;
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    for (const auto& one : ballot_) visit(one.servable.node());
  }
  void plan_wait(WaitPlan& plan) const {
    if (executor_.has_value()) plan.add(*executor_);
    each_child([&plan](const NodeHeader& child) { child.table->plan_wait(child, plan); });
  }
  /// Members that wait for nobody run on the caller's threads and on the executor's.
  Result<void> prepare(const PrepareScope& scope) const {
    for (const auto& one : ballot_) {
      GALLEY_TRY(one.servable.prepare(scope));
      if (!executor_.has_value() || !one.servable.traits().inline_only) continue;
      GALLEY_TRY(one.servable.prepare(PrepareScope(*executor_)));
    }
    return {};
  }
  void describe(Description& description) const;
  Result<void> control(ControlRequest& request) const;

  Outcomes<Out> serve(const NodeHeader& node, const Batch<In>& batch,
                      const BatchContext& context) const {
    if (is_only_vote()) return serve_only(batch, context);
    if (!executor_.has_value()) {
      record_->ran_inline();
      return serve_in_turn(batch, context, nullptr);
    }
    return serve_forking(node, batch, context);
  }

  void submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const;

 private:
  using Answers = std::span<const AnswerView<Mid>>;
  struct Poll;
  class Apart;
  /// A request at the only member, which answers for all.
  struct Only {
    Only(const EnsembleNode& ensemble, BatchCompletion<Mid> owed)
        : node(ensemble), done(std::move(owed)) {}
    const EnsembleNode& node;
    BatchCompletion<Mid> done;
  };

  /// What a member that is asked in turn answered, and to which rows.
  struct Answer {
    Outcomes<Mid> outcomes;
    std::vector<RowIndex> asked;
    bool given = false;
    bool to_all = false;
    AnswerView<Mid> view() const noexcept {
      return {given ? &outcomes : nullptr, to_all ? nullptr : &asked};
    }
  };

  bool is_only_vote() const noexcept {
    return ballot_.is_only_vote() && ballot_.options().cut_off == Duration::zero();
  }
  Outcomes<Out> serve_only(const Batch<In>& batch, const BatchContext& context) const {
    if constexpr (std::same_as<Out, Mid>) {
      Outcomes<Mid> outcomes = ask(0, batch, context);
      count(0, outcomes);
      return outcomes;
    } else {
      return {};
    }
  }

  /// Makes them as many outcomes as there are rows, whatever the member did.
  void check(std::size_t member, Outcomes<Mid>& outcomes, std::size_t rows) const {
    if (outcomes.answers(rows)) [[likely]]
      return;
    outcomes = Outcomes<Mid>::failed(
        rows, within(ballot_[member].servable.name(), miscounted(outcomes.size(), rows)));
  }
  Outcomes<Mid> ask(std::size_t member, const Batch<In>& batch, const BatchContext& context) const {
    Outcomes<Mid> outcomes = ballot_[member].servable.serve_batch(batch, context);
    check(member, outcomes, batch.size());
    return outcomes;
  }
  /// The same, and what it cost is noted.
  Outcomes<Mid> ask_timed(std::size_t member, const Batch<In>& batch,
                          const BatchContext& context) const {
    const TimePoint start = executor_->now().at;
    Outcomes<Mid> outcomes = ask(member, batch, context);
    if (outcomes.all_ok()) record_->took(member, batch.size(), executor_->now().at - start);
    return outcomes;
  }

  void count(std::size_t member, const Outcomes<Mid>& outcomes) const {
    record_->answered(member, outcomes.survivors().size(), outcomes.casualties().size());
  }
  void count_all(std::size_t rows, Answers answers) const {
    const bool all = std::ranges::all_of(answers, [rows](const AnswerView<Mid>& answer) {
      return answer.outcomes != nullptr && answer.outcomes->survivors().size() == rows;
    });
    if (all) [[likely]]
      return record_->all_answered(rows);
    for (std::size_t m = 0; m < answers.size(); ++m) {
      const Outcomes<Mid>* said = answers[m].outcomes;
      if (said != nullptr) count(m, *said);
      record_->cut_off(m, rows - (said != nullptr ? said->size() : 0));
    }
  }

  /// Members see the same versions, however many calls they are in.
  PinnedContext pinned(const BatchContext& context) const {
    return PinnedContext(context, traits_, [this](auto&& visit) { each_child(visit); });
  }

  Outcomes<Out> serve_in_turn(const Batch<In>& batch, const BatchContext& context,
                              const Executor* timed) const;
  void ask_in_turn(std::size_t member, const Batch<In>& batch, const BatchContext& context,
                   std::optional<std::vector<RowIndex>>& open, const Executor* timed,
                   Answer& answer) const;
  Outcomes<Out> serve_forking(const NodeHeader& node, const Batch<In>& batch,
                              const BatchContext& context) const;
  Outcomes<Out> serve_together(const NodeHeader& node, const Batch<In>& batch,
                               const BatchContext& context, const ForkPlan& plan) const;

  Instant closes_at(const BatchContext& context) const;
  void submit_only(Rows<In>&& rows, const BatchContext& context, Frame& frame,
                   BatchCompletion<Mid> done) const;

  std::optional<Executor> executor_;
  Members ballot_;
  std::vector<std::uint8_t> inline_;  // members that wait for nobody
  std::vector<std::uint8_t> later_;   // the others
  std::size_t workers_ = 0;
  std::size_t most_lanes_ = 0;  // that a request hands out
  NodeTraits traits_;
  std::unique_ptr<EnsembleRecord> record_;
};

// ---- implementation ----------------------------------------------------------------------------

template <class In, class Mid, class C, class Mode>
void EnsembleNode<In, Mid, C, Mode>::describe(Description& description) const {
  auto& about = description.options;
  std::string combiner;
  if constexpr (requires(const C& c) { std::string(c.name()); }) {
    combiner = ballot_.combiner().name();
  } else if constexpr (requires { std::string(C::name); }) {
    combiner = C::name;
  }
  about.emplace_back("combiner", combiner.empty() ? "a function" : std::move(combiner));
  if constexpr (requires(const C& c) { c.options(); }) {
    for (auto& option : ballot_.combiner().options()) about.push_back(std::move(option));
  }
  const EnsembleOptions& options = ballot_.options();
  about.emplace_back("quorum", std::to_string(options.quorum));
  std::string defaults;
  for (const auto& one : ballot_) {
    if (!one.otherwise.has_value()) continue;
    defaults.append(defaults.empty() ? "" : ", ").append(one.servable.name());
  }
  if (!defaults.empty()) about.emplace_back("otherwise", std::move(defaults));
  if (!executor_.has_value()) return;
  if (options.cut_off > Duration::zero()) {
    about.emplace_back("cut_off", std::to_string(options.cut_off.count()) + " ns");
  }
  about.emplace_back("fork", to_string(options.fork));
}

template <class In, class Mid, class C, class Mode>
Result<void> EnsembleNode<In, Mid, C, Mode>::control(ControlRequest& request) const {
  auto* statistics = request.as<EnsembleStatistics>();
  if (statistics == nullptr) {
    return Error(Status::unimplemented, "an ensemble knows galley::EnsembleStatistics, not " +
                                            std::string(request.type_name()));
  }
  statistics->members.clear();
  for (std::size_t m = 0; m < ballot_.size(); ++m) {
    statistics->members.push_back(record_->of(m));
    statistics->members.back().name = ballot_[m].servable.name();
  }
  statistics->forked = record_->forked();
  statistics->inline_runs = record_->inline_runs();
  return {};
}

/// Members that answer later, of which this thread submits to all but the last and asks that one
/// itself, where it may wait for several at once.
template <class In, class Mid, class C, class Mode>
class EnsembleNode<In, Mid, C, Mode>::Apart {
 public:
  Apart(const EnsembleNode& node, const Batch<In>& batch, const BatchContext& context)
      : node_(node) {
    // Not a worker: what it runs while it waits could be what waits for it.
    if (node.later_.size() < 2 || Worker::current() != nullptr) [[likely]]
      return;
    node.plan_wait(plan_);
    if (!plan_.possible()) return;
    count_ = node.later_.size() - 1;
    answers_ = std::make_shared<AtOnce<Mid>>(count_);
    for (std::size_t i = 0; i < count_; ++i) {
      const Servable<In, Mid>& member = node.ballot_[node.later_[i]].servable;
      BatchCompletion<Mid> owed = answers_->owed(i, batch.size());
      Result<Rows<In>> rows = Mode::template call<Rows<In>>(
          [&] { return own_rows(batch.borrowed().to_rows()); });  // copies may throw
      if (!rows.has_value()) {
        owed.fail(within(node.ballot_.name(), std::move(rows).error()));
        continue;
      }
      member.submit_apart(*std::move(rows), context.without_workspace(), std::move(owed));
    }
  }

  bool has(std::size_t member) const noexcept {
    const auto end = node_.later_.begin() + static_cast<std::ptrdiff_t>(count_);
    return std::find(node_.later_.begin(), end, member) != end;
  }

  void wait(const BatchContext& context, FewOf<Answer>& answers, FewOf<AnswerView<Mid>>& views) {
    if (count_ == 0) return;
    const WaitEnd end = answers_->wait(plan_, context);
    for (std::size_t i = 0; i < count_; ++i) {
      const std::size_t m = node_.later_[i];
      answers[m].outcomes =
          answers_->take(i, context.rows(), end, node_.ballot_[m].servable.name());
      answers[m].given = answers[m].to_all = true;
      views[m] = answers[m].view();
    }
  }

 private:
  const EnsembleNode& node_;
  WaitPlan plan_;
  std::size_t count_ = 0;
  std::shared_ptr<AtOnce<Mid>> answers_;
};

/// One member after another on this thread, but for those that are submitted to at once; rows whose
/// outcome is certain are not asked of the rest.
template <class In, class Mid, class C, class Mode>
auto EnsembleNode<In, Mid, C, Mode>::serve_in_turn(const Batch<In>& batch,
                                                   const BatchContext& context,
                                                   const Executor* timed) const -> Outcomes<Out> {
  const std::size_t members = ballot_.size();
  const PinnedContext bound = pinned(context);
  FewOf<Answer> answers(members);
  FewOf<AnswerView<Mid>> views(members);
  Apart apart(*this, batch, bound.view());
  std::optional<std::vector<RowIndex>> open;  // the rows still asked; none: all
  const auto is_over = [&open] { return open.has_value() && open->empty(); };
  for (std::size_t m = 0; m < members && !is_over(); ++m) {
    if (apart.has(m)) continue;
    ask_in_turn(m, batch, bound.view(), open, timed, answers[m]);
    views[m] = answers[m].view();
    if (m + 1 == members || (!Members::decides && answers[m].outcomes.all_ok())) continue;
    std::vector<RowIndex> left =
        ballot_.undecided(batch.size(), views.span(), open.has_value() ? &*open : nullptr);
    if (left.size() != (open.has_value() ? open->size() : batch.size())) open = std::move(left);
  }
  if (!is_over()) apart.wait(bound.view(), answers, views);
  count_all(batch.size(), views.span());
  return ballot_.outcomes(batch.size(), views.span(), Error(Status::cancelled),
                          context.workspace());
}

template <class In, class Mid, class C, class Mode>
void EnsembleNode<In, Mid, C, Mode>::ask_in_turn(std::size_t member, const Batch<In>& batch,
                                                 const BatchContext& context,
                                                 std::optional<std::vector<RowIndex>>& open,
                                                 const Executor* timed, Answer& answer) const {
  const bool last = member + 1 == ballot_.size();
  const Batch<In> rows = last ? batch : batch.borrowed();
  const auto say = [&](const Batch<In>& some, const BatchContext& own) {
    answer.outcomes = timed != nullptr ? ask_timed(member, some, own) : ask(member, some, own);
  };
  answer.given = true;
  answer.to_all = !open.has_value();
  if (!open.has_value()) return say(rows, context);
  std::vector<RowIndex> places;
  places.reserve(open->size());
  for (const RowIndex row : *open) places.push_back(static_cast<RowIndex>(batch.place(row)));
  answer.asked = *open;
  const ContextSelection own(context, answer.asked);
  say(rows.at_places(places), own.view());
}

}  // namespace galley::inline v1::detail

#include <galley/compose/ensembling/together.hpp>
