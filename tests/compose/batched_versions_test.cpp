// Versions beneath a batcher: which rows may share a batch, and what a split request sees.
#include <galley/compose/pipeline.hpp>
#include <galley/core/pins.hpp>
#include <galley/core/slot.hpp>

#include <support/batching.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchContext;
using galley::batched;
using galley::BatchOptions;
using galley::CallerRuns;
using galley::Context;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Pins;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::SizeOrDelay;
using support::BatchLog;
using support::IntEar;
using support::logged;
using namespace std::chrono_literals;

namespace {

Servable<int, int> adds(int by) {
  return galley::map("adds", [by](int n) { return n + by; });
}

/// Submits rows as a request that is bound to the versions of now.
void submit_pinned(const Servable<int, int>& graph, Rows<int> rows, IntEar& ear) {
  auto pins = std::make_shared<Pins>();
  graph.node().table->pin(graph.node(), *pins);
  const std::shared_ptr<const Pins> shared = std::move(pins);
  galley::FrameRef frame = graph.node().frames.take();
  REQUIRE(frame);
  galley::Frame& memory = *frame;
  memory.graph = graph.shared_node();
  const Context context;
  const std::size_t n = rows.size();
  memory.context.assign(BatchContext(context, n).pinned(shared));
  graph.submit_batch(std::move(rows), memory.context.view(), memory, ear.listen(n));
}

}  // namespace

TEST_CASE("rows bound to different versions share no batch", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto slotted = galley::slot("slot", adds(100));
  const auto graph = batched(executor, logged(log) | slotted.servable);
  IntEar first, again, second, free;
  submit_pinned(graph, {1, 2}, first);
  submit_pinned(graph, {3}, again);
  REQUIRE(slotted.publisher.publish(adds(200)).has_value());
  submit_pinned(graph, {4}, second);
  graph.submit(5, {}, free.listen());
  REQUIRE(slotted.publisher.publish(adds(300)).has_value());
  executor.run_ready();
  CHECK(first.value(1) == 120);
  CHECK(again.value() == 130);
  CHECK(second.value() == 240);
  CHECK(free.value() == 350);
  for (const auto& batch : log->batches) {
    const bool has_first = std::any_of(batch.begin(), batch.end(), [](int n) { return n <= 3; });
    const bool has_second = std::count(batch.begin(), batch.end(), 4) != 0;
    CHECK_FALSE((has_first && has_second));
  }
}

TEST_CASE("requests bound to the same versions share batches, however many they are", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto slotted = galley::slot("slot", adds(100));
  const auto graph = batched(executor, logged(log) | slotted.servable);
  std::vector<IntEar> ears(100);
  for (int i = 0; i < 100; ++i) submit_pinned(graph, {i}, ears[static_cast<std::size_t>(i)]);
  REQUIRE(slotted.publisher.publish(adds(200)).has_value());
  executor.run_ready();
  for (int i = 0; i < 100; ++i) CHECK(ears[static_cast<std::size_t>(i)].value() == 10 * i + 100);
  CHECK(log->batches.size() < 20);
  ears.clear();
  CHECK(slotted.publisher.status().retired == 0);
}

TEST_CASE("all rows of a request that is split see one version", "[batched]") {
  const ManualExecutor executor;
  for (const BatchOptions& options :
       {BatchOptions{.max_rows = 2},
        BatchOptions{.max_rows = 2, .caller_runs = CallerRuns::never}}) {
    const auto slotted = galley::slot("slot", adds(100));
    int batches = 0;
    const auto publishing = galley::map_batch("publishing", [&](const Rows<int>& rows) {
      if (++batches == 2) REQUIRE(slotted.publisher.publish(adds(200)).has_value());
      return rows;
    });
    const auto graph =
        batched(executor, publishing | slotted.servable, options, SizeOrDelay{2, 0ns});
    const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{1, 2, 3, 4, 5, 6});
    REQUIRE(outcomes.all_ok());
    for (int i = 0; i < 6; ++i) CHECK(*outcomes[static_cast<std::size_t>(i)] == 101 + i);
    CHECK(graph.serve(1) == Result<int>(201));
    CHECK(slotted.publisher.status().retired == 0);
  }
}

TEST_CASE("versions replaced while split requests wait behind each other stay apart", "[batched]") {
  const ManualExecutor executor;
  const auto slotted = galley::slot("slot", adds(1000));
  int batches = 0;
  IntEar early, urgent;
  std::optional<Servable<int, int>> graph;
  const auto publishing = galley::map_batch("publishing", [&](const Rows<int>& rows) {
    if (++batches == 1) {
      REQUIRE(slotted.publisher.publish(adds(2000)).has_value());
      graph->submit_rows(Rows<int>{11, 12, 13}, {.priority = 1}, urgent.listen(3));
    }
    return rows;
  });
  graph = batched(executor, publishing | slotted.servable, {}, SizeOrDelay{2, 0ns});
  graph->submit_rows(Rows<int>{1, 2, 3, 4, 5}, {}, early.listen(5));
  executor.run_ready();
  // The first batch of the early request reads the slot after the publish; all its rows agree.
  const int version = early.value(0) - 1;
  for (int i = 0; i < 5; ++i) CHECK(early.value(static_cast<std::size_t>(i)) == version + 1 + i);
  for (int i = 0; i < 3; ++i) CHECK(urgent.value(static_cast<std::size_t>(i)) == 2011 + i);
}
