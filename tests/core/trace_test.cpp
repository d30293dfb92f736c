#include <galley/core/context.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/trace.hpp>
#include <galley/core/trace_text.hpp>

#include <support/allocations.hpp>
#include <support/clock.hpp>

#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchContext;
using galley::Context;
using galley::ContextSelection;
using galley::no_span;
using galley::OwnedBatchContext;
using galley::RequestRun;
using galley::RowIndex;
using galley::RowRange;
using galley::Rows;
using galley::Servable;
using galley::Span;
using galley::SpanCall;
using galley::SpanId;
using galley::Status;
using galley::to_text;
using galley::Trace;
using galley::TracedRows;
using support::AllocationCount;
using support::HandClock;
using namespace std::chrono_literals;

namespace {

/// "batch row:row of the request" of all that is traced.
std::string traced_text(const BatchContext& context) {
  std::string text;
  if (context.traced() == nullptr) return text;
  for (const TracedRows& one : *context.traced()) {
    for (RowIndex i = 0; i < one.count; ++i) {
      text += std::to_string(one.first + i) + ":" + std::to_string(one.number + i) + " ";
    }
  }
  return text;
}

Trace::Start named(std::string_view name, SpanId parent = no_span) {
  return {.name = name, .kind = "map", .parent = parent};
}

struct Thrower {
  static constexpr const char* kind = "thrower";
  galley::NodeTraits traits() const { return {}; }
  galley::Outcomes<int> serve(const galley::Batch<int>&, const BatchContext&) const {
    throw std::bad_alloc();
  }
};

}  // namespace

TEST_CASE("a trace holds spans in the order in which they began", "[trace]") {
  const HandClock clock;
  const auto trace = std::make_shared<Trace>(clock.now().clock);
  CHECK(trace->spans().empty());
  const std::vector<TracedRows> rows{{.trace = trace, .first = 4, .count = 2, .number = 7},
                                     {.trace = trace, .first = 6, .count = 1, .number = 10},
                                     {.trace = trace, .first = 8, .count = 3, .number = 11}};
  const SpanId root = trace->open({.name = "root",
                                   .kind = "pipeline",
                                   .parent = no_span,
                                   .request_id = 5,
                                   .batch_rows = 12,
                                   .call = SpanCall::submit,
                                   .at = galley::TimePoint(3ms)},
                                  rows);
  const SpanId child = trace->open(named("child", root), {});
  trace->close(root, 2, galley::TimePoint(8ms));
  const std::vector<Span> spans = trace->spans();
  REQUIRE(spans.size() == 2);
  CHECK(spans[root].name == "root");
  CHECK(spans[root].kind == "pipeline");
  CHECK(spans[root].parent == no_span);
  CHECK(spans[root].request_id == 5);
  CHECK(spans[root].rows == std::vector<RowRange>{{7, 2}, {10, 4}});
  CHECK(spans[root].row_count() == 6);
  CHECK(spans[root].batch_rows == 12);
  CHECK(spans[root].failed == 2);
  CHECK(spans[root].took == std::optional<galley::Duration>(5ms));
  CHECK(spans[root].end() == galley::TimePoint(8ms));
  CHECK(spans[root].thread == std::this_thread::get_id());
  CHECK(spans[root].call == SpanCall::submit);
  CHECK(spans[child].parent == root);
  CHECK_FALSE(spans[child].took.has_value());
  CHECK(galley::path_of(spans, child) == "root/child");
  CHECK(galley::path_of(spans, no_span).empty());
  CHECK(galley::children_of(spans, no_span) == std::vector<SpanId>{root});
  CHECK(galley::children_of(spans, root) == std::vector<SpanId>{child});
  CHECK(trace->is_of_kind(child, "map"));
  CHECK_FALSE(trace->is_of_kind(no_span, "map"));
}

TEST_CASE("spans that do not fit are counted, and end nothing", "[trace]") {
  Trace trace({}, {.max_spans = 2});
  const SpanId first = trace.open(named("first"), {});
  const SpanId second = trace.open(named("second", first), {});
  const SpanId third = trace.open(named("third", second), {});
  CHECK(third == no_span);
  CHECK(trace.open(named("fourth", third), {}) == no_span);
  trace.close(third, 1, galley::TimePoint(1ms));
  CHECK(trace.lost() == 2);
  CHECK(trace.spans().size() == 2);
  CHECK_FALSE(trace.spans()[1].took.has_value());
  Trace none({}, {.max_spans = 0});
  CHECK(none.open(named("any"), {}) == no_span);
  CHECK(none.lost() == 1);
}

