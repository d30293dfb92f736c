#include <galley/compose/breaker.hpp>

#include <support/allocations.hpp>
#include <support/clock.hpp>
#include <support/resilience.hpp>
#include <support/rows.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::breaker;
using galley::BreakerMode;
using galley::BreakerOptions;
using galley::BreakerState;
using galley::BreakerStatistics;
using galley::Context;
using galley::Error;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::SetBreakerMode;
using galley::Status;
using support::counted;
using support::HandClock;
using support::Held;
using support::held;
using support::IntEar;
using support::Script;
using support::scripted;
using namespace std::chrono_literals;

namespace {

const BreakerOptions small{.window = 10, .least_rows = 4, .open_for = 1s, .probes = 3};

/// Fails while `ill`, and rows below zero always, which is the caller's fault.
struct Patient {
  bool ill = false;
  Status illness = Status::internal;
  std::shared_ptr<Script> script = std::make_shared<Script>();
  Patient() {
    script->answer = [this](int row, std::size_t) -> Result<int> {
      if (row < 0) return Error(Status::invalid_argument);
      if (ill) return Error(illness, "ill");
      return row * 10;
    };
  }
  Patient(const Patient&) = delete;
  Patient& operator=(const Patient&) = delete;
  std::size_t calls() const { return script->batches.size(); }
};

BreakerState state_of(const Servable<int, int>& graph) {
  return counted<BreakerStatistics>(graph).state;
}

}  // namespace

TEST_CASE("a breaker opens when too many rows fail, and then answers at once", "[breaker]") {
  HandClock clock;
  Patient patient;
  const auto graph = breaker(clock.now().clock, scripted(patient.script), small);
  CHECK(graph.name() == "breaker(model)");
  CHECK(graph.traits().inline_only);
  CHECK(graph.serve(1) == Result<int>(10));
  patient.ill = true;
  for (int i = 0; i < 3; ++i)
    CHECK(graph.serve(1).error() == Error(Status::internal, "model: ill"));
  CHECK(state_of(graph) == BreakerState::open);
  clock.advance(200ms);
  const Outcomes<int> refused = graph.serve_rows(Rows<int>{1, 2});
  CHECK(patient.calls() == 4);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(refused[i].error() ==
          Error(Status::unavailable, "breaker(model): open since 200 ms, 3 of 4 rows failed"));
  }
  const auto statistics = counted<BreakerStatistics>(graph);
  CHECK(statistics.opened == 1);
  CHECK(statistics.refused == 2);
  CHECK(statistics.in_state == 200ms);
}

TEST_CASE("after a while a few rows try it: it closes when they succeed", "[breaker]") {
  HandClock clock;
  Patient patient;
  const auto graph = breaker(clock.now().clock, scripted(patient.script), small);
  patient.ill = true;
  (void)graph.serve_rows(Rows<int>{1, 2, 3, 4});
  CHECK(state_of(graph) == BreakerState::open);
  clock.advance(1s);
  CHECK(state_of(graph) == BreakerState::half_open);
  patient.ill = false;
  const Outcomes<int> some = graph.serve_rows(Rows<int>{5, 6, 7, 8, 9});
  for (std::size_t i = 0; i < 3; ++i) CHECK(*some[i] == 50 + static_cast<int>(i) * 10);
  for (std::size_t i = 3; i < 5; ++i) {
    CHECK(some[i].error() == Error(Status::unavailable,
                                   "breaker(model): half open since 0 ms, its probes are not "
                                   "answered yet"));
  }
  CHECK(state_of(graph) == BreakerState::closed);
  CHECK(graph.serve_rows(Rows<int>{1, 2, 3, 4, 5}).all_ok());
  CHECK(counted<BreakerStatistics>(graph).probes == 3);
  CHECK(counted<BreakerStatistics>(graph).window_rows == 5);  // what was before is forgotten
}

TEST_CASE("it opens again when those that try it fail", "[breaker]") {
  HandClock clock;
  Patient patient;
  const auto graph = breaker(clock.now().clock, scripted(patient.script), small);
  patient.ill = true;
  (void)graph.serve_rows(Rows<int>{1, 2, 3, 4});
  for (std::uint64_t round = 2; round < 5; ++round) {
    clock.advance(1s);
    CHECK(graph.serve(1).status() == Status::internal);
    CHECK(graph.serve(2).status() == Status::internal);  // two of three: enough
    CHECK(graph.serve(3).error() ==
          Error(Status::unavailable, "breaker(model): open since 0 ms, 2 of 2 probes failed"));
    CHECK(counted<BreakerStatistics>(graph).opened == round);
  }
}

