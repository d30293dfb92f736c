#include <galley/compose/hedge.hpp>
#include <galley/core/slot.hpp>

#include <support/resilience.hpp>
#include <support/rows.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Context;
using galley::Error;
using galley::hedge;
using galley::HedgeOptions;
using galley::HedgeStatistics;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using support::counted;
using support::Held;
using support::held;
using support::IntEar;
using support::Script;
using support::scripted;
using namespace std::chrono_literals;

namespace {

/// A hedge over calls that a test answers, which knows that requests of up to 3 rows take 1 ms.
struct Fixture {
  ManualExecutor executor;
  std::shared_ptr<Held> calls = std::make_shared<Held>();
  std::shared_ptr<int> alive = std::make_shared<int>(0);
  std::optional<Servable<int, int>> graph;

  explicit Fixture(HedgeOptions options = {.share = 1}) {
    graph = hedge(executor, held(calls, {}, alive), options);
    for (const Rows<int>& rows : {Rows<int>{1}, Rows<int>{1, 2, 3}}) {
      for (int i = 0; i < 16; ++i) {
        IntEar ear;
        graph->submit_rows(Rows<int>(rows), {}, ear.listen(rows.size()));
        executor.advance(1ms);
        calls->calls.back().answer();
        CHECK(ear.answers == 1);
      }
    }
    calls->calls.clear();
    CHECK(executor.timers() == 0);
    CHECK(statistics().hedged == 0);
  }
  HedgeStatistics statistics() const { return counted<HedgeStatistics>(*graph); }
};

}  // namespace

TEST_CASE("a request in time is sent once", "[hedge]") {
  Fixture f;
  CHECK(f.graph->name() == "hedge(held)");
  CHECK_FALSE(f.graph->traits().inline_only);
  CHECK(f.statistics().delay == 1ms);
  IntEar ear;
  f.graph->submit_rows(Rows<int>{1, -2}, {}, ear.listen(2));
  CHECK(f.executor.timers() == 1);
  f.calls->calls[0].answer(Status::internal);
  CHECK(ear.value(0) == 10);
  CHECK(ear.heard[1].error() == Error(Status::internal, "held: negative"));
  CHECK(f.executor.timers() == 0);
  CHECK(f.statistics().hedged == 0);
}

TEST_CASE("a late request is sent again, the first answer counts, the other is stopped",
          "[hedge]") {
  Fixture f;
  const std::vector<galley::Key> keys{7, 8, 9};
  for (const std::size_t winner : {std::size_t{0}, std::size_t{1}}) {
    CAPTURE(winner);
    IntEar ear;
    f.graph->submit_rows(Rows<int>{1, 2, 3}, {.request_id = 5}, ear.listen(3), {.keys = keys});
    f.executor.advance(2ms);
    REQUIRE(f.calls->calls.size() == 2);
    auto& won = f.calls->calls[winner];
    auto& lost = f.calls->calls[1 - winner];
    CHECK(lost.rows == Rows<int>{1, 2, 3});
    CHECK(f.calls->calls[1].keys == keys);
    CHECK(f.calls->calls[1].contexts[0].request_id == 5);
    CHECK_FALSE(lost.stopped());
    won.answer();
    CHECK(ear.value(2) == 30);
    CHECK(lost.stopped());
    lost.fail(Status::cancelled);
    CHECK(ear.answers == 1);
    f.calls->calls.clear();
  }
  CHECK(f.statistics().hedged == 2);
  CHECK(f.statistics().won == 1);
}

TEST_CASE("a row that failed waits for the other answer", "[hedge]") {
  Fixture f;
  for (const std::size_t early : {std::size_t{0}, std::size_t{1}}) {
    CAPTURE(early);
    IntEar ear;
    f.graph->submit_rows(Rows<int>{1, -2, -3}, {}, ear.listen(3));
    f.executor.advance(2ms);
    REQUIRE(f.calls->calls.size() == 2);
    f.calls->calls[early].answer(Status::internal);
    CHECK(ear.answers == 0);
    auto& later = f.calls->calls[1 - early];
    CHECK_FALSE(later.stopped());
    later.rows = Rows<int>{-1, -2, 3};
    later.answer(Status::unavailable);
    REQUIRE(ear.answers == 1);
    CHECK(ear.value(0) == 10);
    CHECK(ear.heard[1].error() == Error(Status::internal, "held: negative"));
    CHECK(ear.value(2) == 30);
    f.calls->calls.clear();
  }
}

TEST_CASE("what fails before it is late is answered at once: a hedge is no retry", "[hedge]") {
  Fixture f;
  IntEar ear;
  f.graph->submit(1, {}, ear.listen());
  f.calls->calls[0].fail(Status::unavailable);
  CHECK(ear.status() == Status::unavailable);
  CHECK(f.executor.timers() == 0);
  CHECK(f.calls->calls.size() == 1);
}