TEST_CASE("a span takes nothing from the heap", "[trace]") {
  Trace trace({}, {.max_spans = 100});
  const std::vector<TracedRows> rows{{.trace = nullptr, .count = 9}};
  const AllocationCount count;
  for (int i = 0; i < 100; ++i) trace.close(trace.open(named("a node's name"), rows), 0, {});
  CHECK(count.so_far() == 0);
}

TEST_CASE("rows that are chosen keep their numbers in the request", "[trace]") {
  const Context a{.request_id = 1, .trace = std::make_shared<Trace>()};
  const Context b{.request_id = 2};
  const Context c{.request_id = 3, .trace = std::make_shared<Trace>()};
  const std::vector<RequestRun> runs{{&a, 4}, {&b, 2}, {&c, 3}};
  const Rows<TracedRows> traced{
      {.trace = a.trace, .parent = 1, .first = 0, .count = 4},
      {.trace = c.trace, .parent = 6, .first = 6, .count = 3, .number = 5}};
  const BatchContext all = BatchContext(runs, {}).traced_as(traced);
  CHECK(traced_text(all) == "0:0 1:1 2:2 3:3 6:5 7:6 8:7 ");

  const std::vector<RowIndex> rows{1, 3, 4, 6, 8};
  const ContextSelection some(all, rows);
  CHECK(traced_text(some.view()) == "0:1 1:3 3:5 4:7 ");
  const std::vector<RowIndex> of_those{1, 2, 4};
  const ContextSelection fewer(some.view(), of_those);
  CHECK(traced_text(fewer.view()) == "0:3 2:7 ");
  CHECK((*fewer.view().traced())[1].trace == c.trace);
  CHECK((*fewer.view().traced())[1].parent == 6);

  const std::vector<RowIndex> several_times{2, 2, 3, 7, 7};
  const ContextSelection expanded(all, several_times);
  CHECK(traced_text(expanded.view()) == "0:2 1:2 2:3 3:6 4:6 ");
  const std::vector<RowIndex> others{4, 5};
  CHECK(ContextSelection(all, others).view().traced() == nullptr);
  CHECK(ContextSelection(all, {}).view().traced() == nullptr);
}

TEST_CASE("a row that becomes several is one row of its request", "[trace]") {
  const auto trace = std::make_shared<Trace>();
  const Context context{.trace = trace};
  const Rows<TracedRows> traced{{.trace = trace, .count = 6}};
  const std::vector<RowIndex> several_times{0, 0, 1, 1, 1, 3, 5, 5};
  const ContextSelection crops(BatchContext(context, 6).traced_as(traced), several_times);
  CHECK(traced_text(crops.view()) == "0:0 1:0 2:1 3:1 4:1 5:3 6:5 7:5 ");
  (void)trace->open(named("crops"), crops.view().traced()->span());
  CHECK(to_text(trace->spans()[0].rows) == "0-1, 3, 5");
}

TEST_CASE("a context that is kept keeps what is traced", "[trace]") {
  auto trace = std::make_shared<Trace>();
  const std::weak_ptr<Trace> watch = trace;
  OwnedBatchContext owned;
  {
    const Context context{.trace = std::move(trace)};
    const Rows<TracedRows> traced{{.trace = context.trace, .count = 2, .number = 3}};
    owned.assign(BatchContext(context, 2).traced_as(traced));
  }
  CHECK(traced_text(owned.view()) == "0:3 1:4 ");
  CHECK_FALSE(owned.view().is_uniform());
  CHECK(traced_text(owned.view().without_workspace()) == "0:3 1:4 ");
  owned.clear();
  CHECK(watch.expired());
  const Context plain;
  owned.assign(BatchContext(plain, 2));
  CHECK(owned.view().traced() == nullptr);
}

