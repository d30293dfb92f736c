// Contexts, keys and sequences: whose rows the child sees, and in which order.

#include <support/batching.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchContext;
using galley::batched;
using galley::BatchOptions;
using galley::Context;
using galley::Key;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Rows;
using galley::Servable;
using galley::SizeOrDelay;
using galley::Status;
using galley::Tensor;
using support::always_queued;
using support::BatchLog;
using support::IntEar;
using support::logged;
using namespace std::chrono_literals;

using Batches = std::vector<std::vector<int>>;
using Keys = std::vector<Key>;

namespace {

constexpr galley::NodeTraits stateful{.stateful = true};

/// True when no batch has two rows of one key.
bool has_each_key_once(const BatchLog& log) {
  return std::all_of(log.keys.begin(), log.keys.end(), [](const Keys& keys) {
    return std::set<Key>(keys.begin(), keys.end()).size() == keys.size();
  });
}

/// The rows of each key, in the order that the child saw them.
std::map<Key, std::vector<int>> sequences(const BatchLog& log) {
  std::map<Key, std::vector<int>> all;
  for (std::size_t b = 0; b < log.batches.size(); ++b) {
    for (std::size_t i = 0; i < log.batches[b].size(); ++i) {
      all[log.keys[b][i]].push_back(log.batches[b][i]);
    }
  }
  return all;
}

}  // namespace

TEST_CASE("each row reaches the child with its own key and context", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph =
      batched(executor, logged(log), {}, SizeOrDelay{.max_rows = 4, .max_delay = 0ns});
  IntEar one, three, two;
  graph.submit_rows(Rows<int>{1, 2, 3}, {.request_id = 30}, three.listen(3),
                    {.keys = Keys{11, 12, 13}});
  graph.submit(4, {.request_id = 10}, one.listen(), {.keys = Keys{14}});
  graph.submit_rows(Rows<int>{5, 6}, {.request_id = 20}, two.listen(2), {.keys = Keys{15, 16}});
  executor.run_ready();
  CHECK(log->batches == Batches{{1, 2, 3, 4}, {5, 6}});
  CHECK(log->keys == std::vector<Keys>{{11, 12, 13, 14}, {15, 16}});
  CHECK(log->requests == std::vector<std::vector<std::uint64_t>>{{30, 30, 30, 10}, {20, 20}});
  CHECK(two.value(1) == 60);
}

TEST_CASE("a part of a split request keeps its keys and context", "[batched]") {
  const ManualExecutor executor;
  for (const BatchOptions& options : {BatchOptions{.max_rows = 2}, always_queued}) {
    const auto log = std::make_shared<BatchLog>();
    const auto graph = batched(executor, logged(log), options, SizeOrDelay{2, 0ns});
    const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{1, 2, 3, 4, 5}, {.request_id = 9},
                                                    {.keys = Keys{1, 2, 3, 4, 5}});
    CHECK(outcomes.all_ok());
    CHECK(log->batches == Batches{{1, 2}, {3, 4}, {5}});
    CHECK(log->keys == std::vector<Keys>{{1, 2}, {3, 4}, {5}});
    CHECK(log->requests[1] == std::vector<std::uint64_t>{9, 9});
  }
}

TEST_CASE("rows with keys and rows without share no batch", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log));
  IntEar with, without;
  graph.submit(1, {}, with.listen(), {.keys = Keys{7}});
  graph.submit(2, {}, without.listen());
  executor.run_ready();
  CHECK(log->batches == Batches{{1}, {2}});
  CHECK(log->keys == std::vector<Keys>{{7}, {}});
  CHECK(with.value() == 10);
  CHECK(without.value() == 20);
}

TEST_CASE("the requests of a merged batch from above stay apart below", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), always_queued, SizeOrDelay{2, 0ns});
  const Context a{.request_id = 1}, b{.request_id = 2}, late{.deadline = executor.now() - 1ns};
  const std::vector<galley::RequestRun> runs{{&a, 1}, {&late, 1}, {&b, 3}};
  const Keys keys{1, 2, 3, 4, 5};
  const Rows<int> rows{1, 2, 3, 4, 5};
  const Outcomes<int> outcomes = graph.serve_batch(Batch<int>(rows), BatchContext(runs, keys));
  REQUIRE(outcomes.size() == 5);
  CHECK(*outcomes[0] == 10);
  CHECK(outcomes[1].status() == Status::deadline_exceeded);
  CHECK(*outcomes[4] == 50);
  CHECK(log->batches == Batches{{1}, {3, 4}, {5}});
  CHECK(log->keys == std::vector<Keys>{{1}, {3, 4}, {5}});
  CHECK(log->requests[1] == std::vector<std::uint64_t>{2, 2});
}

// ---- stateful ----------------------------------------------------------------------------------

TEST_CASE("a batch of a stateful child has at most one row of each key", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log, stateful));
  std::vector<IntEar> ears(6);
  for (int i = 0; i < 6; ++i) {
    graph.submit(i, {}, ears[static_cast<std::size_t>(i)].listen(),
                 {.keys = Keys{static_cast<Key>(i % 2)}});
  }
  executor.run_ready();
  CHECK(log->batches == Batches{{0, 1}, {2, 3}, {4, 5}});
  for (const IntEar& ear : ears) CHECK(ear.status() == Status::ok);
}

