// Traces of requests that are split, merged, handed over and answered late.
#include <galley/compose/batched.hpp>
#include <galley/compose/in_order.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/slot.hpp>
#include <galley/core/trace.hpp>
#include <galley/core/trace_text.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/batching.hpp>
#include <support/padding.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchCompletion;
using galley::BatchContext;
using galley::Context;
using galley::Error;
using galley::Frame;
using galley::ManualExecutor;
using galley::map;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::SizeOrDelay;
using galley::Span;
using galley::SpanCall;
using galley::Status;
using galley::to_text;
using galley::Trace;
using support::always_queued;
using support::BatchLog;
using support::IntEar;
using support::logged;
using namespace std::chrono_literals;

namespace {

std::shared_ptr<Trace> trace_on(const ManualExecutor& executor) {
  return std::make_shared<Trace>(executor.now().clock);
}

/// Refuses what is below zero; takes a millisecond.
Servable<int, int> checked(const ManualExecutor& executor, std::string name = "checked") {
  return galley::map_batch(std::move(name), [executor](const Rows<int>& rows) {
    executor.pass(1ms);
    Outcomes<int> outcomes;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] < 0) {
        outcomes.casualties().append(i, Error(Status::invalid_argument, "negative"));
      } else {
        outcomes.survivors().push_back(rows[i]);
      }
    }
    return outcomes;
  });
}

Servable<int, int> plus(int by, std::string name) {
  return map(std::move(name), [by](int n) { return n + by; });
}

/// What is submitted and run to its end.
void run(const ManualExecutor& executor, const Servable<int, int>& graph, const Rows<int>& rows,
         const Context& context) {
  IntEar ear;
  graph.submit_rows(rows, context, ear.listen(rows.size()));
  executor.run_all();
  CHECK(ear.answers == 1);
}

}  // namespace

TEST_CASE("rows that fail in one stage are missing in the next, by their own numbers",
          "[trace][pipeline]") {
  const ManualExecutor executor;
  const auto graph = checked(executor) | plus(-2, "less") | checked(executor, "again");
  const auto trace = trace_on(executor);
  (void)graph.serve_rows(Rows<int>{5, -1, 1, 4, -1, 0}, {.trace = trace});
  const std::string expected =
      "checked | less | again [pipeline] rows 0-5 of 6, 4 failed, took 2000 us\n"
      "  checked [map_batch] rows 0-5 of 6, 2 failed, took 1000 us\n"
      "  less [map] rows 0, 2-3, 5 of 4, took 0 us\n"
      "  again [map_batch] rows 0, 2-3, 5 of 4, 2 failed, took 1000 us\n";
  CHECK(to_text(*trace) == expected);

  SECTION("also when they are submitted") {
    const auto later = trace_on(executor);
    run(executor, graph, {5, -1, 1, 4, -1, 0}, {.trace = later});
    CHECK(to_text(*later) == expected);
  }
  SECTION("and however the pipeline is bracketed") {
    const auto other = checked(executor) | (plus(-2, "less") | checked(executor, "again"));
    const auto bracketed = trace_on(executor);
    (void)other.serve_rows(Rows<int>{5, -1, 1, 4, -1, 0}, {.trace = bracketed});
    CHECK(to_text(*bracketed) == expected);
  }
}

