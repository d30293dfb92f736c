// The node behind `logic`: who asks the servables, now or later.
#pragma once

#include <galley/compose/logic/run.hpp>
#include <galley/core/owned_rows.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>

#include <atomic>
#include <cstddef>
#include <string>
#include <tuple>
#include <utility>

namespace galley::inline v1::detail {

template <class Step>
class LogicNode {
 public:
  static constexpr const char* kind = "logic";
  using In = typename Step::In;
  using Out = typename Step::Out;
  using Run = LogicRun<Step>;
  static constexpr auto each_model = Run::each_model;

  explicit LogicNode(Step step) : step_(std::move(step)) {}

  NodeTraits traits() const { return traits_of(step_.models); }
  std::size_t frame_bytes() const { return traits().inline_only ? 0 : Frame::bytes_for<Join>(); }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const {
    std::apply([&](const auto&... models) { (visit(models.node()), ...); }, step_.models);
  }
  void describe(Description& description) const {
    auto& about = description.options;
    about.emplace_back("max_calls", std::to_string(step_.options.max_calls));
    about.emplace_back("kept_frames", std::to_string(step_.options.kept_frames));
  }
  Result<void> control(ControlRequest& request) const {
    if (auto* statistics = request.as<LogicStatistics>()) {
      const auto& counts = *step_.shared;
      constexpr auto relaxed = std::memory_order_relaxed;
      *statistics = {.requests = counts.requests.load(relaxed),
                     .rows = counts.rows.load(relaxed),
                     .calls = counts.calls.load(relaxed),
                     .batches = counts.batches.load(relaxed)};
      return {};
    }
    return Error(Status::unimplemented,
                 "a logic knows galley::LogicStatistics, not " + std::string(request.type_name()));
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    Run run(step_, batch, context);
    while (run.advance()) serve_waiting(run, each_model);
    return std::move(run).outcomes();
  }

  void submit(Rows<In> rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    // A stage before may give what it borrows, and the coroutines keep the rows.
    if (const Result<void> owned = make_owned(rows); !owned.has_value()) {
      return done.fail(owned.error());
    }
    frame.make<Join>(step_, std::move(rows), context, frame, std::move(done)).go_on();
  }

  template <class... Models>
  static NodeTraits traits_of(const std::tuple<Models...>& models) {
    return std::apply([](const auto&... model) { return (model.traits() & ...); }, models);
  }

 private:
  template <std::size_t... k>
  void serve_waiting(Run& run, std::index_sequence<k...>) const {
    (serve_calls<k>(run), ...);
  }
  template <std::size_t k>
  void serve_calls(Run& run) const {
    if (run.template waiting<k>() == 0) return;
    const ContextSelection asked(run.context(), run.template rows<k>().span());
    auto values = run.template values<k>();
    using Values = Batch<typename Run::template A<k>>;
    run.template give<k>(
        std::get<k>(step_.models).serve_batch(Values::last_use(values), asked.view()));
  }

  /// A request whose calls are being answered.
  struct Join {
    Join(const Step& logic, Rows<In> batch, const BatchContext& request, Frame& memory,
         BatchCompletion<Out> owed)
        : step(logic),
          rows(std::move(batch)),
          run(step, Batch<In>::last_use(rows), request),
          frame(memory),
          done(std::move(owed)) {}

    /// Goes on round after round, until one waits for another thread or all rows have ended.
    void go_on() {
      const FrameRef keep(frame);
      while (run.advance()) {
        ask_waiting(each_model);
        if (!is_last()) return;
      }
      BatchCompletion<Out> owed = std::move(done);
      Outcomes<Out> outcomes = std::move(run).outcomes();
      this->~Join();
      owed(std::move(outcomes));
    }

    /// Servables that answer later are asked first: they work while the others do.
    template <std::size_t... k>
    void ask_waiting(std::index_sequence<k...>) {
      const std::size_t batches = ((run.template waiting<k>() > 0 ? 1U : 0U) + ...);
      left.store(batches + 1, std::memory_order_relaxed);
      (ask<k>(false), ...);
      (ask<k>(true), ...);
    }
    template <std::size_t k>
    void ask(bool now) {
      const auto& model = std::get<k>(step.models);
      const std::size_t calls = run.template waiting<k>();
      if (calls == 0 || model.traits().inline_only != now) return;
      using Found = typename Run::template B<k>;
      const ContextSelection asked(run.context(), run.template rows<k>().span());
      model.submit_apart(run.template values<k>(), asked.view(),
                         BatchCompletion<Found>(
                             calls,
                             [this](Outcomes<Found> found) {
                               run.template give<k>(std::move(found));
                               if (is_last()) go_on();
                             },
                             NoExceptions()));
    }

    /// True for the last of whoever asked and the batches' answers, who goes on. acq_rel: it sees
    /// what the others wrote.
    bool is_last() noexcept { return left.fetch_sub(1, std::memory_order_acq_rel) == 1; }

    const Step& step;
    Rows<In> rows;
    Run run;
    Frame& frame;
    BatchCompletion<Out> done;
    std::atomic<std::size_t> left{0};
  };

  Step step_;
};

}  // namespace galley::inline v1::detail
