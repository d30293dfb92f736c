#include <galley/compose/shadow.hpp>
#include <galley/core/slot.hpp>

#include <support/resilience.hpp>
#include <support/rows.hpp>

#include <chrono>
#include <functional>
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
using galley::ManualExecutor;
using galley::NotCompared;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::shadow;
using galley::ShadowBatch;
using galley::ShadowBy;
using galley::ShadowOptions;
using galley::ShadowRow;
using galley::ShadowStatistics;
using galley::Status;
using support::counted;
using support::Held;
using support::held;
using support::IntEar;
using support::Script;
using support::scripted;
using namespace std::chrono_literals;

namespace {

const ShadowOptions all{.share = 1};

/// What a sink was told of rows.
struct Told {
  struct Row {
    int row;
    Result<int> primary;
    Result<int> shadow;
    galley::Duration primary_took;
    galley::Duration shadow_took;
  };
  std::vector<Row> rows;
};

auto telling(std::shared_ptr<Told> told) {
  return [told = std::move(told)](const ShadowRow<int, int>& one) {
    told->rows.push_back(
        {one.row, one.primary.result(), one.shadow.result(), one.primary_took, one.shadow_took});
  };
}

Servable<int, int> times(int factor) {
  return galley::map("times", [factor](int n) -> Result<int> {
    if (n < 0) return Error(Status::invalid_argument, "negative");
    return n * factor;
  });
}

}  // namespace

TEST_CASE("the primary answers, and the sink hears of both", "[shadow]") {
  const ManualExecutor executor;
  const auto told = std::make_shared<Told>();
  const auto graph = shadow(executor, times(2), times(3), all, telling(told), std::equal_to<>());
  CHECK(graph.name() == "shadow(times, times)");
  CHECK(graph.traits().inline_only);  // nobody waits
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{0, -1, 5});
  CHECK(*outcomes[0] == 0);
  CHECK(outcomes[1].error() == Error(Status::invalid_argument, "times: negative"));
  CHECK(*outcomes[2] == 10);
  CHECK(told->rows.empty());
  CHECK(counted<ShadowStatistics>(graph).waiting == 3);
  executor.run_all();
  REQUIRE(told->rows.size() == 3);
  CHECK(told->rows[0].primary == Result<int>(0));
  CHECK(told->rows[1].row == -1);
  CHECK(told->rows[1].primary.error() == outcomes[1].error());
  CHECK(told->rows[1].shadow.status() == Status::invalid_argument);
  CHECK(told->rows[2].shadow == Result<int>(15));
  const auto statistics = counted<ShadowStatistics>(graph);
  CHECK(statistics.sampled == 3);
  CHECK(statistics.compared == 3);
  CHECK(statistics.mismatches == 1);
  CHECK(statistics.failed == 0);
  CHECK(statistics.dropped == 0);
  CHECK(statistics.waiting == 0);
}

TEST_CASE("a sink may hear of whole batches, with how long each took", "[shadow]") {
  const ManualExecutor executor;
  int batches = 0;
  const auto slow = [&](galley::Duration by) {
    return galley::map("slow", [&executor, by](int n) {
      executor.pass(by);
      return n;
    });
  };
  const auto graph =
      shadow(executor, slow(2ms), slow(5ms), all, [&](const ShadowBatch<int, int>& batch) {
        ++batches;
        CHECK(batch.rows == Rows<int>{4, 5});
        CHECK(*batch.primary[1] == 5);
        CHECK(*batch.shadow[0] == 4);
        CHECK(batch.primary_took == 4ms);
        CHECK(batch.shadow_took == 10ms);
      });
  CHECK(graph.serve_rows(Rows<int>{4, 5}).all_ok());
  executor.pass(100ms);  // a wait for its turn is not its own time
  executor.run_all();
  CHECK(batches == 1);
}

TEST_CASE("who waits for a shadow waits for its primary only", "[shadow]") {
  const ManualExecutor one, two, three;
  const auto graph = shadow(one, galley::on(two, times(2)), galley::on(three, times(2)), all,
                            [](const ShadowBatch<int, int>&) {});
  galley::WaitPlan plan;
  graph.node().table->plan_wait(graph.node(), plan);
  CHECK(plan.possible());
}