TEST_CASE("what waits for a worker is seen to wait", "[trace][on]") {
  const ManualExecutor executor;
  const auto graph = on(executor, checked(executor)) | on(executor, plus(1, "plus"));
  const auto trace = trace_on(executor);
  IntEar ear;
  graph.submit_rows(Rows<int>{1, -1, 2}, {.request_id = 3, .trace = trace}, ear.listen(3));
  CHECK(to_text(*trace) ==
        "on(checked) | on(plus) [pipeline] rows 0-2 of 3, not answered\n"
        "  on(checked) [on] rows 0-2 of 3, not answered\n");
  executor.pass(5ms);
  executor.run_one();
  executor.pass(2ms);
  executor.run_one();
  CHECK(ear.answers == 1);
  CHECK(to_text(*trace) ==
        "on(checked) | on(plus) [pipeline] rows 0-2 of 3, 1 failed, took 8000 us\n"
        "  on(checked) [on] rows 0-2 of 3, 1 failed, waited 5000 us, took 6000 us\n"
        "    checked [map_batch] rows 0-2 of 3, 1 failed, took 1000 us\n"
        "  on(plus) [on] rows 0, 2 of 2, waited 2000 us, took 2000 us\n"
        "    plus [map] rows 0, 2 of 2, took 0 us\n");
  const std::vector<Span> spans = trace->spans();
  CHECK(spans[1].call == SpanCall::submit);
  CHECK(spans[2].call == SpanCall::serve);
  for (const Span& span : spans) CHECK(span.request_id == 3);
}

TEST_CASE("a caller that waits has a span of one thread around its workers'", "[trace][on]") {
  const ManualExecutor executor;
  const auto graph = on(executor, checked(executor));
  const auto trace = trace_on(executor);
  CHECK(graph.serve(1, {.trace = trace}).has_value());
  CHECK(to_text(*trace) ==
        "on(checked) [on] rows 0 of 1, took 1000 us\n"
        "  checked [map_batch] rows 0 of 1, took 1000 us\n");
  CHECK(trace->spans()[0].call == SpanCall::serve);
}

TEST_CASE("a batch of several requests is noted in the trace of each that has one",
          "[trace][batched]") {
  const ManualExecutor executor;
  const auto graph = batched(executor, checked(executor, "model") | plus(1, "plus"), always_queued);
  const auto a = trace_on(executor), c = trace_on(executor);
  IntEar first, second, third;
  graph.submit_rows(Rows<int>{1, -1}, {.request_id = 1, .trace = a}, first.listen(2));
  executor.pass(3ms);
  graph.submit_rows(Rows<int>{-1, 2, 3}, {.request_id = 2}, second.listen(3));
  graph.submit_rows(Rows<int>{-1, 4, -1, 5}, {.request_id = 3, .trace = c}, third.listen(4));
  executor.run_all();
  CHECK(first.answers + second.answers + third.answers == 3);
  CHECK(to_text(*a) ==
        "batched(model | plus) [batched] rows 0-1 of 2, 1 failed, waited 3000 us, took 4000 us\n"
        "  model | plus [pipeline] rows 0-1 of 9, 1 failed, took 1000 us\n"
        "    model [map_batch] rows 0-1 of 9, 1 failed, took 1000 us\n"
        "    plus [map] rows 0 of 5, took 0 us\n");
  CHECK(to_text(*c) ==
        "batched(model | plus) [batched] rows 0-3 of 4, 2 failed, took 1000 us\n"
        "  model | plus [pipeline] rows 0-3 of 9, 2 failed, took 1000 us\n"
        "    model [map_batch] rows 0-3 of 9, 2 failed, took 1000 us\n"
        "    plus [map] rows 1, 3 of 5, took 0 us\n");
  CHECK(c->spans()[3].request_id == 3);
}

TEST_CASE("a request that is split has a span for each part, and survivors keep their numbers",
          "[trace][batched]") {
  const ManualExecutor executor;
  const auto graph = checked(executor) |
                     batched(executor, plus(1, "model"), always_queued, SizeOrDelay{.max_rows = 2});
  const auto trace = trace_on(executor);
  run(executor, graph, {0, -1, 1, 2, -1, 3, 4}, {.trace = trace});
  CHECK(to_text(*trace) ==
        "checked | batched(model) [pipeline] rows 0-6 of 7, 2 failed, took 3000 us\n"
        "  checked [map_batch] rows 0-6 of 7, 2 failed, took 1000 us\n"
        "  batched(model) [batched] rows 0, 2-3, 5-6 of 5, took 2000 us\n"
        "    model [map] rows 0, 2 of 2, took 0 us\n"
        "    model [map] rows 3, 5 of 2, took 0 us\n"
        "    model [map] rows 6 of 1, took 0 us\n");  // it waited for others
}

