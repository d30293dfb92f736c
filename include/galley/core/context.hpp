// Context: what a request says about itself; BatchContext: whose rows a batch holds.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/batch.hpp>
#include <galley/core/rows.hpp>
#include <galley/core/status.hpp>
#include <galley/core/time.hpp>
#include <galley/core/traced_rows.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

namespace galley::inline v1 {

class Pins;
class Trace;

/// Names what a row belongs to across requests: a user for a sticky split, a sequence, a tenant. A
/// host that has strings hashes them.
using Key = std::uint64_t;

/// What a request says about itself. Copied with the request; cheap.
struct Context {
  /// When an answer stops being of use. Work is not started once this has passed.
  Instant deadline = {};
  /// Asks to give the request up. Looked at before each stage.
  std::stop_token stop = {};
  /// Higher goes first where work queues.
  std::int32_t priority = 0;
  /// The host's own number for the request, for traces and feedback; 0 where it has none.
  std::uint64_t request_id = 0;
  /// Where the nodes it goes through are noted (<galley/core/trace.hpp>); null for most requests.
  std::shared_ptr<Trace> trace = {};

  /// The same context with a deadline no later than `limit`: a deadline only ever narrows.
  Context within(Instant limit) const {
    Context narrowed = *this;
    if (limit < narrowed.deadline) narrowed.deadline = std::move(limit);
    return narrowed;
  }

  /// `ok` while an answer is still wanted, else `cancelled` or `deadline_exceeded`.
  Status live() const {
    if (stop.stop_requested()) return Status::cancelled;
    return deadline.has_passed() ? Status::deadline_exceeded : Status::ok;
  }
};

/// The rows of one request within a merged batch: the next `rows` rows belong to `context`.
struct RequestRun {
  const Context* context = nullptr;
  RowIndex rows = 0;
};

/// Whose rows a batch holds: contexts as runs of rows, keys beside the rows, and lent memory. A
/// view.
///
/// A batch of one request has one run; a merged batch has one for each request, and each run is
/// judged by its own deadline. Rows in, rows out: a node that hands on fewer rows hands on a
/// context of fewer rows (`ContextSelection`, `row_algebra.hpp`), with which goes what is traced.
///
/// Threads  thread-compatible
class BatchContext {
 public:
  /// `rows` rows of one request, with one key per row or none.
  BatchContext(const Context& context, std::size_t rows, std::span<const Key> keys = {},
               Workspace* workspace = nullptr,
               const std::shared_ptr<const Pins>* pins = nullptr) noexcept
      : run_{&context, static_cast<RowIndex>(rows)},
        keys_(keys.empty() ? nullptr : keys.data()),
        workspace_(workspace),
        pins_(pins) {
    GALLEY_ASSERT(keys.empty() || keys.size() == rows);
  }

  /// A merged batch. `runs` is not empty and outlives this.
  BatchContext(std::span<const RequestRun> runs, std::span<const Key> keys,
               Workspace* workspace = nullptr,
               const std::shared_ptr<const Pins>* pins = nullptr) noexcept
      : runs_(runs.size() == 1 ? nullptr : runs.data()),
        run_count_(runs.size()),
        run_(runs.front()),
        keys_(keys.empty() ? nullptr : keys.data()),
        workspace_(workspace),
        pins_(pins) {}

  /// True when all rows are of one request.
  bool is_single() const noexcept { return runs_ == nullptr; }

  /// True when rows need not be told apart: one request, no keys and no trace.
  bool is_uniform() const noexcept {
    return runs_ == nullptr && keys_ == nullptr && traced_ == nullptr;
  }

  /// The context of the only, or the first, request.
  const Context& context() const noexcept { return *run_.context; }

  /// The requests, in the order of their rows.
  std::span<const RequestRun> runs() const noexcept {
    return runs_ == nullptr ? std::span(&run_, 1) : std::span(runs_, run_count_);
  }

  std::size_t rows() const noexcept {
    if (runs_ == nullptr) return run_.rows;
    std::size_t all = 0;
    for (const RequestRun& run : runs()) all += run.rows;
    return all;
  }

  /// One key per row, or none at all.
  std::span<const Key> keys() const noexcept {
    return keys_ == nullptr ? std::span<const Key>() : std::span(keys_, rows());
  }

  /// Memory lent for this call, or null. Not to be handed to another thread.
  Workspace* workspace() const noexcept { return workspace_; }

  /// The versions this request is bound to, or null while it was not split.
  const Pins* pins() const noexcept { return pins_ == nullptr ? nullptr : pins_->get(); }
  /// The same, to be shared by whoever outlives this view.
  const std::shared_ptr<const Pins>* shared_pins() const noexcept { return pins_; }