TEST_CASE("a request of one sequence is computed row by row, queued or inline", "[batched]") {
  const ManualExecutor executor;
  for (const BatchOptions& options : {BatchOptions(), always_queued}) {
    const auto log = std::make_shared<BatchLog>();
    const auto graph = batched(executor, logged(log, stateful), options);
    const Outcomes<int> outcomes =
        graph.serve_rows(Rows<int>{1, 2, 3, 4}, {}, {.keys = Keys{5, 6, 5, 6}});
    CHECK(outcomes.all_ok());
    CHECK(*outcomes[3] == 40);
    CHECK(has_each_key_once(*log));
    CHECK(sequences(*log) == std::map<Key, std::vector<int>>{{5, {1, 3}}, {6, {2, 4}}});
  }
}

TEST_CASE("neither a priority nor a deadline lets a row pass an earlier one of its sequence",
          "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log, stateful));
  std::vector<IntEar> ears(4);
  graph.submit(1, {}, ears[0].listen(), {.keys = Keys{7}});
  graph.submit(2, {.priority = 5}, ears[1].listen(), {.keys = Keys{7}});
  graph.submit(3, {.deadline = executor.now() + 1s}, ears[2].listen(), {.keys = Keys{7}});
  graph.submit(4, {.priority = 9}, ears[3].listen(), {.keys = Keys{8}});
  executor.run_ready();
  CHECK(sequences(*log)[7] == std::vector<int>{1, 2, 3});
  CHECK(has_each_key_once(*log));
}

TEST_CASE("a row waits for all earlier rows of its sequence, also of a larger request",
          "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log, stateful));
  IntEar large, small;
  graph.submit_rows(Rows<int>{1, 2, 3}, {}, large.listen(3), {.keys = Keys{7, 7, 8}});
  graph.submit(4, {}, small.listen(), {.keys = Keys{8}});
  executor.run_ready();
  CHECK(sequences(*log) == std::map<Key, std::vector<int>>{{7, {1, 2}}, {8, {3, 4}}});
  CHECK(has_each_key_once(*log));
}

namespace {

/// A stateful child of tensors of any shape: logs the only number of each row.
Servable<Tensor, int> number_of(std::vector<int>& seen) {
  return {"number",
          [&seen](const Batch<Tensor>& rows) {
            Rows<int> out;
            for (std::size_t i = 0; i < rows.size(); ++i) {
              const int n = static_cast<int>(*static_cast<const float*>(rows[i].data()));
              seen.push_back(n);
              out.push_back(n);
            }
            return out;
          },
          stateful};
}

Tensor filled(std::int64_t size, float value) {
  Tensor tensor = *Tensor::empty(galley::f32, {size});
  std::fill_n(static_cast<float*>(tensor.mutable_data()), size, value);
  return tensor;
}

}  // namespace

TEST_CASE("a sequence keeps its order where its rows are of several kinds", "[batched]") {
  const ManualExecutor executor;
  std::vector<int> seen;
  const auto graph = batched(executor, number_of(seen));
  std::vector<IntEar> ears(6);
  graph.submit(filled(1, 1), {}, ears[0].listen(), {.keys = Keys{1}});
  graph.submit(filled(2, 2), {.priority = 5}, ears[1].listen(), {.keys = Keys{1}});
  graph.submit(filled(1, 3), {}, ears[2].listen(), {.keys = Keys{1}});
  graph.submit(filled(2, 4), {}, ears[3].listen(), {.keys = Keys{1}});
  executor.run_ready();
  CHECK(seen == std::vector<int>{1, 2, 3, 4});
  seen.clear();
  // One kind's first row goes; its next one of another sequence must not pass the other kind's.
  graph.submit(filled(1, 1), {}, ears[4].listen(), {.keys = Keys{1}});
  IntEar second, third;
  graph.submit(filled(2, 2), {}, second.listen(), {.keys = Keys{2}});
  graph.submit(filled(1, 3), {}, third.listen(), {.keys = Keys{2}});
  executor.run_ready();
  CHECK(seen == std::vector<int>{1, 2, 3});
}

TEST_CASE("random sequences reach a stateful child in order", "[batched]") {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
    const auto log = std::make_shared<BatchLog>();
    const auto graph =
        batched(executor, logged(log, stateful),
                {.max_rows = 1 + random() % 6, .caller_runs = galley::CallerRuns::never},
                SizeOrDelay{1 + random() % 6, 1ms * static_cast<int>(random() % 2)});
    std::vector<std::unique_ptr<IntEar>> ears;
    std::map<Key, std::vector<int>> wanted;
    int next = 0;
    for (int request = 0; request < 12; ++request) {
      const std::size_t n = 1 + random() % 4;
      Rows<int> rows;
      Keys keys;
      for (std::size_t i = 0; i < n; ++i) {
        rows.push_back(next);
        keys.push_back(random() % 3);
        wanted[keys.back()].push_back(next++);
      }
      Context context{.priority = static_cast<std::int32_t>(random() % 3)};
      if (random() % 3 == 0) context.deadline = executor.now() + 1h;
      IntEar& ear = *ears.emplace_back(std::make_unique<IntEar>());
      graph.submit_rows(std::move(rows), context, ear.listen(n), {.keys = keys});
      if (random() % 3 == 0) executor.run_one();
    }
    executor.run_all();
    for (const auto& ear : ears) REQUIRE((ear->answers == 1 && ear->heard.all_ok()));
    REQUIRE(sequences(*log) == wanted);
    REQUIRE(has_each_key_once(*log));
  }
}