TEST_CASE("a caller's own batch is noted like a worker's, in slices too", "[trace][batched]") {
  const ManualExecutor executor;
  const auto graph = batched(executor, plus(1, "model"), {}, SizeOrDelay{.max_rows = 2});
  const auto trace = trace_on(executor);
  (void)graph.serve_rows(Rows<int>{1, 2, 3}, {.trace = trace});
  CHECK(to_text(*trace) ==
        "batched(model) [batched] rows 0-2 of 3, took 0 us\n"
        "  model [map] rows 0-1 of 2, took 0 us\n"
        "  model [map] rows 2 of 1, took 0 us\n");
}

TEST_CASE("copies that fill a batch up are counted in it, not among a request's rows",
          "[trace][batched]") {
  const ManualExecutor executor;
  const auto graph = batched(executor, checked(executor, "model"),
                             {.sizes = {4, 8}, .caller_runs = galley::CallerRuns::never});
  const auto trace = trace_on(executor), other = trace_on(executor);
  IntEar a, b;
  graph.submit_rows(Rows<int>{1, 2}, {.trace = trace}, a.listen(2));
  graph.submit_rows(Rows<int>{3, 4, -1}, {.trace = other}, b.listen(3));
  executor.run_all();
  CHECK(to_text(*trace) ==
        "batched(model) [batched] rows 0-1 of 2, took 1000 us\n"
        "  model [map_batch] rows 0-1 of 8, took 1000 us\n");
  CHECK(to_text(*other) ==
        "batched(model) [batched] rows 0-2 of 3, 1 failed, took 1000 us\n"
        "  model [map_batch] rows 0-2 of 8, 1 failed, took 1000 us\n");
}

TEST_CASE("a batcher in another keeps apart what it merges", "[trace][batched]") {
  const ManualExecutor executor;
  const auto inner = batched(executor, checked(executor, "model"), always_queued);
  const auto graph = batched(executor, checked(executor) | inner, always_queued);
  const auto a = trace_on(executor), b = trace_on(executor);
  IntEar first, second;
  graph.submit_rows(Rows<int>{1, -1, 2}, {.trace = a}, first.listen(3));
  graph.submit_rows(Rows<int>{-1, 3}, {.trace = b}, second.listen(2));
  executor.run_all();
  const std::string name = "checked | batched(model)";
  CHECK(to_text(*b) == "batched(" + name + ") [batched] rows 0-1 of 2, 1 failed, took 2000 us\n" +
                           "  " + name +
                           " [pipeline] rows 0-1 of 5, 1 failed, took 2000 us\n"
                           "    checked [map_batch] rows 0-1 of 5, 1 failed, took 1000 us\n"
                           "    batched(model) [batched] rows 1 of 3, took 1000 us\n"
                           "      model [map_batch] rows 1 of 3, took 1000 us\n");
  CHECK(a->spans().back().rows == std::vector<galley::RowRange>{{0, 1}, {2, 1}});
}

TEST_CASE("two ways of a request through one batcher are two spans of its batch",
          "[trace][batched]") {
  const ManualExecutor executor;
  const auto shared = batched(executor, plus(1, "model"), always_queued);
  const auto trace = trace_on(executor);
  IntEar a, b;
  shared.submit(1, {.trace = trace}, a.listen());
  shared.submit(2, {.trace = trace}, b.listen());
  executor.run_all();
  CHECK(to_text(*trace) ==
        "batched(model) [batched] rows 0 of 1, took 0 us\n"
        "  model [map] rows 0 of 2, took 0 us\n"
        "batched(model) [batched] rows 0 of 1, took 0 us\n"
        "  model [map] rows 0 of 2, took 0 us\n");
}

