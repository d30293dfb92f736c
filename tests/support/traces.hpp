// What must hold of every trace, whatever its request did.
#pragma once

#include <galley/core/trace.hpp>
#include <galley/core/trace_text.hpp>

#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace support {

/// The rows of a span, by their numbers in the request.
inline std::set<std::size_t> rows_of(const galley::Span& span) {
  std::set<std::size_t> rows;
  for (const galley::RowRange& range : span.rows) {
    for (std::size_t i = 0; i < range.count; ++i) rows.insert(std::size_t{range.first} + i);
  }
  return rows;
}

/// True where a span is of items, several of which may be of one row.
inline bool is_of_items(std::span<const galley::Span> spans, const galley::Span& span) {
  if (span.parent == galley::no_span) return false;
  const galley::Span& parent = spans[span.parent];
  return parent.kind == "expand" || is_of_items(spans, parent);
}

/// What is wrong with a trace whose requests are answered; empty where nothing is.
inline std::string wrong_with(std::span<const galley::Span> spans) {
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const galley::Span& span = spans[i];
    const auto bad = [&](const char* what) {
      return std::string(what) + " at span " + std::to_string(i) + ":\n" + galley::to_text(spans);
    };
    if (!span.took.has_value()) return bad("not answered");
    if (span.rows.empty()) return bad("no rows");
    const std::set<std::size_t> rows = rows_of(span);
    if (rows.size() != span.row_count()) return bad("a row twice");
    if (rows.size() > span.batch_rows) return bad("more rows than the batch has");
    const std::size_t most = is_of_items(spans, span) ? span.batch_rows : rows.size();
    if (span.failed > most) return bad("more failed than there are");
    if (span.parent == galley::no_span) continue;
    if (span.parent >= i) return bad("begun before its parent");
    const galley::Span& parent = spans[span.parent];
    if (span.start < parent.start) return bad("earlier than its parent");
    if (span.request_id != parent.request_id) return bad("another request's");
    if (span.kind == "pipeline" && parent.kind == "pipeline") return bad("a pipeline in another");
    const std::set<std::size_t> all = rows_of(parent);
    for (const std::size_t row : rows) {
      if (all.count(row) == 0) return bad("a row that its parent does not have");
    }
  }
  return "";
}

}  // namespace support
