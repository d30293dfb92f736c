// The node behind `padded`: sorting rows, asking for their parts, and checking samples.
#pragma once

#include <galley/compose/padding/options.hpp>
#include <galley/compose/padding/padder.hpp>
#include <galley/compose/padding/samples.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/pins.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/tensor_rows.hpp>

#include <atomic>
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

template <class In, class Out, class Same, class Mode>
class PaddedNode {
 public:
  static constexpr const char* kind = "padded";

  PaddedNode(std::string name, Servable<In, Out> child, Padding options, Same same)
      : name_(std::move(name)),
        child_(std::move(child)),
        padder_(std::move(options)),
        same_(std::move(same)),
        merges_(child_.traits().inline_only && padder_.options().lengths.size() > 1 &&
                padder_.options().merge == Padding::Merge::when_cheaper),
        state_(std::make_unique<State>(padder_.options())) {}

  NodeTraits traits() const {
    NodeTraits traits = child_.traits();
    traits.mixed_shapes = true;
    return traits;
  }
  std::size_t frame_bytes() const {
    return child_.traits().inline_only ? 0 : Frame::bytes_for<Join>();
  }
  void each_child(FunctionRef<void(const NodeHeader&)> visit) const { visit(child_.node()); }

  /// Compares the samples' answers: where nothing waits on each thread that will serve, which warms
  /// every length up; else on this one, since work that waits must not hold all workers.
  Result<void> prepare(const PrepareScope& scope) const {
    GALLEY_TRY(child_.prepare(scope));
    if (padder_.options().check == Padding::Check::trust) return {};
    Result<void> same = child_.traits().inline_only
                            ? scope.each_worker([this] { return check_samples(); })
                            : check_samples();
    state_->checked.store(same.has_value(), std::memory_order_relaxed);
    if (!same.has_value()) return within(name_, std::move(same).error());
    return same;
  }

  void describe(Description& description) const;

  Result<void> control(ControlRequest& request) const {
    if (auto* statistics = request.as<PaddingStatistics>()) {
      *statistics = state_->record.statistics();
      return {};
    }
    return Error(Status::unimplemented, "a padded servable knows galley::PaddingStatistics, not " +
                                            std::string(request.type_name()));
  }

  Outcomes<Out> serve(const Batch<Tensor>& batch, const BatchContext& context) const {
    if (!is_checked()) [[unlikely]]
      return Outcomes<Out>::failed(batch.size(), unchecked());
    const auto ask_and_note = [this](const PaddedPart& part, const Batch<Tensor>& rows,
                                     const BatchContext& own) {
      return ask_timed(part, rows, own);
    };
    return guarded(batch.size(), [&] {
      if (const std::optional<PaddedPart> only = padder_.only_part(batch); only.has_value()) {
        return ask_and_note(*only, batch, context);
      }
      PaddedParts sorted = padder_.sort(batch);
      if (merges_) padder_.merge(sorted, state_->record);
      return ask_parts(std::move(sorted), batch, context, ask_and_note);
    });
  }

  void submit(Rows<Tensor>&& rows, const BatchContext& context, Frame& frame,
              BatchCompletion<Out> done) const;

 private:
  struct State {
    explicit State(const Padding& options)
        : checked(options.check == Padding::Check::trust), record(options.lengths) {}
    std::atomic<bool> checked;  // relaxed: it stands alone
    PaddingRecord record;
  };
  struct Join;

  bool is_checked() const noexcept { return state_->checked.load(std::memory_order_relaxed); }
  Error unchecked() const {
    return Error(Status::failed_precondition,
                 name_ + ": that padding changes no answer is not checked: prepare does it");
  }
  /// What `work` answers to `rows` rows, or that it threw: it takes memory.
  template <class Work>
  Outcomes<Out> guarded(std::size_t rows, Work&& work) const {
    Result<Outcomes<Out>> done =
        Mode::template call<Outcomes<Out>>([&]() -> Result<Outcomes<Out>> { return work(); });
    if (done.has_value()) [[likely]]
      return *std::move(done);
    return Outcomes<Out>::failed(rows, within(name_, std::move(done).error()));
  }
  Error refused(std::string why) const {
    return Error(Status::failed_precondition, std::move(why));
  }