TEST_CASE("only the chosen statuses count, and what is the caller's does not", "[breaker]") {
  HandClock clock;
  Patient patient;
  const auto graph = breaker(clock.now().clock, scripted(patient.script), small);
  for (int i = 0; i < 50; ++i) (void)graph.serve(-1);
  const galley::Instant passed = clock.now();
  clock.advance(1ms);
  std::stop_source stop;
  stop.request_stop();
  for (int i = 0; i < 50; ++i) {
    CHECK(graph.serve(1, {.deadline = passed}).status() == Status::deadline_exceeded);
    CHECK(graph.serve(1, {.stop = stop.get_token()}).status() == Status::cancelled);
  }
  CHECK(patient.calls() == 50);  // those that are over never reach it
  CHECK(state_of(graph) == BreakerState::closed);
  patient.ill = true;
  for (const Status status : {Status::not_found, Status::cancelled, Status::failed_precondition}) {
    patient.illness = status;
    for (int i = 0; i < 20; ++i) (void)graph.serve(1);
    CHECK(state_of(graph) == BreakerState::closed);
  }
  patient.illness = Status::deadline_exceeded;
  for (int i = 0; i < 10; ++i) (void)graph.serve(1);
  CHECK(state_of(graph) == BreakerState::open);
}

TEST_CASE("a stale answer does not count in the state that follows", "[breaker]") {
  HandClock clock;
  const auto calls = std::make_shared<Held>();
  const auto graph = breaker(clock.now().clock, held(calls), small);
  std::vector<IntEar> ears(12);
  for (int i = 0; i < 6; ++i) graph.submit(1, {}, ears[static_cast<std::size_t>(i)].listen());
  for (std::size_t i = 0; i < 4; ++i) calls->calls[i].fail(Status::internal);
  CHECK(state_of(graph) == BreakerState::open);
  clock.advance(1s);
  for (std::size_t i = 6; i < 10; ++i) graph.submit(1, {}, ears[i].listen());
  CHECK(calls->calls.size() == 9);  // three probes
  CHECK(ears[9].status() == Status::unavailable);
  calls->calls[4].answer();
  calls->calls[5].fail(Status::internal);
  CHECK(counted<BreakerStatistics>(graph).window_rows == 0);
  for (std::size_t i = 6; i < 9; ++i) calls->calls[i].answer();
  CHECK(state_of(graph) == BreakerState::closed);
  for (const IntEar& ear : ears) CHECK(ear.answers <= 1);
}

TEST_CASE("a probe that is cancelled gives its place to another; one that hangs opens it again",
          "[breaker]") {
  HandClock clock;
  const auto calls = std::make_shared<Held>();
  const auto graph = breaker(clock.now().clock, held(calls), small);
  IntEar first, probes, again, more, last;
  graph.submit_rows(Rows<int>{1, 2, 3, 4}, {}, first.listen(4));
  calls->calls[0].fail(Status::internal);
  clock.advance(1s);
  graph.submit_rows(Rows<int>{1, 2, 3, 4}, {}, probes.listen(4));
  CHECK(calls->calls[1].rows == Rows<int>{1, 2, 3});
  calls->calls[1].fail(Status::cancelled);
  CHECK(probes.status(0) == Status::cancelled);
  CHECK(probes.status(3) == Status::unavailable);
  CHECK(state_of(graph) == BreakerState::half_open);
  graph.submit_rows(Rows<int>{1, 2, 3}, {}, again.listen(3));
  CHECK(calls->calls.size() == 3);
  graph.submit(1, {}, more.listen());
  CHECK(more.status() == Status::unavailable);
  clock.advance(1s);
  CHECK(state_of(graph) == BreakerState::open);
  clock.advance(1s);
  graph.submit(1, {}, last.listen());
  CHECK(calls->calls.size() == 4);
  calls->calls[2].answer();
  calls->calls[3].answer();
  CHECK(again.value(2) == 30);
  CHECK(last.value() == 10);
  CHECK(state_of(graph) == BreakerState::half_open);  // one of three
}