TEST_CASE("a share of requests is sampled, all rows of each", "[shadow]") {
  const ManualExecutor executor;
  const auto script = std::make_shared<Script>();
  const auto graph = shadow(executor, times(2), scripted(script), {.share = 0.25, .seed = 5},
                            [](const ShadowBatch<int, int>&) {});
  for (int i = 0; i < 1000; ++i) {
    (void)graph.serve_rows(Rows<int>{i, i});
    executor.run_all();
  }
  CHECK(script->batches.size() > 200);
  CHECK(script->batches.size() < 300);
  for (const auto& batch : script->batches) CHECK(batch.size() == 2);
  CHECK(counted<ShadowStatistics>(graph).sampled == 2 * script->batches.size());
}

TEST_CASE("a sticky sample has all rows of a key or none", "[shadow]") {
  const ManualExecutor executor;
  const auto told = std::make_shared<Told>();
  const auto script = std::make_shared<Script>();
  const auto graph =
      shadow(executor, times(10), scripted(script), {.share = 0.5, .by = ShadowBy::key, .seed = 2},
             telling(told), std::equal_to<>());
  std::vector<galley::Key> keys;
  Rows<int> rows;
  for (int i = 0; i < 40; ++i) {
    rows.push_back(i);
    keys.push_back(static_cast<galley::Key>(i % 20));
  }
  for (int i = 0; i < 3; ++i) CHECK(graph.serve_rows(rows, {}, {.keys = keys}).all_ok());
  executor.run_all();
  REQUIRE(script->batches.size() == 3);
  CHECK(script->batches[0] == script->batches[2]);
  const std::size_t sampled = script->batches[0].size();
  CHECK(sampled > 4);
  CHECK(sampled < 36);
  CHECK(sampled % 2 == 0);
  for (std::size_t i = 0; i < sampled / 2; ++i) {
    CHECK(script->batches[0][i] + 20 == script->batches[0][i + sampled / 2]);
    CHECK(script->keys[0][i] == static_cast<galley::Key>(script->batches[0][i]));
  }
  CHECK(counted<ShadowStatistics>(graph).mismatches == 0);
}

TEST_CASE("copies have a deadline and a priority of their own, and no stop", "[shadow]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto graph = shadow(executor, times(2), held(calls), {.share = 1, .deadline = 50ms},
                            [](const ShadowBatch<int, int>&) {});
  std::stop_source stop;
  CHECK(graph
            .serve(1, {.deadline = executor.now() + 1ms,
                       .stop = stop.get_token(),
                       .priority = 9,
                       .request_id = 77})
            .has_value());
  stop.request_stop();
  const auto answered = executor.now();
  executor.pass(10ms);
  executor.run_all();
  REQUIRE(calls->calls.size() == 1);
  const Context& context = calls->calls[0].contexts[0];
  CHECK(context.deadline == answered + 50ms);
  CHECK_FALSE(context.stop.stop_possible());
  CHECK(context.priority == -1000);
  CHECK(context.request_id == 77);
  calls->calls[0].answer();
}

TEST_CASE("what waits is bounded in requests and in rows, and the rest is dropped", "[shadow]") {
  const ManualExecutor executor;
  const auto script = std::make_shared<Script>();
  const auto graph =
      shadow(executor, times(2), scripted(script), {.share = 1, .max_requests = 3, .max_rows = 5},
             [](const ShadowBatch<int, int>&) {});
  CHECK(graph.serve_rows(Rows<int>{1, 2, 3, 4, 5, 6}).all_ok());
  CHECK(counted<ShadowStatistics>(graph).dropped == 6);
  CHECK(graph.serve_rows(Rows<int>{1, 2, 3}).all_ok());
  CHECK(graph.serve_rows(Rows<int>{4, 5, 6}).all_ok());
  CHECK(counted<ShadowStatistics>(graph).dropped == 9);
  for (int i = 0; i < 5; ++i) CHECK(graph.serve(7).has_value());
  CHECK(counted<ShadowStatistics>(graph).dropped == 12);
  executor.run_all();
  CHECK(script->batches.size() == 3);
  CHECK(graph.serve(8).has_value());
  executor.run_all();
  CHECK(script->batches.size() == 4);
}

TEST_CASE("one request at a time is at the other, or as many as are allowed", "[shadow]") {
  for (const std::size_t most : {std::size_t{1}, std::size_t{3}}) {
    CAPTURE(most);
    const ManualExecutor executor;
    const auto calls = std::make_shared<Held>();
    const auto graph = shadow(executor, times(2), held(calls), {.share = 1, .max_running = most},
                              [](const ShadowBatch<int, int>&) {});
    for (int i = 0; i < 5; ++i) CHECK(graph.serve(i).has_value());
    executor.run_all();
    CHECK(calls->calls.size() == most);
    for (std::size_t i = 0; i < 5; ++i) {
      calls->calls[i].answer();
      executor.run_all();
    }
    CHECK(counted<ShadowStatistics>(graph).compared == 5);
  }
}

