#include <galley/core/trace_text.hpp>
#include <galley/io/chrome_trace.hpp>
#include <src/io/write_file.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t first_lane = 1'000'000;  // threads are numbered below

/// Numbers things in the order in which they are first seen, from 1.
template <class T>
class Numbers {
 public:
  std::size_t of(const T& thing) {
    const auto at = std::find(seen_.begin(), seen_.end(), thing);
    if (at != seen_.end()) return static_cast<std::size_t>(at - seen_.begin()) + 1;
    seen_.push_back(thing);
    return seen_.size();
  }

 private:
  std::vector<T> seen_;
};

double microseconds(Duration time) {
  return static_cast<double>(time.count()) / 1000;
}

TimePoint end_of(const Span& span) {
  return span.took.has_value() ? span.end() : TimePoint::max();
}

/// Rows of events that do not hold a thread: in each, one is within another or they do not overlap.
class Lanes {
 public:
  /// The lane of the next span in the order of beginnings, from 0.
  std::size_t of(const Span& span) {
    for (std::size_t i = 0; i < ends_.size(); ++i) {
      if (enter(ends_[i], span)) return i;
    }
    ends_.push_back({end_of(span)});
    return ends_.size() - 1;
  }

 private:
  static bool enter(std::vector<TimePoint>& ends, const Span& span) {
    while (!ends.empty() && ends.back() <= span.start) ends.pop_back();
    if (!ends.empty() && ends.back() < end_of(span)) return false;
    ends.push_back(end_of(span));
    return true;
  }

  std::vector<std::vector<TimePoint>> ends_;  // of those that are open, the innermost last
};

Json metadata(const char* what, std::size_t process, std::size_t thread, const char* key,
              Json value) {
  return {{"name", what}, {"ph", "M"}, {"pid", process}, {"tid", thread}, {"args", {{key, value}}}};
}

/// What the process of a trace is called.
std::string name_of(std::span<const Span> spans, std::size_t process) {
  const std::uint64_t id = spans.empty() ? 0 : spans.front().request_id;
  const bool one = std::all_of(spans.begin(), spans.end(),
                               [id](const Span& span) { return span.request_id == id; });
  return id != 0 && one ? "request " + std::to_string(id) : "trace " + std::to_string(process);
}

Json arguments(std::span<const Span> spans, std::size_t i) {
  const Span& span = spans[i];
  Json args = {{"kind", span.kind},
               {"rows", to_text(span.rows)},
               {"row_count", span.row_count()},
               {"batch_rows", span.batch_rows},
               {"failed", span.failed},
               {"request_id", span.request_id}};
  if (const Duration wait = waited(spans, static_cast<SpanId>(i)); wait != Duration::zero()) {
    args["waited_us"] = microseconds(wait);
  }
  return args;
}

/// Adds the events of one trace.
void add(Json& events, const Trace& trace, std::size_t process, Numbers<std::thread::id>& threads) {
  const std::vector<Span> spans = trace.spans();
  Lanes lanes;
  std::vector<std::size_t> named;
  events.push_back(metadata("process_name", process, 0, "name", name_of(spans, process)));
  if (const std::size_t lost = trace.lost(); lost != 0) {
    events.push_back(metadata("process_labels", process, 0, "labels",
                              std::to_string(lost) + " spans did not fit"));
  }
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const Span& span = spans[i];
    const bool in_flight = span.call == SpanCall::submit;
    const std::size_t row = in_flight ? first_lane + lanes.of(span) : threads.of(span.thread);
    if (std::find(named.begin(), named.end(), row) == named.end()) {
      named.push_back(row);
      const std::string name = in_flight ? "in flight " + std::to_string(row - first_lane + 1)
                                         : "thread " + std::to_string(row);
      events.push_back(metadata("thread_name", process, row, "name", name));
    }
    Json event = {{"name", span.name},
                  {"cat", span.kind},
                  {"ph", span.took.has_value() ? "X" : "B"},
                  {"pid", process},
                  {"tid", row},
                  {"ts", microseconds(span.start.time_since_epoch())}};
    if (span.took.has_value()) event["dur"] = microseconds(*span.took);
    event["args"] = arguments(spans, i);
    events.push_back(std::move(event));
  }
}

std::string document(Json events) {
  const Json all = {{"displayTimeUnit", "ns"}, {"traceEvents", std::move(events)}};
  // A name need not be UTF-8; a document has to be.
  return all.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string chrome_trace(std::span<const std::shared_ptr<Trace>> traces) {
  Json events = Json::array();
  Numbers<std::thread::id> threads;
  std::size_t process = 0;
  for (const std::shared_ptr<Trace>& trace : traces) {
    if (trace != nullptr) add(events, *trace, ++process, threads);
  }
  return document(std::move(events));
}

std::string chrome_trace(const Trace& trace) {
  Json events = Json::array();
  Numbers<std::thread::id> threads;
  add(events, trace, 1, threads);
  return document(std::move(events));
}

Result<void> save_chrome_trace(std::span<const std::shared_ptr<Trace>> traces,
                               const std::string& path) {
  return detail::write_file(path, chrome_trace(traces));
}

}  // namespace galley::inline v1
