#include <galley/compose/batched.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/trace.hpp>
#include <galley/io/chrome_trace.hpp>
#include <galley/testing/manual_executor.hpp>

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::chrome_trace;
using galley::ManualExecutor;
using galley::map;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::SpanCall;
using galley::SpanId;
using galley::Status;
using galley::TimePoint;
using galley::Trace;
using Json = nlohmann::json;
using namespace std::chrono_literals;

namespace {

using Traces = std::vector<std::shared_ptr<Trace>>;

/// The events of a document, of one phase.
std::vector<Json> events_of(const std::string& text, const std::string& phase) {
  const Json all = Json::parse(text);
  std::vector<Json> events;
  for (const Json& event : all.at("traceEvents")) {
    if (event.at("ph") == phase) events.push_back(event);
  }
  return events;
}

/// A span of a trace, from `begin` on for `took`.
SpanId span(Trace& trace, SpanCall call, galley::Duration begin, galley::Duration took,
            const std::string& name = "node", SpanId parent = galley::no_span) {
  const SpanId id = trace.open(
      {.name = name, .kind = "map", .parent = parent, .call = call, .at = TimePoint(begin)}, {});
  trace.close(id, 0, TimePoint(begin + took));
  return id;
}

struct TemporaryFile {
  std::string path = "galley_chrome_trace_test.json";
  ~TemporaryFile() { std::remove(path.c_str()); }
};

}  // namespace

TEST_CASE("a traced request is a process of complete events", "[io][chrome_trace]") {
  const ManualExecutor executor;
  const auto graph = map("check",
                         [](int n) -> Result<int> {
                           if (n < 0) return galley::Error(Status::invalid_argument, "negative");
                           return n;
                         }) |
                     on(executor, map("double", [executor](int n) {
                          executor.pass(1500ns);
                          return 2 * n;
                        }));
  const auto trace = std::make_shared<Trace>(executor.now().clock);
  graph.submit_rows(Rows<int>{1, -1, 2}, {.request_id = 7, .trace = trace},
                    {3, [](const Outcomes<int>&) {}});
  executor.pass(2us);
  executor.run_all();
  const std::string text = chrome_trace(*trace);
  CHECK(Json::parse(text).at("displayTimeUnit") == "ns");
  const auto events = events_of(text, "X");
  REQUIRE(events.size() == 4);
  const double start = events[0].at("ts");
  CHECK(start == std::chrono::duration<double, std::micro>(1h).count());
  CHECK(events[0].at("name") == "check | on(double)");
  CHECK(events[0].at("dur") == 5.0);
  CHECK(events[0].at("args").at("rows") == "0-2");
  CHECK(events[0].at("args").at("failed") == 1);
  CHECK(events[2].at("name") == "on(double)");
  CHECK(events[2].at("args").at("waited_us") == 2.0);
  CHECK(events[3].at("name") == "double");
  CHECK(events[3].at("cat") == "map");
  CHECK(events[3].at("ts") == start + 2);
  CHECK(events[3].at("dur") == 3.0);
  CHECK(events[3].at("args") == Json({{"kind", "map"},
                                      {"rows", "0, 2"},
                                      {"row_count", 2},
                                      {"batch_rows", 2},
                                      {"failed", 0},
                                      {"request_id", 7}}));
  for (const Json& event : events) CHECK(event.at("pid") == 1);
  CHECK(events[0].at("tid") == events[2].at("tid"));  // one within the other, in flight
  CHECK(events[1].at("tid") == events[3].at("tid"));  // the thread of this test
  CHECK(events[0].at("tid") != events[1].at("tid"));
  std::set<std::string> names;
  for (const Json& event : events_of(text, "M")) names.insert(event.at("args").at("name"));
  CHECK(names == std::set<std::string>{"request 7", "in flight 1", "thread 1"});
}

