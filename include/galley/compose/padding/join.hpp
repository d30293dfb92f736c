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
       const BatchContext& request)
      : node(padded),
        split(split_of(sorted, batch)),
        pins(padded.pins_for(sorted, request)),
        context(pins != nullptr ? request.pinned(pins) : request),
        parts(sorted.parts.size()),
        unfit(padded.unfit_rows(std::move(sorted.unfit))),
        left(parts.size() + 1) {
    for (std::size_t p = 0; p < parts.size(); ++p) {
      parts[p].join = this;
      parts[p].what = sorted.parts[p];
    }
  }

  void start(std::size_t p, const Batch<Tensor>& all) {
    Part& part = parts[p];
    const Batch<Tensor> batch = all.at_places(split.places(p));
    const std::size_t n = batch.size();
    Result<Rows<In>> rows =
        Mode::template call<Rows<In>>([&] { return make_ready(part, split.rows(p), batch); });
    if (!rows.has_value()) {
      part.frame = FrameRef();
      return release(part, Outcomes<Out>::failed(n, within(node.name_, std::move(rows).error())));
    }
    Frame& inner = *part.frame;
    const FrameRef keep(inner);
    node.child_.submit_batch(
        *std::move(rows), inner.context.view(), inner,
        BatchCompletion<Out>(
            n, [&part](Outcomes<Out> outcomes) { part.join->answer(part, std::move(outcomes)); },
            NoExceptions()));
  }

  /// The rows of a part as the child takes them, with all that it takes to ask for them. Each part
  /// has a frame of its own: how many there are is not known beforehand.
  Result<Rows<In>> make_ready(Part& part, std::span<const RowIndex> which,
                              const Batch<Tensor>& batch) const {
    GALLEY_TRY(Rows<In> rows, node.padder_.template rows<In>(part.what, batch, nullptr));
    part.frame = node.child_.node().frames.take();
    if (!part.frame) return Error(Status::resource_exhausted, "all request frames are in use");
    part.frame->graph = node.child_.shared_node();
    part.frame->context.assign(ContextSelection(context, which).view());
    const Padding& options = node.padder_.options();
    if (options.output_axis.has_value()) {
      part.lengths.reserve(batch.size());
      for (std::size_t i = 0; i < batch.size(); ++i) {
        part.lengths.push_back(batch[i].shape()[options.axis]);
      }
    }
    node.state_->record.add(part.what, std::nullopt);
    return rows;
  }

  void answer(Part& part, Outcomes<Out> outcomes) {
    const FrameRef held = std::move(part.frame);
    const std::size_t n = outcomes.size();
    release(part, node.guarded(n, [&] {
      return node.answers(
          std::move(outcomes), part.what, n, [&part](std::size_t i) { return part.lengths[i]; },
          nullptr);
    }));
  }

  void release(Part& part, Outcomes<Out> outcomes) {
    part.outcomes = std::move(outcomes);
    release();
  }

  // acq_rel: the last one sees the outcomes that the others wrote.
  void release() {
    if (left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    Outcomes<Out> merged = node.guarded(done.rows(), [this] {
      std::vector<PartOutcomes<Out>> all;
      all.reserve(parts.size() + 1);
      for (std::size_t p = 0; p < parts.size(); ++p) {
        all.push_back({split.rows(p), std::move(parts[p].outcomes)});
      }
      all.push_back({split.rows(parts.size()), std::move(unfit)});
      return merge(done.rows(), std::span(all));
    });
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
  const Result<Join*> made = Mode::template call<Join*>(
      [&] { return &frame.make<Join>(*this, padder_.sort(batch), batch, context); });
  if (!made.has_value()) return done.fail(within(name_, made.error()));
  Join& join = **made;
  join.done = std::move(done);
  for (std::size_t p = 0, count = join.parts.size(); p < count; ++p) join.start(p, batch);
  join.release();
}

}  // namespace galley::inline v1::detail