  /// Which rows are traced, or null while none is. For `Servable`, which notes the calls of nodes.
  const Rows<TracedRows>* traced() const noexcept { return traced_; }
  /// The same, `rows` of it being traced, where there are any. They outlive the result.
  BatchContext traced_as(const Rows<TracedRows>& rows) const noexcept {
    BatchContext same = *this;
    same.traced_ = rows.empty() ? nullptr : &rows;
    return same;
  }

  /// The context that row i belongs to. O(runs).
  const Context& context_of(std::size_t i) const noexcept {
    if (runs_ == nullptr) return *run_.context;
    for (const RequestRun& run : runs()) {
      if (i < run.rows) return *run.context;
      i -= run.rows;
    }
    GALLEY_ASSERT(false);
    return *run_.context;
  }

  /// The same of a uniform batch with another number of rows. Needs `is_uniform()`.
  BatchContext resized(std::size_t rows) const noexcept {
    GALLEY_ASSERT(is_uniform());
    BatchContext same = *this;
    same.run_.rows = static_cast<RowIndex>(rows);
    return same;
  }

  /// The same bound to these versions.
  BatchContext pinned(const std::shared_ptr<const Pins>& pins) const noexcept {
    BatchContext same = *this;
    same.pins_ = &pins;
    return same;
  }

  /// The same without lent memory: what goes to another thread.
  BatchContext without_workspace() const noexcept {
    BatchContext same = *this;
    same.workspace_ = nullptr;
    return same;
  }

 private:
  const RequestRun* runs_ = nullptr;
  std::size_t run_count_ = 1;
  RequestRun run_;
  const Key* keys_ = nullptr;
  Workspace* workspace_ = nullptr;
  const std::shared_ptr<const Pins>* pins_ = nullptr;
  const Rows<TracedRows>* traced_ = nullptr;
};

/// Walks through the rows of a batch in order and says whose each is, at one step a row.
class RowContexts {
 public:
  explicit RowContexts(const BatchContext& context) noexcept
      : run_(context.runs().data()), left_(run_->rows) {}

  /// The context of the next row, at first of row 0.
  const Context& next() noexcept {
    while (left_ == 0) left_ = (++run_)->rows;
    --left_;
    return *run_->context;
  }

 private:
  const RequestRun* run_;
  RowIndex left_;
};

/// A `BatchContext` that owns what it shows: what a request in flight keeps.
///
/// One request without keys, or with one key, allocates nothing while it is not traced.
class OwnedBatchContext {
 public:
  OwnedBatchContext() = default;
  OwnedBatchContext(const OwnedBatchContext&) = delete;
  OwnedBatchContext& operator=(const OwnedBatchContext&) = delete;

  /// Copies the contexts and keys of `view`. Lent memory is left behind.
  void assign(const BatchContext& view) {
    if (rows_ != 0) clear();
    rows_ = static_cast<RowIndex>(view.rows());
    contexts_.reserve(view.runs().size());
    for (const RequestRun& run : view.runs()) contexts_.push_back(*run.context);
    if (!view.is_single()) {
      for (std::size_t i = 0; i < contexts_.size(); ++i) {
        runs_.push_back({&contexts_[i], view.runs()[i].rows});
      }
    }
    if (!view.keys().empty()) keys_ = Rows<Key>(view.keys());
    if (view.shared_pins() != nullptr) pins_ = *view.shared_pins();
    if (view.traced() != nullptr) traced_ = std::make_unique<Rows<TracedRows>>(*view.traced());
  }

  /// As `assign`, and then a view.
  BatchContext keep(const BatchContext& view) {
    assign(view);
    return this->view();
  }

  /// Calls `change(Context&)` for each request: a node that narrows deadlines, or hands on a stop
  /// token of its own.
  template <class F>
  void each(F&& change) {
    for (Context& context : contexts_) change(context);
  }

  /// Lets go of everything but the pins, which it gives back.
  std::shared_ptr<const Pins> clear() noexcept {
    rows_ = 0;
    contexts_.clear();
    runs_.clear();
    keys_.clear();
    traced_.reset();
    return std::move(pins_);
  }

  /// True when `context` is one of those copied.
  bool holds(const Context& context) const noexcept {
    return &context >= contexts_.begin() && &context < contexts_.end();
  }

  /// A view, valid until the next `assign` or `clear`. Needs an earlier `assign`.
  BatchContext view() const noexcept {
    const std::shared_ptr<const Pins>* pins = pins_ != nullptr ? &pins_ : nullptr;
    const BatchContext plain = runs_.empty()
                                   ? BatchContext(contexts_[0], rows_, keys_.span(), nullptr, pins)
                                   : BatchContext(runs_, keys_.span(), nullptr, pins);
    return traced_ == nullptr ? plain : plain.traced_as(*traced_);
  }

 private:
  Rows<Context> contexts_;
  std::vector<RequestRun> runs_;
  Rows<Key> keys_;
  RowIndex rows_ = 0;
  std::shared_ptr<const Pins> pins_;
  std::unique_ptr<const Rows<TracedRows>> traced_;
};

}  // namespace galley::inline v1