TEST_CASE("a copy whose time is over before its turn is dropped", "[shadow]") {
  const ManualExecutor executor;
  const auto script = std::make_shared<Script>();
  const auto graph = shadow(executor, times(2), scripted(script), {.share = 1, .deadline = 5ms},
                            [](const ShadowBatch<int, int>&) {});
  CHECK(graph.serve(1).has_value());
  executor.pass(5ms);
  executor.run_all();
  CHECK(script->batches.empty());
  CHECK(counted<ShadowStatistics>(graph).dropped == 1);
  CHECK(counted<ShadowStatistics>(graph).waiting == 0);
}

TEST_CASE("what crashes, drops or throws is counted and harms nothing", "[shadow]") {
  const ManualExecutor executor;
  const auto crash = galley::map("crash", [](int n) -> int {
    if (n == 1) throw std::runtime_error("boom");
    return n;
  });
  const auto graph = shadow(
      executor, times(1), crash, all,
      [](const ShadowRow<int, int>& one) {
        if (one.row == 2) throw std::runtime_error("sink");
      },
      [](int a, int b) {
        if (a == 3) throw std::runtime_error("equal");
        return a == b;
      });
  CHECK(graph.serve_rows(Rows<int>{0, 1, 2, 3}).all_ok());
  executor.run_all();
  const auto statistics = counted<ShadowStatistics>(graph);
  CHECK(statistics.compared == 4);
  CHECK(statistics.failed == 1);
  CHECK(statistics.mismatches == 0);
  CHECK(statistics.threw == 2);

  const auto calls = std::make_shared<Held>();
  const auto dropping = shadow(
      executor, times(1), held(calls), all,
      [](const ShadowRow<int, int>& one) { CHECK(one.shadow.status() == Status::cancelled); });
  CHECK(dropping.serve(1).has_value());
  executor.run_all();
  calls->calls.clear();
  CHECK(counted<ShadowStatistics>(dropping).failed == 1);
}

TEST_CASE("what is submitted is answered before its copy goes, and as it was", "[shadow]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto told = std::make_shared<Told>();
  std::optional graph = shadow(executor, held(calls), times(10), all, telling(told));
  CHECK_FALSE(graph->traits().inline_only);
  IntEar ear, dropped;
  graph->submit_rows(Rows<int>{1, -2, 3}, {}, ear.listen(3));
  graph->submit(4, {}, dropped.listen());
  CHECK(executor.pending() == 0);
  calls->calls[0].answer(Status::internal);
  CHECK(ear.value(2) == 30);
  CHECK(ear.heard[1].error() == Error(Status::internal, "held: negative"));
  CHECK(executor.pending() == 1);
  calls->calls.clear();
  CHECK(dropped.status() == Status::cancelled);
  graph.reset();
  executor.run_all();
  REQUIRE(told->rows.size() == 4);
  CHECK(told->rows[1].primary.status() == Status::internal);
  CHECK(told->rows[2].shadow == Result<int>(30));
  CHECK(told->rows[3].primary.status() == Status::cancelled);
  CHECK(told->rows[3].shadow == Result<int>(40));
}

TEST_CASE("the graph may go while copies are in flight, and all is let go of", "[shadow]") {
  const auto alive = std::make_shared<int>(0);
  const auto calls = std::make_shared<Held>();
  int heard = 0;
  {
    const ManualExecutor executor;
    std::optional graph = shadow(executor, times(2), held(calls, {}, alive), all,
                                 [&heard, alive](const ShadowBatch<int, int>&) { ++heard; });
    for (int i = 0; i < 3; ++i) CHECK(graph->serve(i).has_value());
    executor.run_all();
    graph.reset();
    CHECK(alive.use_count() > 1);
    calls->calls[0].answer();
    CHECK(heard == 1);
  }
  CHECK(heard == 1);  // the executor is gone: what waited is dropped
  for (auto& call : calls->calls) {
    if (call.done) call.answer();
  }
  calls->calls.clear();
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a shutdown drops copies and leaves the primary alone", "[shadow]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto graph =
      shadow(executor, times(2), held(calls), all, [](const ShadowBatch<int, int>&) {});
  for (int i = 0; i < 4; ++i) CHECK(graph.serve(i).has_value());
  executor.run_ready();
  executor.shutdown();
  CHECK(graph.serve(9) == Result<int>(18));
  calls->calls[0].answer();
  const auto statistics = counted<ShadowStatistics>(graph);
  CHECK(statistics.sampled == 5);
  CHECK(statistics.compared == 1);
  CHECK(statistics.dropped == 4);
  CHECK(statistics.waiting == 0);
}

