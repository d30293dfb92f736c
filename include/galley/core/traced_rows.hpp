// TracedRows: which rows of a batch are of traced requests, and which rows of theirs.
#pragma once

#include <galley/core/rows.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>

namespace galley::inline v1 {

class Trace;

/// The number of a span within its trace, in the order in which they began.
using SpanId = std::uint32_t;

/// No span: the parent of a root, and what did not fit into a trace.
inline constexpr SpanId no_span = std::numeric_limits<SpanId>::max();

/// Rows of a batch that belong to a traced request, by their numbers in that request.
///
/// Of a batch there is a list of them, ascending, that says nothing of the rows of requests that
/// are not traced. Rows that are chosen, split and merged carry it along (`ContextSelection`).
struct TracedRows {
  std::shared_ptr<Trace> trace = {};
  SpanId parent = no_span;  ///< What asks for these rows to be answered.
  RowIndex first = 0;       ///< In the batch.
  RowIndex count = 0;
  RowIndex number = 0;  ///< Of the first, in the request; the others follow.

  /// True where both are asked for by the same span.
  bool is_asked_with(const TracedRows& other) const noexcept {
    return trace == other.trace && parent == other.parent;
  }
};

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

/// Adds rows behind all that are in the list.
inline void append_traced(Rows<TracedRows>& list, const TracedRows& rows) {
  if (!list.empty()) {
    TracedRows& last = list[list.size() - 1];
    if (last.is_asked_with(rows) && last.first + last.count == rows.first &&
        last.number + last.count == rows.number) {
      last.count += rows.count;
      return;
    }
  }
  list.push_back(rows);
}

/// Adds what is traced of rows `first` to `first + count - 1` of a batch, which are from row `at`
/// on in another.
inline void slice_traced(Rows<TracedRows>& list, const Rows<TracedRows>& all, std::size_t first,
                         std::size_t count, std::size_t at) {
  for (const TracedRows& one : all) {
    const std::size_t begin = std::max<std::size_t>(first, one.first);
    const std::size_t end = std::min<std::size_t>(first + count, one.first + one.count);
    if (begin >= end) continue;
    append_traced(list, {.trace = one.trace,
                         .parent = one.parent,
                         .first = static_cast<RowIndex>(at + begin - first),
                         .count = static_cast<RowIndex>(end - begin),
                         .number = static_cast<RowIndex>(one.number + begin - one.first)});
  }
}

/// Adds what is traced of the rows at `rows` of a batch, ascending, which are all of another.
inline void select_traced(Rows<TracedRows>& list, const Rows<TracedRows>& all,
                          std::span<const RowIndex> rows) {
  const TracedRows* one = all.begin();
  for (std::size_t at = 0; at < rows.size(); ++at) {
    while (one != all.end() && one->first + one->count <= rows[at]) ++one;
    if (one == all.end()) return;
    if (rows[at] < one->first) continue;
    append_traced(list, {.trace = one->trace,
                         .parent = one->parent,
                         .first = static_cast<RowIndex>(at),
                         .count = 1,
                         .number = one->number + (rows[at] - one->first)});
  }
}

}  // namespace detail

}  // namespace galley::inline v1