TEST_CASE("several traces are several processes, on the same threads", "[io][chrome_trace]") {
  const auto a = std::make_shared<Trace>(), b = std::make_shared<Trace>();
  const auto same = map("same", [](int n) { return n; });
  (void)same.serve(1, {.request_id = 3, .trace = a});
  (void)same.serve(1, {.request_id = 4, .trace = a});
  (void)same.serve(1, {.request_id = 5, .trace = b});
  const auto events = events_of(chrome_trace(Traces{a, nullptr, b}), "X");
  REQUIRE(events.size() == 3);
  CHECK(events[0].at("pid") == 1);
  CHECK(events[2].at("pid") == 2);
  CHECK(events[0].at("tid") == events[2].at("tid"));
  const auto names = events_of(chrome_trace(Traces{a, nullptr, b}), "M");
  CHECK(names.front().at("args").at("name") == "trace 1");  // of two requests
}

TEST_CASE("what is in flight at once stands in lanes that nest", "[io][chrome_trace]") {
  Trace trace;
  span(trace, SpanCall::submit, 0us, 10us, "root");
  span(trace, SpanCall::submit, 1us, 4us, "within");
  span(trace, SpanCall::submit, 2us, 7us, "beside");
  span(trace, SpanCall::submit, 5us, 5us, "after");
  span(trace, SpanCall::submit, 9us, 9us, "beyond");
  span(trace, SpanCall::submit, 10us, 1us, "next");
  trace.open({.name = "open", .kind = "map", .call = SpanCall::submit, .at = TimePoint(12us)}, {});
  const std::string text = chrome_trace(trace);
  std::vector<std::size_t> lanes;
  for (const Json& event : events_of(text, "X")) {
    lanes.push_back(event.at("tid").get<std::size_t>() % 1000);
  }
  CHECK(lanes == std::vector<std::size_t>{0, 0, 1, 0, 1, 0});
  const auto begun = events_of(text, "B");
  REQUIRE(begun.size() == 1);
  CHECK(begun[0].at("tid").get<std::size_t>() % 1000 == 0);
  CHECK_FALSE(begun[0].contains("dur"));
}

TEST_CASE("names may hold anything", "[io][chrome_trace]") {
  Trace trace;
  const std::string names[] = {"\"quoted\"\\", "line\nbreak\t\x01", "caf\xc3\xa9 </script>",
                               "not \xff UTF-8"};
  for (const std::string& name : names) span(trace, SpanCall::serve, 0us, 1us, name);
  const auto events = events_of(chrome_trace(trace), "X");
  REQUIRE(events.size() == 4);
  for (std::size_t i = 0; i < 3; ++i) CHECK(events[i].at("name") == names[i]);
  CHECK(events[3].at("name") == "not \xef\xbf\xbd UTF-8");
}

TEST_CASE("a trace of nothing, and one that lost spans", "[io][chrome_trace]") {
  CHECK(events_of(chrome_trace(Traces{}), "X").empty());
  CHECK(events_of(chrome_trace(Trace()), "X").empty());
  Trace full({}, {.max_spans = 1});
  for (int i = 0; i < 4; ++i) span(full, SpanCall::serve, 0us, 1us);
  CHECK(events_of(chrome_trace(full), "X").size() == 1);
  CHECK(chrome_trace(full).find("3 spans did not fit") != std::string::npos);
}

TEST_CASE("traces are saved in place of what was there", "[io][chrome_trace]") {
  const TemporaryFile file;
  const auto trace = std::make_shared<Trace>();
  span(*trace, SpanCall::serve, 0us, 1us);
  REQUIRE(save_chrome_trace(Traces{trace, trace}, file.path).has_value());
  REQUIRE(save_chrome_trace(Traces{trace}, file.path).has_value());
  std::ostringstream text;
  text << std::ifstream(file.path).rdbuf();
  CHECK(text.str() == chrome_trace(*trace));
  const auto nowhere = save_chrome_trace(Traces{trace}, "no such folder/trace.json");
  CHECK(nowhere.status() == Status::unavailable);
  CHECK(nowhere.error().detail.find("no such folder/trace.json: cannot be written: ") == 0);
}
