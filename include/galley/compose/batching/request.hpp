// A request in the queue of a batcher, and what a batch is made of.
#pragma once

#include <galley/compose/batching/columns.hpp>
#include <galley/compose/batching/gather.hpp>
#include <galley/compose/batching/pieces.hpp>
#include <galley/compose/batching/queue.hpp>
#include <galley/core/completion.hpp>
#include <galley/core/context.hpp>
#include <galley/core/frame.hpp>
#include <galley/core/function_ref.hpp>
#include <galley/core/pins.hpp>
#include <galley/core/result.hpp>
#include <galley/core/traced_rows.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <optional>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// A request of a batcher, in its frame. It goes when it is answered and no batch holds rows of it.
template <class In, class Out>
struct BatchRequest : Queued {
  /// What a stop does; see `Batcher::cancel`.
  struct OnStop {
    void (*cancel)(void* batcher, BatchRequest& request) noexcept;
    void* batcher;
    BatchRequest* request;
    void operator()() const noexcept { cancel(batcher, *request); }
  };

  BatchRequest(Rows<In>&& batch, const BatchContext& request, Frame& memory,
               BatchCompletion<Out>&& owed)
      : values(std::move(batch)), frame(memory), done(std::move(owed)), context_(request) {
    rows = static_cast<RowIndex>(values.size());
    if (request.is_single()) deadline = request.context().deadline;
  }

  /// Sees to it that the context lasts as long as this.
  void keep_context() {
    const bool lasts = context_.is_uniform() && context_.shared_pins() == nullptr &&
                       frame->context.holds(context_.context());
    if (!lasts) context_ = copy_.emplace().keep(context_);
  }

  /// Room for what its running batches will add, and for `more`, where it is split.
  void make_room_for(std::size_t more) {
    if (pieces != nullptr) pieces->make_room_for(running + more);
  }

  /// Adds the outcomes of some rows, for which room was made; the answer, once there are those of
  /// all.
  std::optional<Answer<Out>> add(RowIndex first, Outcomes<Out> outcomes) {
    answered += static_cast<RowIndex>(outcomes.size());
    if (pieces == nullptr) {
      GALLEY_ASSERT(answered == rows);
      return Answer<Out>{std::move(done), std::move(outcomes)};
    }
    pieces->add(first, std::move(outcomes));
    if (answered != rows) return std::nullopt;
    return Answer<Out>{std::move(done), {}, std::move(pieces)};
  }

  /// Ends it; nobody may name it any more. Not under a lock: it waits for a stop's callback.
  void destroy() noexcept {
    const FrameRef keep = std::move(frame);
    this->~BatchRequest();
  }

  /// Whose rows these are: valid as long as this, also for a child that goes on after a shutdown's
  /// answer.
  const BatchContext& context() const noexcept { return context_; }

  /// Binds it to these versions: before it is split.
  void bind(std::shared_ptr<const Pins> pins) noexcept {
    pins_ = std::move(pins);
    context_ = context_.pinned(pins_);
  }

  Rows<In> values;
  FrameRef frame;
  BatchCompletion<Out> done;
  std::optional<std::stop_callback<OnStop>> on_stop;

  // Under the batcher's lock.
  std::unique_ptr<Pieces<Out>> pieces;  // of a request that was split
  RowIndex answered = 0;
  RowIndex running = 0;  // batches that hold rows of it
  bool stopped = false;

 private:
  std::optional<OwnedBatchContext> copy_;  // where the frame does not hold the context itself
  BatchContext context_;
  std::shared_ptr<const Pins> pins_;  // of a request that was split
};

/// Some rows of a request, in a batch.
template <class In, class Out>
struct BatchPart {
  BatchRequest<In, Out>* request;
  RowIndex first;
  RowIndex count;

  bool is_whole() const noexcept { return count == request->rows; }
};

/// The contexts and keys of a merged batch.
class MergedContext {
 public:
  explicit MergedContext(Workspace* workspace = nullptr)
      : runs_(resource_of(workspace)), keys_(resource_of(workspace)) {}

  void clear() {
    runs_.clear();
    keys_.clear();
    neutral_.clear();
    if (!traced_.empty()) traced_ = Rows<TracedRows>();
    rows_ = 0;
  }
  /// Nobody's deadline or stop takes a row out of this batch, whose size is to stay.
  void keep_rows() {
    neutral_.reserve(runs_.size());  // they stay where they are
    for (RequestRun& run : runs_) {
      Context same = *run.context;
      same.deadline = Instant();
      same.stop = std::stop_token();
      run.context = &neutral_.emplace_back(std::move(same));
    }
  }

  /// Rows `first` to `first + count - 1` of a request go next.
  void add(const BatchContext& request, std::size_t first, std::size_t count) {
    if (request.traced() != nullptr) [[unlikely]]
      slice_traced(traced_, *request.traced(), first, count, rows_);
    add_untraced(request, first, count);
  }

  /// A row of a request goes again, as often; its trace does not name it again.
  void repeat(const BatchContext& request, std::size_t row, std::size_t times) {
    for (; times != 0; --times) add_untraced(request, row, 1);
  }

  BatchContext view(const std::shared_ptr<const Pins>* pins) const {
    return BatchContext(runs_, keys_, nullptr, pins).traced_as(traced_);
  }

 private:
  void add_untraced(const BatchContext& request, std::size_t first, std::size_t count) {
    rows_ += count;
    const std::span<const Key> keys = request.keys();
    if (!keys.empty()) {
      const auto part = keys.subspan(first, count);
      keys_.insert(keys_.end(), part.begin(), part.end());
    }
    for (const RequestRun& run : request.runs()) {
      const std::size_t skipped = std::min<std::size_t>(first, run.rows);
      const std::size_t taken = std::min<std::size_t>(count, run.rows - skipped);
      first -= skipped;
      count -= taken;
      if (taken == 0) continue;
      if (!runs_.empty() && runs_.back().context == run.context) {
        runs_.back().rows += static_cast<RowIndex>(taken);
      } else {
        runs_.push_back({run.context, static_cast<RowIndex>(taken)});
      }
    }
  }

  std::pmr::vector<RequestRun> runs_;
  std::pmr::vector<Key> keys_;
  std::vector<Context> neutral_;
  Rows<TracedRows> traced_;
  std::size_t rows_ = 0;
};

}  // namespace galley::inline v1::detail
