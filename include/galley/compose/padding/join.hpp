// How a submitted request is padded, and its parts become one answer.
#pragma once

#include <galley/compose/padding/node.hpp>

namespace galley::inline v1::detail {

/// A submitted request whose parts are being answered; the last of them answers it.
template <class In, class Out, class Same, class Mode>
struct PaddedNode<In, Out, Same, Mode>::Join {
  struct Part {
    Join* join = nullptr;
    PaddedPart what = {};
    std::vector<std::int64_t> lengths = {};  // of the rows, where answers are cut back
    Outcomes<Out> outcomes = {};
    FrameRef frame = {};
  };

  Join(const PaddedNode& padded, PaddedParts sorted, const Batch<Tensor>& batch,
       const BatchContext& request, BatchCompletion<Out> owed)
      : node(padded),
        split(split_of(sorted, batch)),
        pins(padded.pins_for(sorted, request)),
        context(pins != nullptr ? request.pinned(pins) : request),
        parts(sorted.parts.size()),
        unfit(padded.unfit_rows(std::move(sorted.unfit))),
        left(parts.size() + 1),
        done(std::move(owed)) {
    for (std::size_t p = 0; p < parts.size(); ++p) {
      parts[p].join = this;
      parts[p].what = sorted.parts[p];
    }
  }

  /// Each part has a frame of its own: how many there are is not known beforehand.
  void start(std::size_t p, const Batch<Tensor>& all) {
    Part& part = parts[p];
    const Batch<Tensor> batch = all.at_places(split.places(p));
    const std::size_t n = batch.size();
    Result<Rows<In>> rows = node.padder_.template rows<In>(part.what, batch, nullptr);
    if (!rows.has_value()) {
      return release(part, Outcomes<Out>::failed(n, within(node.name_, std::move(rows).error())));
    }
    FrameRef taken = node.child_.node().frames.take();
    if (!taken) {
      return release(
          part, Outcomes<Out>::failed(n, Error(Status::resource_exhausted,
                                               node.name_ + ": all request frames are in use")));
    }
    const Padding& options = node.padder_.options();
    if (options.output_axis.has_value()) {
      for (std::size_t i = 0; i < n; ++i) {
        part.lengths.push_back(batch[i].shape()[options.axis]);
      }
    }
    node.state_->record.add(part.what, std::nullopt);
    const ContextSelection own(context, split.rows(p));
    const FrameRef keep(*taken);
    Frame& inner = *taken;
    inner.graph = node.child_.shared_node();
    inner.context.assign(own.view());
    part.frame = std::move(taken);
    node.child_.submit_batch(
        *std::move(rows), inner.context.view(), inner,
        BatchCompletion<Out>(
            n, [&part](Outcomes<Out> outcomes) { part.join->answer(part, std::move(outcomes)); },
            NoExceptions()));
  }

  void answer(Part& part, Outcomes<Out> outcomes) {
    const FrameRef held = std::move(part.frame);
    const std::size_t n = outcomes.size();
    release(part, node.answers(
                      std::move(outcomes), part.what, n,
                      [&part](std::size_t i) { return part.lengths[i]; }, nullptr));
  }

  void release(Part& part, Outcomes<Out> outcomes) {
    part.outcomes = std::move(outcomes);
    release();
  }

  // acq_rel: the last one sees the outcomes that the others wrote.
  void release() {
    if (left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    std::vector<PartOutcomes<Out>> all;
    all.reserve(parts.size() + 1);
    for (std::size_t p = 0; p < parts.size(); ++p) {
      all.push_back({split.rows(p), std::move(parts[p].outcomes)});
    }
    all.push_back({split.rows(parts.size()), std::move(unfit)});
    Outcomes<Out> merged = merge(done.rows(), std::span(all));
    BatchCompletion<Out> owed = std::move(done);
    this->~Join();
    owed(std::move(merged));
  }

  const PaddedNode& node;
  const Split split;
  const std::shared_ptr<const Pins> pins;
  const BatchContext context;
  std::vector<Part> parts;
  Outcomes<Out> unfit;
  std::atomic<std::size_t> left;  // parts, and `submit`
  BatchCompletion<Out> done;
};

template <class In, class Out, class Same, class Mode>
void PaddedNode<In, Out, Same, Mode>::submit(Rows<Tensor>&& rows, const BatchContext& context,
                                             Frame& frame, BatchCompletion<Out> done) const {
  if (!is_checked()) [[unlikely]]
    return done.fail(unchecked());
  const Batch<Tensor> batch(rows);
  Join& join = frame.make<Join>(*this, padder_.sort(batch), batch, context, std::move(done));
  for (std::size_t p = 0, count = join.parts.size(); p < count; ++p) join.start(p, batch);
  join.release();
}

}  // namespace galley::inline v1::detail