TEST_CASE("of many requests in one batch each row keeps its own", "[breaker]") {
  HandClock clock;
  Patient patient;
  const auto graph = breaker(clock.now().clock, scripted(patient.script), small);
  patient.ill = true;
  (void)graph.serve_rows(Rows<int>{1, 2, 3, 4});
  patient.ill = false;
  clock.advance(1s);
  const Context late{.deadline = clock.now()}, open;
  const std::vector<galley::RequestRun> runs{{&late, 2}, {&open, 4}};
  const std::vector<galley::Key> keys{1, 2, 3, 4, 5, 6};
  const Rows<int> rows{1, 2, 3, -4, 5, 6};
  const Outcomes<int> outcomes =
      graph.serve_batch(galley::Batch<int>(rows), galley::BatchContext(runs, keys));
  CHECK(outcomes[0].status() == Status::deadline_exceeded);
  CHECK(outcomes[1].status() == Status::deadline_exceeded);
  CHECK(*outcomes[2] == 30);
  CHECK(outcomes[3].status() == Status::invalid_argument);
  CHECK(*outcomes[4] == 50);
  CHECK(outcomes[5].status() == Status::unavailable);
  CHECK(patient.script->keys.back() == std::vector<galley::Key>{3, 4, 5});
}

TEST_CASE("submit does as serve, and the graph may be dropped meanwhile", "[breaker]") {
  HandClock clock;
  const auto calls = std::make_shared<Held>();
  const auto alive = std::make_shared<int>(0);
  std::optional graph = breaker(clock.now().clock, held(calls, {}, alive), small);
  IntEar ear, dropped;
  graph->submit_rows(Rows<int>{1, -2}, {}, ear.listen(2));
  graph->submit(3, {}, dropped.listen());
  graph.reset();
  calls->calls[0].answer(Status::internal);
  CHECK(ear.value(0) == 10);
  CHECK(ear.status(1) == Status::internal);
  calls->calls.clear();
  CHECK(dropped.status() == Status::cancelled);
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a breaker may be held open or closed", "[breaker]") {
  HandClock clock;
  Patient patient;
  const auto graph = breaker(clock.now().clock, scripted(patient.script), small);
  SetBreakerMode open{BreakerMode::held_open}, closed{BreakerMode::held_closed}, automatic;
  REQUIRE(graph.control("", open).has_value());
  clock.advance(1h);
  CHECK(graph.serve(1).error() == Error(Status::unavailable, "breaker(model): held open"));
  REQUIRE(graph.control("", closed).has_value());
  patient.ill = true;
  for (int i = 0; i < 50; ++i) CHECK(graph.serve(1).status() == Status::internal);
  CHECK(counted<BreakerStatistics>(graph).mode == BreakerMode::held_closed);
  CHECK(state_of(graph) == BreakerState::closed);
  REQUIRE(graph.control("", automatic).has_value());
  for (int i = 0; i < 4; ++i) CHECK(graph.serve(1).status() == Status::internal);
  CHECK(graph.serve(1).status() == Status::unavailable);
}

TEST_CASE("a closed breaker copies and allocates nothing", "[breaker]") {
  const auto graph = breaker(
      galley::Clock(), galley::map("look", [](const support::Counted& c) { return c.value; }));
  const Rows<support::Counted> rows = [] {
    Rows<support::Counted> made;
    for (int i = 0; i < 8; ++i) made.push_back(support::Counted(i));
    return made;
  }();
  const support::Counted one(3);
  (void)graph.serve(one);
  support::Counted::copies = 0;
  const support::AllocationCount allocations;
  (void)graph.serve(one);
  CHECK(allocations.so_far() == 0);
  CHECK(graph.serve_rows(rows).all_ok());
  CHECK(support::Counted::copies == 0);
}

TEST_CASE("a breaker's options out of bounds are refused", "[breaker]") {
  const auto why = [](BreakerOptions options) {
    return breaker(galley::Clock(), scripted(std::make_shared<Script>()), options).check().error();
  };
  CHECK(why({.failure_rate = 0}).status == Status::invalid_argument);
  CHECK(
      why({.window = 10, .least_rows = 10}) ==
      Error(Status::invalid_argument,
            "breaker(model): options.least_rows: expected 1 to nine tenths of window, 9, got 10"));
  CHECK(why({.open_for = 0s}).status == Status::invalid_argument);
  CHECK(why({.probes = 0}).status == Status::invalid_argument);
  CHECK(why({.failures = {}}).status == Status::invalid_argument);
}

TEST_CASE("a breaker on an executor's clock describes itself", "[breaker]") {
  const ManualExecutor executor;
  Patient patient;
  const auto graph = breaker(executor, scripted(patient.script), small);
  const auto description = graph.describe();
  CHECK(description.kind == "breaker");
  REQUIRE(description.options.size() == 6);
  CHECK(description.options[0] == std::pair<std::string, std::string>("failure_rate", "0.5"));
  CHECK(description.options[3].second == "1s");
  patient.ill = true;
  (void)graph.serve_rows(Rows<int>{1, 2, 3, 4});
  CHECK(graph.serve(1).status() == Status::unavailable);
  executor.advance(1s);
  patient.ill = false;
  CHECK(graph.serve(1) == Result<int>(10));
}
