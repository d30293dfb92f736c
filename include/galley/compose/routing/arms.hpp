// The arms of a route: each is given its rows, and the outcomes come back in the batch's order.
#pragma once

#include <galley/compose/routing/at_once.hpp>
#include <galley/compose/routing/choice.hpp>
#include <galley/core/collect.hpp>
#include <galley/core/exceptions.hpp>
#include <galley/core/owned_rows.hpp>
#include <galley/core/pinned.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

template <class In, class Out, class Mode>
class RouteArms {
 public:
  RouteArms(std::string name, std::vector<Servable<In, Out>> arms)
      : name_(std::move(name)), arms_(std::move(arms)) {}

  std::size_t size() const noexcept { return arms_.size(); }
  const std::string& name() const noexcept { return name_; }

  NodeTraits traits() const {
    NodeTraits traits = arms_.front().traits();
    for (const Servable<In, Out>& arm : arms_) traits = traits & arm.traits();
    return traits;
  }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    for (const Servable<In, Out>& arm : arms_) visit(arm.node());
  }

  /// What a submitted request takes from its frame, of which one arm at most takes too.
  std::size_t frame_bytes() const {
    std::size_t most = 0;
    for (const Servable<In, Out>& arm : arms_) most = std::max(most, arm.node().frame_bytes);
    return Frame::bytes_for<Join>() + most;
  }

  /// The request bound to the versions of all arms, before it is split.
  PinnedContext pinned(const BatchContext& context) const {
    return PinnedContext(context, traits(),
                         [this](PinnedContext::Visit visit) { each_child(visit); });
  }

  Outcomes<Out> serve(RouteChoice&& choice, const Batch<In>& batch,
                      const BatchContext& context) const {
    if (choice.is_one()) [[likely]]
      return arms_[choice.arm].serve_batch(batch, context);
    return serve_parts(std::move(choice), batch, context);
  }

  void submit(RouteChoice&& choice, Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out>&& done) const {
    if (choice.is_one()) {
      return arms_[choice.arm].submit_batch(std::move(rows), context, frame, std::move(done));
    }
    Join& join =
        frame.make<Join>(*this, std::move(choice), Batch<In>(rows), context, std::move(done));
    join.start(Batch<In>::last_use(rows), frame);
  }

 private:
  Split split(const RouteChoice& choice, const Batch<In>& batch) const {
    return *Split::by(batch, size() + 1, [&](std::size_t i) { return choice.of_row[i]; });
  }

  static Outcomes<Out> refused(std::vector<Error>&& why) {
    Casualties all;
    for (Error& error : why) all.append(all.size(), std::move(error));
    return Outcomes<Out>(Rows<Out>(), std::move(all));
  }

  /// The parts that have rows whose arms must wait, in order.
  std::vector<std::size_t> waiting(const Split& split) const {
    std::vector<std::size_t> parts;
    for (std::size_t p = 0; p < size(); ++p) {
      if (!split.rows(p).empty() && !arms_[p].traits().inline_only) parts.push_back(p);
    }
    return parts;
  }

  /// True where this thread may submit to all these arms and then wait. Not a worker: what it runs
  /// while it waits could be what waits for it.
  bool may_wait(std::span<const std::size_t> parts, WaitPlan& plan) const {
    if (parts.size() < 2 || Worker::current() != nullptr) return false;
    for (const std::size_t p : parts) {
      arms_[p].node().table->plan_wait(arms_[p].node(), plan);
    }
    return plan.possible();
  }

  /// Out of line: where all rows go one way, this is not needed.
  [[gnu::noinline]] Outcomes<Out> serve_parts(RouteChoice choice, const Batch<In>& batch,
                                              const BatchContext& context) const {
    const Split parts = split(choice, batch);
    const PinnedContext pinned_context = pinned(context);
    const BatchContext& bound = pinned_context.view();
    std::vector<Outcomes<Out>> answers(size() + 1);
    answers.back() = refused(std::move(choice.refused));

    std::vector<std::size_t> apart = waiting(parts);
    WaitPlan plan;
    if (may_wait(apart, plan)) {
      apart.pop_back();  // the last is asked by this thread, which may then compute
    } else {
      apart.clear();
    }
    std::shared_ptr<AtOnce<Out>> at_once;
    if (!apart.empty()) at_once = std::make_shared<AtOnce<Out>>(apart.size());
    for (std::size_t i = 0; i < apart.size(); ++i) {
      submit_apart(apart[i], parts, batch, bound, at_once->owed(i, parts.rows(apart[i]).size()));
    }
    for (std::size_t p = 0; p < size(); ++p) {
      if (parts.rows(p).empty() || std::ranges::find(apart, p) != apart.end()) continue;
      const ContextSelection own(bound, parts.rows(p));
      answers[p] = arms_[p].serve_batch(batch.at_places(parts.places(p)), own.view());
    }
    if (at_once != nullptr) {
      const WaitEnd end = at_once->wait(plan, context);
      for (std::size_t i = 0; i < apart.size(); ++i) {
        answers[apart[i]] = at_once->take(i, parts.rows(apart[i]).size(), end, name_);
      }
    }
    return merged(parts, std::span(answers), batch.size(), context.workspace());
  }

  /// Rows that are copied for it may throw; then they fail.
  void submit_apart(std::size_t p, const Split& parts, const Batch<In>& batch,
                    const BatchContext& context, BatchCompletion<Out> done) const {
    Result<Rows<In>> rows = Mode::template call<Rows<In>>(
        [&] { return own_rows(batch.at_places(parts.places(p)).to_rows()); });
    if (!rows.has_value()) return done.fail(within(name_, std::move(rows).error()));
    const ContextSelection own(context, parts.rows(p));
    arms_[p].submit_apart(*std::move(rows), own.view().without_workspace(), std::move(done));
  }

  static Outcomes<Out> merged(const Split& parts, std::span<Outcomes<Out>> answers,
                              std::size_t rows, Workspace* workspace) {
    std::vector<PartOutcomes<Out>> all;
    all.reserve(answers.size());
    for (std::size_t p = 0; p < answers.size(); ++p) {
      if (!parts.rows(p).empty()) all.push_back({parts.rows(p), std::move(answers[p])});
    }
    return merge(rows, std::span(all), workspace);
  }

  /// A submitted request whose parts are being answered; the last of them answers it.
  struct Join {
    Join(const RouteArms& route, RouteChoice&& choice, const Batch<In>& batch,
         const BatchContext& request, BatchCompletion<Out>&& owed)
        : arms(route),
          parts(route.split(choice, batch)),
          pinned(route.pinned(request)),
          collect(route.size() + 2),
          done(std::move(owed)) {
      put(route.size(), refused(std::move(choice.refused)));
    }

    /// One arm may use the request's frame, which one thread at a time takes memory from; others
    /// that wait have frames of their own. Those that wait for nobody are asked when all others
    /// are on their way.
    void start(const Batch<In>& batch, Frame& frame) {
      const std::vector<std::size_t> later = arms.waiting(parts);
      for (std::size_t p = 0; p < arms.size(); ++p) {
        if (parts.rows(p).empty()) put(p, Outcomes<Out>());
      }
      for (std::size_t i = 0; i + 1 < later.size(); ++i) {
        arms.submit_apart(later[i], parts, batch, pinned.view(), owed(later[i]));
      }
      if (!later.empty()) {
        const std::size_t p = later.back();
        own.emplace(pinned.view(), parts.rows(p));
        arms.arms_[p].submit_batch(batch.at_places(parts.places(p)).to_rows(), own->view(), frame,
                                   owed(p));
      }
      for (std::size_t p = 0; p < arms.size(); ++p) {
        if (parts.rows(p).empty() || !arms.arms_[p].traits().inline_only) continue;
        const ContextSelection selected(pinned.view(), parts.rows(p));
        put(p, arms.arms_[p].serve_batch(batch.at_places(parts.places(p)), selected.view()));
      }
      put(arms.size() + 1, Outcomes<Out>());  // all are asked
    }

    BatchCompletion<Out> owed(std::size_t p) {
      return BatchCompletion<Out>(
          parts.rows(p).size(),
          [this, p](Outcomes<Out>&& outcomes) { put(p, std::move(outcomes)); }, NoExceptions());
    }

    void put(std::size_t p, Outcomes<Out>&& outcomes) {
      if (!collect.put(p, std::move(outcomes))) return;
      Outcomes<Out> all =
          merged(parts, collect.answers().first(arms.size() + 1), done.rows(), nullptr);
      BatchCompletion<Out> answer = std::move(done);
      this->~Join();
      answer(std::move(all));
    }

    const RouteArms& arms;
    const Split parts;
    const PinnedContext pinned;
    std::optional<ContextSelection> own;
    Collect<Out> collect;  // the arms', the refused rows', and that of `start`
    BatchCompletion<Out> done;
  };

  std::string name_;
  std::vector<Servable<In, Out>> arms_;
};

}  // namespace galley::inline v1::detail
