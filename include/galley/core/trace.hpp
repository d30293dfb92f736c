// Trace: which nodes a request went through, with which of its rows, and for how long.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/rows.hpp>
#include <galley/core/time.hpp>
#include <galley/core/traced_rows.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// Rows that follow each other.
struct RowRange {
  RowIndex first = 0;
  RowIndex count = 0;
  friend bool operator==(const RowRange&, const RowRange&) = default;
};

/// How a node was asked.
enum class SpanCall : std::uint8_t {
  serve,   ///< On one thread from its beginning to its end.
  submit,  ///< It began on that thread and was answered from any.
};

/// One node's answer to rows of one request.
///
/// What a node waits, for a worker or in a queue, is between its beginning and that of the first
/// span beneath it.
struct Span {
  std::string name = {};    ///< The node's.
  std::string kind = {};    ///< The node's.
  SpanId parent = no_span;  ///< The span of the node that asked this one; none where a host did.
  std::uint64_t request_id = 0;
  std::vector<RowRange> rows = {};  ///< By their numbers in the request, in the order of the batch.
  std::size_t batch_rows = 0;       ///< In the batch that was answered, other requests' among them.
  std::size_t failed = 0;           ///< Rows of the batch, of this request, that got an error.
  TimePoint start = {};
  std::optional<Duration> took = {};  ///< Nothing while it is not answered.
  std::thread::id thread = {};        ///< That it began on.
  SpanCall call = SpanCall::serve;

  TimePoint end() const noexcept { return start + took.value_or(Duration::zero()); }
  /// How many rows of the request.
  std::size_t row_count() const noexcept {
    std::size_t all = 0;
    for (const RowRange& range : rows) all += range.count;
    return all;
  }
};

/// The most a trace may hold.
struct TraceOptions {
  std::size_t max_spans = 512;  ///< Those that begin after them are counted and lost.
};

/// What a request did in a graph: a span for each call of a node, one beneath the other as the
/// nodes are called.
///
/// A host makes one for a request that it wants to see (`TraceSampler`) and hands it over in the
/// request's `Context`; it may be read at any time. Wherever the request's rows go, split or merged
/// with those of others, spans name them by their numbers in the request. A batch of several traced
/// requests is a span in the trace of each. Stages of a pipeline are beneath one span however it
/// was bracketed, as in its `Description`. What a node calls with a `Context` alone, as an author's
/// function may, begins anew as a root; one trace may be of several requests.
///
/// Threads  thread-safe
/// Cost     a traced call of a node takes the trace's lock and reads its clock twice, from room
///          that was reserved; a node that answers later allocates its state. A request without a
///          trace pays a compare for each node
class Trace {
 public:
  /// Times are read from `clock`: an executor's, `executor.now().clock`, or the steady one.
  explicit Trace(Clock clock = {}, TraceOptions options = {})
      : clock_(std::move(clock)), options_(options) {
    constexpr std::size_t usual_name = 24;
    records_.reserve(options_.max_spans);
    ranges_.reserve(options_.max_spans);
    text_.reserve(options_.max_spans * usual_name);
  }
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  const Clock& clock() const noexcept { return clock_; }

  /// All spans so far, in the order in which they began: a parent before its children, and the
  /// place of each is its number.
  std::vector<Span> spans() const;

  /// How many spans did not fit.
  std::size_t lost() const {
    const std::lock_guard lock(mutex_);
    return lost_;
  }

  // ---- for servables, which do this for all nodes

  /// What is known of a span when it begins.
  struct Start {
    std::string_view name;
    std::string_view kind;
    SpanId parent = no_span;
    std::uint64_t request_id = 0;
    std::size_t batch_rows = 0;
    SpanCall call = SpanCall::serve;
    TimePoint at = {};
  };

  /// Begins a span of these rows; `no_span` where it does not fit.
  SpanId open(const Start& start, std::span<const TracedRows> rows);

  /// Ends a span, of whose rows so many failed.
  void close(SpanId span, std::size_t failed, TimePoint at);