  /// Rows of several parts are answered by the same versions.
  std::shared_ptr<const Pins> pins_for(const PaddedParts& sorted,
                                       const BatchContext& context) const {
    if (!child_.traits().versioned || sorted.parts.size() < 2) return nullptr;
    if (context.pins() != nullptr) return *context.shared_pins();
    auto pins = std::make_shared<Pins>();
    child_.node().table->pin(child_.node(), *pins);
    return pins;
  }

  static Split split_of(const PaddedParts& sorted, const Batch<Tensor>& batch) {
    const auto part_of = [&](std::size_t row) { return sorted.of_row[row]; };
    return *Split::by(batch, sorted.parts.size() + 1, part_of);
  }

  Outcomes<Out> unfit_rows(std::vector<Error> why) const {
    Casualties all;
    for (Error& error : why) all.append(all.size(), within(name_, std::move(error)));
    return Outcomes<Out>(Rows<Out>(), std::move(all));
  }

  /// The answers to padded rows, as those to the rows.
  template <class LengthOf>
  Outcomes<Out> answers(Outcomes<Out> padded, const PaddedPart& part, std::size_t rows,
                        LengthOf&& length_of, Workspace* workspace) const {
    if (!padded.answers(rows)) [[unlikely]] {
      return Outcomes<Out>::failed(rows, within(child_.name(), miscounted(padded.size(), rows)));
    }
    if constexpr (std::same_as<Out, Tensor>) {
      if (const auto& axis = padder_.options().output_axis; axis.has_value()) {
        return cut_back(child_.name(), std::move(padded), *axis, part.shape[padder_.options().axis],
                        length_of, workspace);
      }
    }
    return padded;
  }

  Outcomes<Out> ask(const PaddedPart& part, const Batch<Tensor>& batch,
                    const BatchContext& context) const {
    Result<Rows<In>> rows = padder_.rows<In>(part, batch, context.workspace());
    if (!rows.has_value()) {
      return Outcomes<Out>::failed(batch.size(), within(name_, std::move(rows).error()));
    }
    const auto length_of = [&](std::size_t i) { return batch[i].shape()[padder_.options().axis]; };
    return answers(child_.serve_batch(Batch<In>::last_use(*rows), context), part, batch.size(),
                   length_of, context.workspace());
  }

  Outcomes<Out> ask_timed(const PaddedPart& part, const Batch<Tensor>& batch,
                          const BatchContext& context) const {
    const Clock& clock = padder_.options().clock;
    const TimePoint start = merges_ ? clock.now() : TimePoint();
    Outcomes<Out> outcomes = ask(part, batch, context);
    std::optional<Duration> took;
    if (merges_ && outcomes.all_ok()) took = clock.now() - start;
    state_->record.add(part, took);
    return outcomes;
  }

  template <class Ask>
  Outcomes<Out> ask_parts(PaddedParts sorted, const Batch<Tensor>& batch,
                          const BatchContext& context, Ask&& ask_one) const {
    const Split split = split_of(sorted, batch);
    const std::shared_ptr<const Pins> pins = pins_for(sorted, context);
    const BatchContext bound = pins != nullptr ? context.pinned(pins) : context;
    std::vector<PartOutcomes<Out>> outcomes;
    outcomes.reserve(split.parts());
    for (std::size_t p = 0; p < sorted.parts.size(); ++p) {
      const ContextSelection own(bound, split.rows(p));
      outcomes.push_back(
          {split.rows(p), ask_one(sorted.parts[p], batch.at_places(split.places(p)), own.view())});
    }
    outcomes.push_back({split.rows(sorted.parts.size()), unfit_rows(std::move(sorted.unfit))});
    return merge(batch.size(), std::span(outcomes), context.workspace());
  }

  Result<std::vector<Outcomes<Out>>> answers_alone() const;
  Result<void> check_samples() const;