TEST_CASE("a slot is followed to the version that answers", "[trace][slot]") {
  const ManualExecutor executor;
  const bool later = GENERATE(false, true);
  const auto first = later ? on(executor, plus(1, "one")) : plus(1, "one");
  const auto second = later ? on(executor, plus(2, "two")) : plus(2, "two");
  const auto slotted = galley::slot("slot", first);
  const auto trace = trace_on(executor);
  run(executor, slotted.servable, {1, 2}, {.trace = trace});
  REQUIRE(slotted.publisher.publish(second).has_value());
  (void)slotted.servable.serve_rows(Rows<int>{1, 2}, {.trace = trace});
  const auto spans = trace->spans();
  const auto leaf = [&](std::size_t i) {
    return galley::path_of(spans, static_cast<galley::SpanId>(i));
  };
  REQUIRE(spans.size() == (later ? 6 : 4));
  CHECK(leaf(later ? 2 : 1) == (later ? "slot/on(one)/one" : "slot/one"));
  CHECK(leaf(later ? 5 : 3) == (later ? "slot/on(two)/two" : "slot/two"));
  for (const Span& span : spans) CHECK(span.row_count() == 2);
}

TEST_CASE("rows that are padded apart are noted apart", "[trace][padded]") {
  const ManualExecutor executor;
  const bool later = GENERATE(false, true);
  auto model = support::summing(std::make_shared<support::BlockLog>());
  if (later) model = on(executor, model);
  galley::Padding options = support::paddings();
  options.check = galley::Padding::Check::trust;
  const auto graph = galley::padded(model, options);
  const auto trace = trace_on(executor);
  const Rows<galley::Tensor> rows{support::counting(7), support::counting(2), support::counting(99),
                                  support::counting(8), support::row_of({-9, 1})};
  int answers = 0;
  graph.submit_rows(rows, {.trace = trace},
                    {rows.size(), [&](const Outcomes<float>&) { ++answers; }});
  executor.run_all();
  CHECK(answers == 1);
  const auto spans = trace->spans();
  std::vector<std::string> models;
  for (const Span& span : spans) {
    if (span.name == "sum") models.push_back(to_text(span.rows));
  }
  CHECK(models == std::vector<std::string>{"0, 3", "1, 4"});
  CHECK(spans[0].kind == "padded");
  CHECK(spans[0].failed == 2);
}

TEST_CASE("rows that expire are not among those computed", "[trace][batched]") {
  const ManualExecutor executor;
  const auto graph = batched(executor, checked(executor) | plus(1, "plus"), always_queued);
  const auto late = trace_on(executor), kept = trace_on(executor);
  IntEar a, b;
  graph.submit_rows(Rows<int>{1, 2}, {.deadline = executor.now() + 500us, .trace = late},
                    a.listen(2));
  graph.submit_rows(Rows<int>{3, 4}, {.trace = kept}, b.listen(2));
  executor.run_all();
  CHECK(a.status() == Status::deadline_exceeded);
  const auto spans = late->spans();
  REQUIRE(spans.size() == 4);  // the pipeline goes on, its second stage answers without computing
  CHECK(spans[2].failed == 0);
  CHECK(spans[3].name == "plus");
  CHECK(spans[3].failed == 2);
  CHECK(kept->spans()[3].failed == 0);
}

TEST_CASE("what is dropped unanswered ends its span", "[trace]") {
  const ManualExecutor executor;
  const Servable<int, int> dropper("dropper", [](int, galley::Completion<int>) {});
  const auto trace = trace_on(executor);
  IntEar ear;
  (dropper | plus(1, "plus")).submit(1, {.trace = trace}, ear.listen());
  CHECK(ear.status() == Status::cancelled);
  CHECK(to_text(*trace) ==
        "dropper | plus [pipeline] rows 0 of 1, 1 failed, took 0 us\n"
        "  dropper [map_later] rows 0 of 1, 1 failed, took 0 us\n");
}

