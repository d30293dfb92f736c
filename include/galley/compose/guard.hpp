// guard: rows are checked before the servable sees them.
#pragma once

#include <galley/compose/guarding/screen.hpp>
#include <galley/core/servable.hpp>
#include <galley/policy/check.hpp>
#include <galley/policy/check/all_of.hpp>
#include <galley/policy/check/field.hpp>
#include <galley/policy/check/repairing.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// Answered by a guard to `control`: what became of rows that did not simply go on.
struct GuardStatistics {
  std::uint64_t refused = 0;   ///< Answered with the check's error.
  std::uint64_t answered = 0;  ///< Answered by the check.
  std::uint64_t repaired = 0;  ///< Went on changed.
};

/// Anything that may guard a servable from In to Out: a check, a repair or an early answer.
template <class C, class In, class Out>
concept GuardCheck = RowCheck<C, In> || RowRepair<C, In> || RowAnswer<C, In, Out>;

namespace detail {

template <class In, class Out, class Check, class Mode>
class GuardNode {
 public:
  static constexpr const char* kind = "guard";
  using Screening = Screen<In, Out, Check, Mode>;

  GuardNode(std::string name, Check check, Servable<In, Out> child)
      : name_(std::move(name)),
        screen_{std::move(check)},
        child_(std::move(child)),
        counts_(std::make_unique<Counts>()) {}

  NodeTraits traits() const { return child_.traits(); }
  std::size_t frame_bytes() const {
    return traits().inline_only ? 0 : Frame::bytes_for<Held>() + child_.node().frame_bytes;
  }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const { visit(child_.node()); }
  void describe(Description& description) const {
    std::string what = check_text(screen_.check);
    if (what.empty()) {
      what = Screening::mends ? "repairing" : Screening::answers ? "answering" : "a function";
    }
    description.options.emplace_back("check", std::move(what));
  }
  Result<void> control(ControlRequest& request) const {
    if (auto* statistics = request.as<GuardStatistics>()) {
      *statistics = {.refused = counts_->refused.load(std::memory_order_relaxed),
                     .answered = counts_->answered.load(std::memory_order_relaxed),
                     .repaired = counts_->repaired.load(std::memory_order_relaxed)};
      return {};
    }
    return Error(Status::unimplemented,
                 "a guard knows galley::GuardStatistics, not " + std::string(request.type_name()));
  }

  Outcomes<Out> serve(const Batch<In>& batch, const BatchContext& context) const {
    Screened<In, Out> found = screen_.screen(batch, name_);
    if (found.all_fit) [[likely]]
      return child_.serve_batch(batch, context);
    return serve_some(found, batch, context);
  }

  void submit(Rows<In>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const {
    const Batch<In> batch = Batch<In>::last_use(rows);
    Screened<In, Out> found = screen_.screen(batch, name_);
    if (found.all_fit) {
      return child_.submit_batch(std::move(rows), context, frame, std::move(done));
    }
    Rows<In> on = onward(found, batch);
    if (!found.any_go_on()) return done(found.finish(rows.size(), Outcomes<Out>(), nullptr));
    const std::size_t n = on.size();
    Held& held = frame.make<Held>(std::move(found), context, std::move(done));
    child_.submit_batch(
        std::move(on), held.own.view(), frame,
        BatchCompletion<Out>(
            n, [&held](Outcomes<Out>&& later) { held.answer(std::move(later)); }, NoExceptions()));
  }

 private:
  struct Counts {  // relaxed: nothing but the counts is shared
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> answered{0};
    std::atomic<std::uint64_t> repaired{0};
  };

  /// A submitted request whose fit rows are at the child.
  struct Held {
    Held(Screened<In, Out>&& all, const BatchContext& request, BatchCompletion<Out>&& owed)
        : found(std::move(all)), own(request, found.on), done(std::move(owed)) {}
    void answer(Outcomes<Out>&& later) {
      Outcomes<Out> all = found.finish(done.rows(), std::move(later), nullptr);
      BatchCompletion<Out> owed = std::move(done);
      this->~Held();
      owed(std::move(all));
    }
    Screened<In, Out> found;
    ContextSelection own;
    BatchCompletion<Out> done;
  };

  void count(const Screened<In, Out>& found) const noexcept {
    const auto add = [](std::atomic<std::uint64_t>& to, std::size_t rows) {
      if (rows != 0) to.fetch_add(rows, std::memory_order_relaxed);
    };
    add(counts_->refused, found.refused.size());
    add(counts_->answered, found.answered.size());
    add(counts_->repaired, found.mended.size());
  }

  /// The rows that go on, as a batch of their own.
  Rows<In> onward(Screened<In, Out>& found, const Batch<In>& batch) const {
    count(found);
    if (!found.mended.empty()) return Screening::rows_to_go_on(batch, name_, found);
    return batch.at_places(places(found, batch)).to_rows();
  }

  static std::vector<RowIndex> places(const Screened<In, Out>& found, const Batch<In>& batch) {
    std::vector<RowIndex> at;
    at.reserve(found.on.size());
    for (const RowIndex row : found.on) at.push_back(static_cast<RowIndex>(batch.place(row)));
    return at;
  }

  /// Out of line: where all rows are fit, this is not needed.
  [[gnu::noinline]] Outcomes<Out> serve_some(Screened<In, Out>& found, const Batch<In>& batch,
                                             const BatchContext& context) const {
    Outcomes<Out> later;
    if (!found.mended.empty()) {
      Rows<In> rows = onward(found, batch);
      if (found.any_go_on()) {
        const ContextSelection own(context, found.on);
        later = child_.serve_batch(Batch<In>::last_use(rows), own.view());
      }
    } else {
      count(found);
      if (found.any_go_on()) {
        const std::vector<RowIndex> at = places(found, batch);
        const ContextSelection own(context, found.on);
        later = child_.serve_batch(batch.at_places(at), own.view());
      }
    }
    return found.finish(batch.size(), std::move(later), context.workspace());
  }

  std::string name_;
  Screening screen_;
  Servable<In, Out> child_;
  std::unique_ptr<Counts> counts_;
};

}  // namespace detail

/// The same servable, for rows that `check` finds fit: the others are answered at once, with the
/// check's error or, by `answering`, its answer, and do not reach the servable. By `repairing` they
/// go on mended.
///
/// Checks look at rows before batching gathers them where the guard is outermost, so that one
/// caller's bad row is nobody else's. `control` answers `GuardStatistics`.
///
/// Errors   the check's, invalid_argument unless it says otherwise, "guard(net): input: element 17:
///          expected a finite number, got nan"; internal: it threw
/// Threads  thread-safe
/// Cost     the check's; where all rows are fit, no copy and no allocation
/// Example  guard(all_of(shape_is({1, 8, 8}), finite()), net)
template <class C, class In, class Out, class Mode = detail::ExceptionMode>
  requires(GuardCheck<C, In, Out>)
Servable<In, Out> guard(C check, Servable<In, Out> servable, Mode = {}) {
  std::string name = "guard(" + servable.name() + ")";
  using Node = detail::GuardNode<In, Out, C, Mode>;
  Node node(name, std::move(check), std::move(servable));
  return Servable<In, Out>::of_node(std::move(name), std::move(node));
}

}  // namespace galley::inline v1