  /// True where the span is a node's of this kind.
  bool is_of_kind(SpanId span, std::string_view kind) const {
    const std::lock_guard lock(mutex_);
    return span < records_.size() && text_of(records_[span].kind) == kind;
  }

 private:
  /// A part of one of the lists below.
  struct Piece {
    std::size_t first = 0;
    std::size_t count = 0;
  };
  struct Record {
    Piece name, kind, rows;
    SpanId parent = no_span;
    SpanCall call = SpanCall::serve;
    std::uint64_t request_id = 0;
    std::size_t batch_rows = 0;
    std::size_t failed = 0;
    TimePoint start = {};
    std::optional<Duration> took;
    std::thread::id thread;
  };

  Piece keep(std::string_view text) {
    text_.append(text);
    return {text_.size() - text.size(), text.size()};
  }
  Piece keep(std::span<const TracedRows> rows);
  std::string_view text_of(const Piece& piece) const noexcept {
    return std::string_view(text_).substr(piece.first, piece.count);
  }

  const Clock clock_;
  const TraceOptions options_;
  mutable std::mutex mutex_;  // guards all below
  std::vector<Record> records_;
  std::vector<RowRange> ranges_;
  std::string text_;
  std::size_t lost_ = 0;
};

/// The names of a span and of all above it, the root's first, joined by '/'.
inline std::string path_of(std::span<const Span> spans, SpanId span) {
  std::string path;
  for (; span < spans.size(); span = spans[span].parent) {
    path.insert(0, path.empty() ? spans[span].name : spans[span].name + "/");
  }
  return path;
}

/// The spans right beneath a span, in the order in which they began; of `no_span` the roots.
inline std::vector<SpanId> children_of(std::span<const Span> spans, SpanId parent) {
  std::vector<SpanId> children;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].parent == parent) children.push_back(static_cast<SpanId>(i));
  }
  return children;
}

// ---- implementation ----------------------------------------------------------------------------

inline Trace::Piece Trace::keep(std::span<const TracedRows> rows) {
  Piece piece{ranges_.size(), 0};
  for (const TracedRows& one : rows) {
    if (piece.count != 0) {
      RowRange& last = ranges_.back();
      const RowIndex next = last.first + last.count;
      if (one.number >= last.first && one.number <= next) {  // or one row that became several
        last.count = std::max(next, one.number + one.count) - last.first;
        continue;
      }
    }
    ranges_.push_back({one.number, one.count});
    ++piece.count;
  }
  return piece;
}

inline SpanId Trace::open(const Start& start, std::span<const TracedRows> rows) {
  const std::lock_guard lock(mutex_);
  if (records_.size() >= options_.max_spans) {
    ++lost_;
    return no_span;
  }
  records_.push_back({.name = keep(start.name),
                      .kind = keep(start.kind),
                      .rows = keep(rows),
                      .parent = start.parent,
                      .call = start.call,
                      .request_id = start.request_id,
                      .batch_rows = start.batch_rows,
                      .failed = 0,
                      .start = start.at,
                      .took = std::nullopt,
                      .thread = std::this_thread::get_id()});
  return static_cast<SpanId>(records_.size() - 1);
}

inline void Trace::close(SpanId span, std::size_t failed, TimePoint at) {
  const std::lock_guard lock(mutex_);
  if (span >= records_.size()) return;
  records_[span].failed = failed;
  records_[span].took = at - records_[span].start;
}

inline std::vector<Span> Trace::spans() const {
  const std::lock_guard lock(mutex_);
  std::vector<Span> spans;
  spans.reserve(records_.size());
  for (const Record& record : records_) {
    const auto rows = std::span(ranges_).subspan(record.rows.first, record.rows.count);
    spans.push_back({.name = std::string(text_of(record.name)),
                     .kind = std::string(text_of(record.kind)),
                     .parent = record.parent,
                     .request_id = record.request_id,
                     .rows = {rows.begin(), rows.end()},
                     .batch_rows = record.batch_rows,
                     .failed = record.failed,
                     .start = record.start,
                     .took = record.took,
                     .thread = record.thread,
                     .call = record.call});
  }
  return spans;
}

}  // namespace galley::inline v1