TEST_CASE("a trace is complete though its caller left at the deadline", "[trace][on]") {
  const ManualExecutor executor;
  std::optional<galley::Completion<int>> owed;
  const Servable<int, int> later(
      "later", [&owed](int, galley::Completion<int> done) { owed = std::move(done); });
  const auto graph = plus(1, "plus") | later;
  auto trace = trace_on(executor);
  const std::weak_ptr<Trace> watch = trace;
  const Context context{.deadline = executor.now() + 2ms, .trace = trace};
  CHECK(on(executor, map("call", [&](int n) -> Result<int> { return graph.serve(n, context); }))
            .serve(1)
            .status() == Status::deadline_exceeded);
  CHECK(to_text(*trace) ==
        "plus | later [pipeline] rows 0 of 1, 1 failed, took 2000 us\n"
        "  plus [map] rows 0 of 1, took 0 us\n"
        "  later [map_later] rows 0 of 1, 1 failed, took 2000 us\n");
}

TEST_CASE("a request in flight keeps its trace, and no longer", "[trace][batched]") {
  const ManualExecutor executor;
  std::weak_ptr<Trace> watch;
  std::optional<Servable<int, int>> graph =
      on(executor, plus(1, "plus")) |
      batched(executor, checked(executor), always_queued, SizeOrDelay{.max_rows = 2});
  IntEar a, b;
  {
    const auto trace = trace_on(executor);
    watch = trace;
    graph->submit_rows(Rows<int>{1, 2, 3}, {.trace = trace}, a.listen(3));
    graph->submit(3, {}, b.listen());
  }
  CHECK_FALSE(watch.expired());
  SECTION("while its graph lives") {
    executor.run_all();
    CHECK(a.answers + b.answers == 2);
    CHECK(watch.expired());
  }
  SECTION("when its graph is dropped in flight") {
    graph.reset();
    executor.run_all();
    CHECK(a.answers + b.answers == 2);
    CHECK(watch.expired());
  }
  SECTION("when its executor is shut down") {
    executor.shutdown();
    CHECK(a.answers + b.answers == 2);
    CHECK(watch.expired());
  }
}

TEST_CASE("what goes on after a shutdown's answer still finds its trace", "[trace][on]") {
  const ManualExecutor executor;
  std::weak_ptr<Trace> watch;
  bool lived = false;
  IntEar ear;
  {
    const auto graph = on(executor, map("first", [&](int n) {
                                      executor.shutdown();
                                      lived = !watch.expired();
                                      return n;
                                    }) | plus(1, "second"));
    const auto trace = trace_on(executor);
    watch = trace;
    graph.submit(1, {.trace = trace}, ear.listen());
  }
  executor.run_all();
  CHECK(ear.status() == Status::unavailable);
  CHECK(lived);
  CHECK(watch.expired());
}

TEST_CASE("in_order and whoever is held by it", "[trace][in_order]") {
  const ManualExecutor executor;
  const auto graph = in_order(on(executor, plus(1, "plus")));
  const auto trace = trace_on(executor);
  run(executor, graph, {1, 2}, {.trace = trace});
  CHECK(to_text(*trace) ==
        "in_order(on(plus)) [in_order] rows 0-1 of 2, took 0 us\n"
        "  on(plus) [on] rows 0-1 of 2, took 0 us\n"
        "    plus [map] rows 0-1 of 2, took 0 us\n");
}

namespace {

/// Asks its child twice for each request, each time apart, and answers what comes second.
struct Twice {
  static constexpr const char* kind = "twice";
  Servable<int, int> child;

  galley::NodeTraits traits() const { return child.traits(); }
  std::size_t frame_bytes() const { return 0; }
  Outcomes<int> serve(const Batch<int>& batch, const BatchContext& context) const {
    (void)child.serve_batch(batch.borrowed(), context);
    return child.serve_batch(batch, context);
  }
  void submit(Rows<int>&& rows, const BatchContext& context, Frame&,
              BatchCompletion<int> done) const {
    const std::size_t n = rows.size();
    child.submit_apart(Rows<int>(rows), context, {n, [](const Outcomes<int>&) {}});
    child.submit_apart(std::move(rows), context, std::move(done));
  }
};

}  // namespace

