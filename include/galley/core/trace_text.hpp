// A trace as text: a line for each span, beneath the one that asked for it.
#pragma once

#include <galley/core/time.hpp>
#include <galley/core/trace.hpp>

#include <cstddef>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

namespace galley::inline v1 {

/// Rows as "0-2, 5".
inline std::string to_text(std::span<const RowRange> rows) {
  std::string text;
  for (const RowRange& range : rows) {
    if (!text.empty()) text += ", ";
    text += std::to_string(range.first);
    if (range.count > 1) text += "-" + std::to_string(range.first + range.count - 1);
  }
  return text;
}

/// How long a span waited, for a worker or in a queue, before the first of those beneath it began;
/// zero where there is none.
inline Duration waited(std::span<const Span> spans, SpanId span) {
  const std::vector<SpanId> children = children_of(spans, span);
  return children.empty() ? Duration::zero() : spans[children.front()].start - spans[span].start;
}

/// Spans as lines, for people and for tests: "model [map] rows 0-2 of 5, 1 failed, waited 2 us,
/// took 12.5 us", two more spaces before it for each span above.
inline std::string to_text(std::span<const Span> spans);

/// The same of all spans of a trace so far.
inline std::string to_text(const Trace& trace) {
  return to_text(trace.spans());
}

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

/// Microseconds, with as many digits behind the point as are needed.
inline std::string microseconds_text(Duration time) {
  const auto ns = time.count();
  std::string text = (ns < 0 ? "-" : "") + std::to_string(std::abs(ns / 1000));
  if (const auto rest = std::abs(ns % 1000); rest != 0) {
    const std::string digits = std::to_string(1000 + rest).substr(1);
    text += "." + digits.substr(0, digits.find_last_not_of('0') + 1);
  }
  return text + " us";
}

inline void append_spans(std::string& text, std::span<const Span> spans, SpanId parent,
                         std::size_t depth) {
  for (const SpanId id : children_of(spans, parent)) {
    const Span& span = spans[id];
    text.append(2 * depth, ' ');
    text += span.name + " [" + span.kind + "] rows " + to_text(span.rows) + " of " +
            std::to_string(span.batch_rows);
    if (span.failed != 0) text += ", " + std::to_string(span.failed) + " failed";
    if (const Duration wait = waited(spans, id); wait != Duration::zero()) {
      text += ", waited " + microseconds_text(wait);
    }
    text += span.took.has_value() ? ", took " + microseconds_text(*span.took) : ", not answered";
    text += '\n';
    append_spans(text, spans, id, depth + 1);
  }
}

}  // namespace detail

inline std::string to_text(std::span<const Span> spans) {
  std::string text;
  detail::append_spans(text, spans, no_span, 0);
  return text;
}

}  // namespace galley::inline v1