TEST_CASE("of merged requests each is sampled by itself, and keeps its own context", "[shadow]") {
  const ManualExecutor executor;
  const auto calls = std::make_shared<Held>();
  const auto graph = shadow(executor, times(2), held(calls), {.share = 0.5, .seed = 1},
                            [](const ShadowBatch<int, int>&) {});
  std::vector<Context> contexts(20);
  std::vector<galley::RequestRun> runs;
  Rows<int> rows;
  for (std::size_t i = 0; i < 20; ++i) {
    contexts[i].request_id = i;
    runs.push_back({&contexts[i], 2});
    rows.push_back(static_cast<int>(i));
    rows.push_back(static_cast<int>(i));
  }
  CHECK(graph.serve_batch(galley::Batch<int>(rows), galley::BatchContext(runs, {})).all_ok());
  executor.run_all();
  REQUIRE(calls->calls.size() == 1);
  const auto& call = calls->calls[0];
  CHECK(call.rows.size() > 8);
  CHECK(call.rows.size() < 32);
  for (std::size_t i = 0; i < call.rows.size(); ++i) {
    CHECK(call.contexts[i].request_id == static_cast<std::uint64_t>(call.rows[i]));
  }
  calls->calls[0].answer();
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

TEST_CASE("rows and values that cannot be copied are dropped, and answered all the same",
          "[shadow]") {
  const ManualExecutor executor;
  const auto make = galley::map("make", [](int n) { return Fragile(n); });
  const auto graph = shadow(executor, make, make, all, [](const ShadowBatch<int, Fragile>&) {});
  CHECK(graph.serve(13).has_value());
  ShadowStatistics statistics;
  REQUIRE(graph.control("", statistics).has_value());
  CHECK(statistics.dropped == 1);
  const auto look = galley::map("look", [](const Fragile& f) { return f.value; });
  const auto reads = shadow(executor, look, look, all, [](const ShadowBatch<Fragile, int>&) {});
  const Fragile bad(13);
  CHECK(reads.serve(bad) == Result<int>(13));
  REQUIRE(reads.control("", statistics).has_value());
  CHECK(statistics.dropped == 1);
  CHECK(statistics.waiting == 0);
}

TEST_CASE("rows of any form may be shadowed", "[shadow]") {
  const ManualExecutor executor;
  using support::Particle;
  int seen = 0;
  const auto same = galley::map("same", [](Particle p) { return p; });
  const auto graph = shadow(
      executor, same, same, all,
      [&](const ShadowRow<Particle, Particle>& one) {
        ++seen;
        CHECK(one.row == *one.primary);
      },
      std::equal_to<>());
  Rows<Particle> rows;
  for (int i = 0; i < 3; ++i) rows.push_back({static_cast<float>(i), i});
  CHECK(graph.serve_rows(rows).all_ok());
  executor.run_all();
  CHECK(seen == 3);
}

TEST_CASE("what cannot be shadowed is refused", "[shadow]") {
  const ManualExecutor executor;
  const auto sink = [](const ShadowBatch<int, int>&) {};
  const auto script = std::make_shared<Script>();
  CHECK(
      shadow(executor, times(1), scripted(script, {.stateful = true}), all, sink).check().error() ==
      Error(Status::failed_precondition,
            "shadow(times, model): model: it is stateful: a sample would leave "
            "holes in its sequences"));
  const auto why = [&](ShadowOptions options) {
    return shadow(executor, times(1), times(2), options, sink).check().status();
  };
  CHECK(why({.share = 1.5}) == Status::invalid_argument);
  CHECK(why({.max_requests = 0}) == Status::invalid_argument);
  CHECK(why({.max_rows = 0}) == Status::invalid_argument);
  CHECK(why({.max_running = 0}) == Status::invalid_argument);
  CHECK(why({.deadline = 0s}) == Status::invalid_argument);
  const auto description = shadow(executor, times(1), times(2), all, sink).describe();
  CHECK(description.kind == "shadow");
  CHECK(description.children.size() == 2);
  CHECK(description.options[0] == std::pair<std::string, std::string>("share", "1"));
}