TEST_CASE("a child that is asked apart is beneath who asked", "[trace]") {
  const ManualExecutor executor;
  const bool later = GENERATE(false, true);
  const auto child = later ? on(executor, checked(executor)) : checked(executor);
  const auto graph =
      plus(0, "plus") | Servable<int, int>::of_node("twice", Twice{child}) | plus(1, "after");
  const auto trace = trace_on(executor);
  run(executor, graph, {1, -1}, {.trace = trace});
  const auto spans = trace->spans();
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    paths.push_back(galley::path_of(spans, static_cast<galley::SpanId>(i)));
  }
  const std::string root = "plus | twice | after";
  const std::string way = later ? "/twice/on(checked)" : "/twice";
  CHECK(std::count(paths.begin(), paths.end(), root + way + "/checked") == 2);
  CHECK(std::count(paths.begin(), paths.end(), root + "/after") == 1);
  CHECK(spans.size() == (later ? 8 : 6));
  for (const Span& span : spans) CHECK(span.took.has_value());
}

TEST_CASE("keys stay with their rows in a traced request", "[trace][batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = checked(executor) | batched(executor, logged(log), always_queued);
  const auto trace = trace_on(executor);
  const std::vector<galley::Key> keys{7, 8, 9};
  IntEar ear;
  graph.submit_rows(Rows<int>{1, -1, 2}, {.trace = trace}, ear.listen(3), {.keys = keys});
  executor.run_all();
  CHECK(log->keys == std::vector<std::vector<galley::Key>>{{7, 9}});
  CHECK(to_text(trace->spans().back().rows) == "0, 2");
}

TEST_CASE("what an author's function calls is beneath it, given the batch's context", "[trace]") {
  const ManualExecutor executor;
  const auto inner = plus(1, "inner");
  const auto graph = checked(executor) |
                     Servable<int, int>("author",
                                        [inner](const Batch<int>& rows, const BatchContext& all) {
                                          return inner.serve_batch(rows.borrowed(), all);
                                        }) |
                     map("row", [inner](int n, const Context& context) {
                       return inner.serve(n, context);  // whose row it is, it cannot say
                     });
  const auto trace = trace_on(executor);
  (void)graph.serve_rows(Rows<int>{-1, 5}, {.trace = trace});
  CHECK(to_text(*trace) ==
        "checked | author | row [pipeline] rows 0-1 of 2, 1 failed, took 1000 us\n"
        "  checked [map_batch] rows 0-1 of 2, 1 failed, took 1000 us\n"
        "  author [map_batch] rows 1 of 1, took 0 us\n"
        "    inner [map] rows 1 of 1, took 0 us\n"
        "  row [map] rows 1 of 1, took 0 us\n"
        "inner [map] rows 0 of 1, took 0 us\n");
}

TEST_CASE("a whole-batch function that is halved has one span", "[trace]") {
  const ManualExecutor executor;
  int calls = 0;
  const auto graph = galley::map_batch("throws", [&](const Rows<int>& rows) -> Rows<int> {
    ++calls;
    for (const int n : rows) {
      if (n < 0) throw std::runtime_error("negative");
    }
    return rows;
  });
  const auto trace = trace_on(executor);
  (void)graph.serve_rows(Rows<int>{1, 2, -1, 3}, {.trace = trace});
  CHECK(calls == 5);
  CHECK(to_text(*trace) == "throws [map_batch] rows 0-3 of 4, 1 failed, took 0 us\n");
}

TEST_CASE("a trace that is full loses spans and changes no answer", "[trace]") {
  const ManualExecutor executor;
  const auto graph = checked(executor) | on(executor, plus(1, "plus")) | plus(1, "more");
  const auto trace = std::make_shared<Trace>(executor.now().clock, galley::TraceOptions{2});
  IntEar ear;
  graph.submit_rows(Rows<int>{1, -1, 2}, {.trace = trace}, ear.listen(3));
  executor.run_all();
  CHECK(ear.value(0) == 3);
  CHECK(ear.status(1) == Status::invalid_argument);
  CHECK(ear.value(2) == 4);
  CHECK(trace->spans().size() == 2);
  CHECK(trace->lost() == 3);
}
