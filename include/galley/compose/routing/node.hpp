// The nodes behind `route`.
#pragma once

#include <galley/compose/routing/arms.hpp>
#include <galley/compose/routing/options.hpp>
#include <galley/core/pinned.hpp>

#include <array>
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

/// What all routes share: labels, counts and live weights, in one piece so that a node can move.
class RouteShell {
 public:
  RouteShell(std::vector<std::string> labels, std::uint64_t seed, const RouteWeights& weights)
      : labels_(std::move(labels)),
        seed_(seed),
        state_(std::make_unique<RouteState>(labels_.size(), weights)) {}

  std::span<const std::string> labels() const noexcept { return labels_; }
  std::uint64_t seed() const noexcept { return seed_; }
  RouteState& state() const noexcept { return *state_; }

  void count(const RouteChoice& choice, std::size_t rows) const {
    if (choice.is_one()) return state_->rows.add(choice.arm, rows);
    std::vector<std::size_t> sums(labels_.size() + 1);
    for (const RowIndex arm : choice.of_row) ++sums[arm];
    for (std::size_t arm = 0; arm < sums.size(); ++arm) {
      if (sums[arm] != 0) state_->rows.add(arm, sums[arm]);
    }
  }

  void describe(Description& description) const {
    auto& about = description.options;
    std::string labels;
    for (const std::string& label : labels_) {
      labels.append(labels.empty() ? "" : ", ").append(label);
    }
    about.emplace_back("labels", std::move(labels));
    if (state_->weights.size() == 0) return;
    std::array<double, RouteWeights::max_arms> now;
    std::string weights;
    for (const double weight : state_->weights.read(now)) {
      weights.append(weights.empty() ? "" : ", ").append(plain_number(weight));
    }
    about.emplace_back("weights", std::move(weights));
    about.emplace_back("seed", std::to_string(seed_));
  }

  Result<void> control(ControlRequest& request) const {
    if (auto* statistics = request.as<RouteStatistics>()) {
      statistics->labels = labels_;
      statistics->rows.clear();
      for (std::size_t arm = 0; arm < labels_.size(); ++arm) {
        statistics->rows.push_back(state_->rows.sum(arm));
      }
      statistics->refused = state_->rows.sum(labels_.size());
      return {};
    }
    if (const auto* set = request.as<SetWeights>()) return set_weights(*set);
    return Error(Status::unimplemented,
                 "a route knows galley::RouteStatistics and galley::SetWeights, not " +
                     std::string(request.type_name()));
  }

 private:
  Result<void> set_weights(const SetWeights& set) const {
    if (state_->weights.size() == 0) {
      return Error(Status::failed_precondition, "this route has no weights to set");
    }
    GALLEY_TRY(set.weights.check(labels_.size()));
    state_->weights.write(set.weights.span());
    return {};
  }

  std::vector<std::string> labels_;
  std::uint64_t seed_;
  std::unique_ptr<RouteState> state_;
};

/// A route by a policy or a rule, `Choose`.
template <class In, class Out, class Choose, class Mode>
class RouteNode {
 public:
  static constexpr const char* kind = "route";

  RouteNode(RouteArms<In, Out, Mode> arms, Choose choose, RouteShell shell)
      : arms_(std::move(arms)), choose_(std::move(choose)), shell_(std::move(shell)) {}

  NodeTraits traits() const {
    NodeTraits traits = arms_.traits();
    traits.deterministic = traits.deterministic && choose_.is_deterministic();
    return traits;
  }
  std::size_t frame_bytes() const { return traits().inline_only ? 0 : arms_.frame_bytes(); }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const { arms_.each_child(visit); }
  void describe(Description& description) const {
    description.options = choose_.about();
    shell_.describe(description);
  }
  Result<void> control(ControlRequest& request) const { return shell_.control(request); }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    if (batch.empty()) return {};
    return arms_.serve(choose(batch, context), batch, context);
  }
  void submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    if (rows.empty()) return done(Outcomes<Out>());
    RouteChoice choice = choose(Batch<In>(rows), context);
    arms_.submit(std::move(choice), std::move(rows), context, frame, std::move(done));
  }

 private:
  RouteChoice choose(const Batch<In>& batch, const BatchContext& context) const {
    RouteChoice choice = choose_.choose(batch, context, shell_.state(),
                                        RouteNames{arms_.name(), shell_.labels()}, shell_.seed());
    shell_.count(choice, batch.size());
    return choice;
  }

  RouteArms<In, Out, Mode> arms_;
  Choose choose_;
  RouteShell shell_;
};