TEST_CASE("no more than a share of the requests is sent twice", "[hedge]") {
  Fixture f({.share = 0.1, .burst = 2});
  for (int i = 0; i < 200; ++i) {
    IntEar ear;
    f.graph->submit(1, {}, ear.listen());
    f.executor.advance(1s);
    for (auto& call : f.calls->calls) call.answer();
    CHECK(ear.answers == 1);
    f.calls->calls.clear();
  }
  // Delays follow what is slow now, and some requests are so no longer late.
  CHECK(f.statistics().hedged <= 23);
  CHECK(f.statistics().hedged >= 5);
  CHECK(f.statistics().refused > 0);
}

TEST_CASE("a delay is learned from what the primary takes, also where it lost", "[hedge]") {
  Fixture f;
  const auto before = f.statistics().delay;
  IntEar ear;
  f.graph->submit(1, {}, ear.listen());
  f.executor.advance(5ms);
  f.calls->calls[1].answer();
  CHECK(f.statistics().delay > before);
  const auto after = f.statistics().delay;
  f.calls->calls[0].answer();  // known already
  CHECK(f.statistics().delay == after);
  IntEar refused;
  f.graph->submit(1, {}, refused.listen());
  f.calls->calls.back().fail(Status::resource_exhausted);
  CHECK(f.statistics().delay == after);  // no work, no news
}

TEST_CASE("a stop of the caller reaches both, each by its own request", "[hedge]") {
  Fixture f;
  std::stop_source one, two;
  const Context first{.stop = one.get_token()}, second{.stop = two.get_token()};
  const std::vector<galley::RequestRun> runs{{&first, 1}, {&second, 2}};
  IntEar ear;
  const Rows<int> rows{1, 2, 3};
  galley::on(f.executor, *f.graph)
      .submit_apart(Rows<int>(rows), galley::BatchContext(runs, {}), ear.listen(3));
  f.executor.advance(2ms);
  REQUIRE(f.calls->calls.size() == 2);
  one.request_stop();
  for (const auto& call : f.calls->calls) {
    CHECK(call.contexts[0].stop.stop_requested());
    CHECK_FALSE(call.contexts[1].stop.stop_requested());
  }
  f.calls->calls[0].answer();
  CHECK(ear.value(1) == 20);
  CHECK(f.calls->calls[1].contexts[2].stop.stop_requested());
  f.calls->calls.clear();
}

TEST_CASE("a stop that ends the request from inside is safe", "[hedge]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<support::BatchLog>();
  const auto graph =
      hedge(executor, galley::batched(executor, support::logged(log), support::always_queued));
  std::stop_source stop;
  IntEar ear;
  graph.submit(1, {.stop = stop.get_token()}, ear.listen());
  stop.request_stop();
  CHECK(ear.status() == Status::cancelled);
  executor.run_all();
  CHECK(log->batches.empty());
}

TEST_CASE("a loser in a queue is taken out of it", "[hedge]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto log = std::make_shared<support::BatchLog>();
  const auto backup = galley::batched(executor, support::logged(log), support::always_queued,
                                      galley::SizeOrDelay{8, 100ms});
  const auto graph = hedge(executor, held(calls), backup, {.share = 1});
  CHECK(graph.name() == "hedge(held, batched(model))");
  CHECK(graph.describe().children.size() == 2);
  CHECK_FALSE(graph.traits().deterministic);
  for (int i = 0; i < 16; ++i) {
    IntEar ear;
    graph.submit(1, {}, ear.listen());
    executor.advance(1ms);
    calls->calls.back().answer();
  }
  IntEar ear;
  graph.submit(1, {}, ear.listen());
  executor.advance(2ms);
  CHECK(support::statistics_of(backup).queued_rows == 1);
  calls->calls.back().answer();
  CHECK(ear.value() == 10);
  CHECK(support::statistics_of(backup).queued_rows == 0);
  executor.run_all();
  CHECK(log->batches.empty());
}

TEST_CASE("what waits for nobody runs on the executor", "[hedge]") {
  const ManualExecutor executor;
  const auto graph = hedge(executor, galley::map("work", [](int n) {
                             CHECK(galley::Worker::current() != nullptr);
                             return n + 1;
                           }));
  CHECK(graph.serve(1) == Result<int>(2));
  IntEar ear;
  graph.submit(2, {}, ear.listen());
  CHECK(ear.answers == 0);
  executor.run_all();
  CHECK(ear.value() == 3);
  CHECK(graph.describe().children[0].name == "on(work)");
}

TEST_CASE("serve waits for the first answer, to its deadline", "[hedge]") {
  Fixture f;
  CHECK(f.graph->serve(1, {.deadline = f.executor.now() + 10ms}).error() ==
        Error(Status::deadline_exceeded, "hedge(held): no answer in time"));
  CHECK(f.calls->calls.size() == 2);
  for (auto& call : f.calls->calls) call.answer();
}