TEST_CASE("a context without a trace is of its size before and two pointers", "[trace]") {
  CHECK(sizeof(Context) <= 9 * sizeof(void*));       // of these two are the trace
  CHECK(sizeof(BatchContext) <= 8 * sizeof(void*));  // of these one
}

TEST_CASE("a servable notes the call of its node", "[trace]") {
  HandClock clock;
  const auto trace = std::make_shared<Trace>(clock.now().clock);
  const Servable<int, int> half("half", [&clock](int n) -> galley::Result<int> {
    clock.advance(3ms);
    if (n % 2 != 0) return galley::Error(Status::invalid_argument, "odd");
    return n / 2;
  });
  const Context context{.request_id = 8, .trace = trace};
  CHECK(half.serve(4, context) == galley::Result<int>(2));
  CHECK(half.serve_rows(Rows<int>{1, 2, 3}, context).size() == 3);
  int answers = 0;
  half.submit(3, context, [&](const galley::Result<int>&) { ++answers; });
  half.submit_rows(Rows<int>{2, 3}, context, {2, [&](const galley::Outcomes<int>&) { ++answers; }});
  CHECK(answers == 2);
  CHECK(to_text(*trace) ==
        "half [map] rows 0 of 1, took 3000 us\n"
        "half [map] rows 0-2 of 3, 2 failed, took 9000 us\n"
        "half [map] rows 0 of 1, 1 failed, took 3000 us\n"
        "half [map] rows 0-1 of 2, 1 failed, took 6000 us\n");
  for (const Span& span : trace->spans()) {
    CHECK(span.request_id == 8);
    CHECK(span.call == SpanCall::serve);  // nothing waits, so that `submit` answers at once
  }
}

TEST_CASE("no rows are no span, nor is what a servable refuses", "[trace]") {
  const auto trace = std::make_shared<Trace>();
  const Servable<int, int> same("same", [](int n) { return n; });
  const Context context{.trace = trace};
  (void)same.serve_rows(Rows<int>(), context);
  const galley::Key key = 1;
  (void)same.serve_rows(Rows<int>{1, 2}, context, {.keys = {&key, 1}});
  CHECK(trace->spans().empty());
}

TEST_CASE("a node's exception that passes through ends its span, all its rows failed", "[trace]") {
  const auto trace = std::make_shared<Trace>();
  const auto graph = Servable<int, int>::of_node("thrower", Thrower());
  CHECK_THROWS_AS(graph.serve_rows(Rows<int>{1, 2}, {.trace = trace}), std::bad_alloc);
  REQUIRE(trace->spans().size() == 1);
  CHECK(trace->spans()[0].failed == 2);
  CHECK(trace->spans()[0].took.has_value());
}

TEST_CASE("a request without a trace allocates nothing and reads no clock", "[trace]") {
  const Servable<int, int> same("same", [](int n) { return n; });
  const Context context;
  const AllocationCount count;
  CHECK(same.serve(1, context).has_value());
  CHECK(count.so_far() == 0);
}

TEST_CASE("rows, times and what is not answered read well", "[trace]") {
  const std::vector<RowRange> rows{{0, 3}, {5, 1}, {7, 2}};
  CHECK(to_text(rows) == "0-2, 5, 7-8");
  const std::vector<Span> spans{{.name = "a",
                                 .kind = "on",
                                 .rows = {{0, 2}},
                                 .batch_rows = 4,
                                 .start = galley::TimePoint(1us),
                                 .took = 12'500ns},
                                {.name = "b",
                                 .kind = "map",
                                 .parent = 0,
                                 .rows = {{1, 1}},
                                 .batch_rows = 1,
                                 .start = galley::TimePoint(1'205ns)},
                                {.name = "c",
                                 .kind = "map",
                                 .rows = {{0, 1}},
                                 .batch_rows = 1,
                                 .failed = 1,
                                 .start = galley::TimePoint(9us),
                                 .took = -50ns}};
  CHECK(to_text(spans) ==
        "a [on] rows 0-1 of 4, waited 0.205 us, took 12.5 us\n"
        "  b [map] rows 1 of 1, not answered\n"
        "c [map] rows 0 of 1, 1 failed, took -0.05 us\n");
  CHECK(galley::waited(spans, 0) == 205ns);
  CHECK(galley::waited(spans, 1) == 0ns);
}