/// A route by a servable that answers with each row's arm.
template <class In, class Out, class Mode>
class ClassifiedRouteNode {
 public:
  static constexpr const char* kind = "route";
  using Classifier = Servable<In, std::size_t>;

  ClassifiedRouteNode(RouteArms<In, Out, Mode> arms, Classifier classifier, RouteShell shell)
      : arms_(std::move(arms)), classifier_(std::move(classifier)), shell_(std::move(shell)) {}

  NodeTraits traits() const { return classifier_.traits() & arms_.traits(); }
  std::size_t frame_bytes() const {
    if (traits().inline_only) return 0;
    return Frame::bytes_for<Classified>() + classifier_.node().frame_bytes + arms_.frame_bytes();
  }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    visit(classifier_.node());
    arms_.each_child(visit);
  }
  void describe(Description& description) const {
    description.options.emplace_back("by", "classifier");
    shell_.describe(description);
  }
  Result<void> control(ControlRequest& request) const { return shell_.control(request); }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    if (batch.empty()) return {};
    const PinnedContext bound = pinned(context);
    RouteChoice choice = chosen(classifier_.serve_batch(batch.borrowed(), bound.view()));
    return arms_.serve(std::move(choice), batch, bound.view());
  }

  void submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    if (rows.empty()) return done(Outcomes<Out>());
    if (classifier_.traits().inline_only && !needs_pins()) {
      RouteChoice choice = chosen(classifier_.serve_batch(Batch<In>(rows), context));
      return arms_.submit(std::move(choice), std::move(rows), context, frame, std::move(done));
    }
    Result<Rows<In>> copy = Mode::template call<Rows<In>>([&] { return Rows<In>(rows); });
    if (!copy.has_value()) return done.fail(within(arms_.name(), std::move(copy).error()));
    const std::size_t n = rows.size();
    Classified& held =
        frame.make<Classified>(*this, std::move(rows), context, frame, std::move(done));
    classifier_.submit_batch(
        *std::move(copy), held.pinned.view(), frame,
        BatchCompletion<std::size_t>(
            n, [&held](Outcomes<std::size_t>&& said) { held.go_on(std::move(said)); },
            NoExceptions()));
  }

 private:
  /// The classifier is asked before the arms, maybe of the same slots.
  bool needs_pins() const { return classifier_.traits().versioned && arms_.traits().versioned; }
  PinnedContext pinned(const BatchContext& context) const {
    return PinnedContext(context, NodeTraits{.versioned = needs_pins()},
                         [this](PinnedContext::Visit visit) { each_child(visit); });
  }

  RouteChoice chosen(Outcomes<std::size_t> said) const {
    RouteChoice choice;
    const std::size_t n = said.size();
    RouteChoiceMaker made(n, RouteNames{arms_.name(), shell_.labels()}, choice);
    auto failed = said.casualties().mutable_span();
    std::size_t survivor = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (!failed.empty() && failed.front().row == i) {
        made.fail(std::move(failed.front().error));
        failed = failed.subspan(1);
      } else {
        made.add(said.survivors()[survivor++]);
      }
    }
    shell_.count(choice, n);
    return choice;
  }

  /// A submitted request at the classifier.
  struct Classified {
    Classified(const ClassifiedRouteNode& route, Rows<In>&& batch, const BatchContext& request,
               Frame& memory, BatchCompletion<Out>&& owed)
        : node(route),
          rows(std::move(batch)),
          pinned(route.pinned(request)),
          frame(memory),
          done(std::move(owed)) {}

    void go_on(Outcomes<std::size_t>&& said) {
      const FrameRef keep(frame);  // answering may let go of the request's own reference
      const std::size_t n = rows.size();
      node.arms_.submit(node.chosen(std::move(said)), std::move(rows), pinned.view(), frame,
                        BatchCompletion<Out>(
                            n,
                            [this](Outcomes<Out>&& outcomes) {
                              BatchCompletion<Out> answer = std::move(done);
                              this->~Classified();
                              answer(std::move(outcomes));
                            },
                            NoExceptions()));
    }

    const ClassifiedRouteNode& node;
    Rows<In> rows;
    const PinnedContext pinned;  // what the classifier and the arms are told
    Frame& frame;
    BatchCompletion<Out> done;
  };

  RouteArms<In, Out, Mode> arms_;
  Classifier classifier_;
  RouteShell shell_;
};

}  // namespace galley::inline v1::detail