TEST_CASE("the graph may go while both work, and a shutdown takes the timer only", "[hedge]") {
  std::optional<Fixture> f(std::in_place);
  const auto alive = f->alive;
  const auto calls = f->calls;
  IntEar both, one;
  f->graph->submit(1, {}, both.listen());
  f->executor.advance(2ms);
  f->graph->submit(2, {}, one.listen());
  f->graph.reset();
  f->executor.shutdown();
  f.reset();
  REQUIRE(calls->calls.size() == 3);
  CHECK(both.answers + one.answers == 0);
  calls->calls[2].answer();
  CHECK(one.value() == 20);
  calls->calls[1].answer();
  CHECK(both.value() == 10);
  calls->calls.clear();
  CHECK(alive.use_count() == 1);
}

TEST_CASE("dropped completions answer cancelled, once", "[hedge]") {
  Fixture f;
  IntEar ear;
  f.graph->submit(1, {}, ear.listen());
  f.executor.advance(2ms);
  REQUIRE(f.calls->calls.size() == 2);
  f.calls->calls.pop_back();
  CHECK(ear.answers == 0);
  f.calls->calls.clear();
  CHECK(ear.status() == Status::cancelled);
}

TEST_CASE("both answers of a request are of one version of a slot", "[hedge]") {
  const ManualExecutor executor;
  const auto one = std::make_shared<Held>(), two = std::make_shared<Held>();
  const auto made = galley::slot("slot", held(one));
  const auto graph = hedge(executor, made.servable, {.share = 1});
  for (int i = 0; i < 16; ++i) {
    IntEar ear;
    graph.submit_rows(Rows<int>{1, 2}, {}, ear.listen(2));
    executor.advance(1ms);
    one->calls.back().answer();
  }
  one->calls.clear();
  IntEar ear;
  graph.submit_rows(Rows<int>{1, 2}, {}, ear.listen(2));
  REQUIRE(made.publisher.publish(held(two)).has_value());
  executor.advance(2ms);
  CHECK(one->calls.size() == 2);
  CHECK(two->calls.empty());
  one->calls[1].answer();
  CHECK(ear.value(1) == 20);
  one->calls.clear();
}

namespace {
struct Fragile {
  explicit Fragile(int of) : value(of) {}
  Fragile(const Fragile& other) : value(other.value) {
    if (value == 13) throw std::runtime_error("cannot copy 13");
  }
  Fragile(Fragile&&) noexcept = default;
  Fragile& operator=(Fragile&&) noexcept = default;
  int value;
};
}  // namespace

TEST_CASE("rows that cannot be copied are sent once", "[hedge]") {
  const ManualExecutor executor;
  std::vector<galley::BatchCompletion<int>> kept;
  const auto graph = hedge(
      executor,
      Servable<Fragile, int>(
          "later",
          [&](Rows<Fragile>, galley::BatchCompletion<int> d) { kept.push_back(std::move(d)); }),
      {.share = 1});
  for (const int value : {1, 13}) {
    for (int i = 0; i < 16; ++i) {
      IntEar ear;
      graph.submit(Fragile(value), {}, ear.listen());
      kept.back()(Rows<int>{1});
      CHECK(ear.value() == 1);
    }
  }
  IntEar ear;
  kept.clear();
  graph.submit(Fragile(13), {}, ear.listen());
  executor.advance(1s);
  CHECK(kept.size() == 1);
  kept.clear();
  CHECK(ear.status() == Status::cancelled);
}

TEST_CASE("what cannot be asked twice is refused, and options out of bounds", "[hedge]") {
  const ManualExecutor executor;
  const auto script = std::make_shared<Script>();
  CHECK(hedge(executor, scripted(script, {.repeatable = false})).check().error() ==
        Error(Status::failed_precondition,
              "hedge(model): model: it is not repeatable: asking again is not harmless"));
  CHECK(hedge(executor, scripted(script), scripted(script, {.stateful = true})).check().status() ==
        Status::failed_precondition);
  const auto why = [&](HedgeOptions options) {
    return hedge(executor, scripted(script), options).check().error();
  };
  CHECK(why({.quantile = 1}) ==
        Error(Status::invalid_argument,
              "hedge(model): options.quantile: expected more than 0, less than 1, got 1"));
  CHECK(why({.least_delay = -1ns}).status == Status::invalid_argument);
  CHECK(why({.share = -1}).status == Status::invalid_argument);
  CHECK(why({.burst = 0}).status == Status::invalid_argument);
  const auto description = hedge(executor, scripted(script)).describe();
  CHECK(description.kind == "hedge");
  CHECK(description.options[0] == std::pair<std::string, std::string>("quantile", "0.95"));
}