  std::string name_;
  Servable<In, Out> child_;
  Padder padder_;
  Same same_;
  bool merges_;
  std::unique_ptr<State> state_;
};

// ---- implementation ----------------------------------------------------------------------------

template <class In, class Out, class Same, class Mode>
void PaddedNode<In, Out, Same, Mode>::describe(Description& description) const {
  const Padding& options = padder_.options();
  std::string lengths;
  for (const std::size_t length : options.lengths) {
    lengths.append(lengths.empty() ? "" : ", ").append(std::to_string(length));
  }
  auto& about = description.options;
  about.emplace_back("axis", std::to_string(options.axis));
  about.emplace_back("lengths", std::move(lengths));
  about.emplace_back("value", number_text(options.value));
  if constexpr (std::same_as<In, NamedTensors>) about.emplace_back("mask", options.mask);
  if (options.output_axis.has_value()) {
    about.emplace_back("output_axis", std::to_string(*options.output_axis));
  }
  about.emplace_back("check", options.check == Padding::Check::trust ? "trust" : "samples");
  about.emplace_back("merge", options.merge == Padding::Merge::never ? "never" : "when_cheaper");
}

/// The answer to each sample as it is, not filled up.
template <class In, class Out, class Same, class Mode>
Result<std::vector<Outcomes<Out>>> PaddedNode<In, Out, Same, Mode>::answers_alone() const {
  const Rows<Tensor>& samples = padder_.options().samples;
  const Context context;
  std::vector<Outcomes<Out>> alone;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Tensor sample = samples[i];
    if (const std::optional<Error> why = padder_.unfit(sample); why.has_value()) {
      return refused("samples, row " + std::to_string(i) + ": " + why->detail);
    }
    PaddedPart part = padder_.part_of(sample, 0);
    part.shape = sample.shape();
    alone.push_back(ask(part, Batch<Tensor>(samples).slice(i, 1), BatchContext(context, 1)));
    if (!alone.back().all_ok()) {
      return refused("sample " + std::to_string(i) +
                     ", unpadded: " + to_string(alone.back()[0].error()));
    }
  }
  return alone;
}

template <class In, class Out, class Same, class Mode>
Result<void> PaddedNode<In, Out, Same, Mode>::check_samples() const {
  const Padding& options = padder_.options();
  const Rows<Tensor>& samples = options.samples;
  GALLEY_TRY(const std::vector<Outcomes<Out>> alone, answers_alone());
  const Context context;
  for (std::size_t number = 0; number < options.lengths.size(); ++number) {
    const std::int64_t length = padder_.length(number);
    std::vector<RowIndex> fits;
    bool any_is_shorter = length == 1;  // nothing is filled up to that
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const std::int64_t own = samples[i].shape()[options.axis];
      if (own <= length) fits.push_back(static_cast<RowIndex>(i));
      any_is_shorter = any_is_shorter || own < length;
    }
    if (!any_is_shorter) {
      return refused("options.samples: expected one shorter than " + std::to_string(length) +
                     ", to check filling up to that");
    }
    if (fits.empty()) continue;
    const Batch<Tensor> batch = Batch<Tensor>(samples).at_places(fits);
    const Outcomes<Out> padded =
        ask_parts(padder_.sort(batch, number), batch, BatchContext(context, fits.size()),
                  [this](const PaddedPart& part, const Batch<Tensor>& rows,
                         const BatchContext& own) { return ask(part, rows, own); });
    for (std::size_t i = 0; i < fits.size(); ++i) {
      const std::string how =
          padded[i].has_value()
              ? difference<Mode, Out>(*padded[i], *alone[fits[i]][0], options.tolerance, same_)
              : to_string(padded[i].error());
      if (how.empty()) continue;
      return refused("not safe to pad: sample " + std::to_string(fits[i]) + " filled up from " +
                     std::to_string(samples[fits[i]].shape()[options.axis]) + " to " +
                     std::to_string(length) + ": " + how);
    }
  }
  return {};
}

}  // namespace galley::inline v1::detail

#include <galley/compose/padding/join.hpp>
