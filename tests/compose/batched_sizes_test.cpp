// Batches of a model that allows certain sizes only.
#include <galley/compose/batched.hpp>
#include <galley/core/tensor.hpp>

#include <support/batching.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::batched;
using galley::BatchOptions;
using galley::BatchProfile;
using galley::CallerRuns;
using galley::Context;
using galley::LearnedCap;
using galley::ManualExecutor;
using galley::Rows;
using galley::SetBatchOptions;
using galley::SetBatchProfile;
using galley::SizeOrDelay;
using galley::Status;
using galley::Tensor;
using support::always_queued;
using support::BatchEar;
using support::BatchLog;
using support::IntEar;
using support::logged;
using support::statistics_of;
using namespace std::chrono_literals;

using Sizes = std::vector<std::size_t>;

namespace {

const BatchOptions sized{.sizes = {1, 4, 8}, .caller_runs = CallerRuns::never};

}  // namespace

TEST_CASE("a batch is filled up with copies of its last row, which nobody hears of",
          "[batched][sizes]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), sized, SizeOrDelay{8, 0ns});
  std::vector<IntEar> ears(3);
  graph.submit(1, {}, ears[0].listen());
  Rows<int> two;
  two.push_back(2);
  two.push_back(3);
  graph.submit_rows(two, {.request_id = 9}, ears[1].listen(2));
  executor.run_ready();
  REQUIRE(log->batches == std::vector<std::vector<int>>{{1, 2, 3, 3}});
  CHECK(log->requests[0] == std::vector<std::uint64_t>{0, 9, 9, 9});
  CHECK(ears[0].value() == 10);
  CHECK(ears[1].heard.size() == 2);
  CHECK(ears[1].value(1) == 30);
  CHECK(statistics_of(graph).filled == 1);
  CHECK(statistics_of(graph).rows == 3);
}

TEST_CASE("a poisoned last row harms nobody but itself", "[batched][sizes]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), sized, SizeOrDelay{8, 0ns});
  std::vector<IntEar> ears(2);
  graph.submit(1, {}, ears[0].listen());
  graph.submit(-2, {}, ears[1].listen());
  executor.run_ready();
  REQUIRE(log->batches == std::vector<std::vector<int>>{{1, -2, -2, -2}});
  CHECK(ears[0].value() == 10);
  CHECK(ears[1].heard.size() == 1);
  CHECK(ears[1].status() == Status::invalid_argument);
}

TEST_CASE("a batch keeps its size when a row of it expires or is stopped before it runs",
          "[batched][sizes]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  std::stop_source stop;
  const auto graph = batched(executor, logged(log), {.sizes = {4}}, SizeOrDelay{4, 0ns});
  // A batch of several requests at once: the batcher knows nothing of their deadlines.
  Context late{.deadline = executor.now()};
  Context stopped{.stop = stop.get_token()};
  Context well;
  stop.request_stop();
  const std::vector<galley::RequestRun> runs = {{&well, 1}, {&late, 1}, {&stopped, 1}};
  const Rows<int> rows{1, 2, 3};
  const auto outcomes = graph.serve_batch(rows, galley::BatchContext(runs, {}));
  REQUIRE(outcomes.size() == 3);
  CHECK(*outcomes[0] == 10);
  CHECK(outcomes[1].status() == Status::deadline_exceeded);
  CHECK(outcomes[2].status() == Status::cancelled);
  CHECK(log->batches == std::vector<std::vector<int>>{{1, 2, 3, 3}});
}

TEST_CASE("rows go rather than copies", "[batched][sizes]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), {.sizes = {4}}, SizeOrDelay{1, 0ns});
  std::vector<IntEar> ears(6);
  for (int i = 0; i < 6; ++i) graph.submit(i, {}, ears[static_cast<std::size_t>(i)].listen());
  executor.run_ready();
  CHECK(log->batches == std::vector<std::vector<int>>{{0, 1, 2, 3}, {4, 5, 5, 5}});
}

namespace {

/// A row that throws when it is copied, where it is told to.
struct Brittle {
  int value = 0;
  bool breaks = false;
  Brittle(int v, bool b) : value(v), breaks(b) {}
  Brittle(const Brittle& other) : value(other.value), breaks(other.breaks) {
    if (breaks) throw std::runtime_error("broken");
  }
  Brittle(Brittle&&) = default;
  Brittle& operator=(const Brittle&) = default;
  Brittle& operator=(Brittle&&) = default;
  ~Brittle() = default;
};

}  // namespace

TEST_CASE("a row that throws when it is copied fails its batch and no more", "[batched][sizes]") {
  const ManualExecutor executor;
  const auto child = galley::map("value", [](const Brittle& row) { return row.value; });
  const auto graph = batched(executor, child, {.sizes = {4}}, SizeOrDelay{4, 0ns});
  std::vector<IntEar> ears(2);
  graph.submit(Brittle(1, true), {}, ears[0].listen());
  executor.run_ready();
  graph.submit(Brittle(2, false), {}, ears[1].listen());
  executor.run_ready();
  CHECK(ears[0].status() == Status::internal);
  CHECK(ears[1].value() == 2);
}

TEST_CASE("one request alone is filled up too", "[batched][sizes]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), sized, SizeOrDelay{8, 0ns});
  Rows<int> rows;
  for (int i = 0; i < 11; ++i) rows.push_back(i);
  const auto outcomes = graph.serve_rows(rows);
  REQUIRE(outcomes.all_ok());
  CHECK(outcomes.size() == 11);
  CHECK(outcomes.survivors()[10] == 100);
  CHECK(log->sizes() == Sizes{8, 4});
}

TEST_CASE("what was measured decides whether a batch is filled up or cut down",
          "[batched][sizes]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), sized, SizeOrDelay{8, 0ns});
  SetBatchProfile linear{{{{"rows",
                            {{.rows = 1, .mean = 10us, .p95 = 10us, .seen = 9},
                             {.rows = 4, .mean = 40us, .p95 = 40us, .seen = 9},
                             {.rows = 8, .mean = 80us, .p95 = 80us, .seen = 9}}}}}};
  REQUIRE(graph.control("", linear).has_value());
  std::vector<IntEar> ears(6);
  for (int i = 0; i < 6; ++i) {
    graph.submit(i, {}, ears[static_cast<std::size_t>(i)].listen());
  }
  executor.run_ready();
  CHECK(log->sizes() == Sizes{4, 1, 1});
  for (int i = 0; i < 6; ++i) CHECK(ears[static_cast<std::size_t>(i)].value() == 10 * i);
}

TEST_CASE("a caller runs its own row only where one row is a size", "[batched][sizes]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), {.sizes = {1, 4}});
  CHECK(graph.serve(1).has_value());
  CHECK(statistics_of(graph).inline_runs == 1);
  CHECK(graph.serve_rows(Rows<int>{1, 2}).all_ok());
  CHECK(statistics_of(graph).inline_runs == 1);
  CHECK(log->sizes() == Sizes{1, 4});
  SetBatchOptions fours{{.sizes = {4}}};
  REQUIRE(graph.control("", fours).has_value());
  CHECK(graph.serve(1).has_value());
  CHECK(statistics_of(graph).inline_runs == 1);
  CHECK(log->sizes() == Sizes{1, 4, 4});
}

TEST_CASE("a caller above a batch that waits has its rows filled up as well", "[batched][sizes]") {
  const ManualExecutor executor;
  Sizes sizes;
  std::optional<galley::Servable<int, int>> graph;
  bool nested = false;
  const auto child = galley::map_batch("child", [&](const Rows<int>& rows) {
    sizes.push_back(rows.size());
    if (!std::exchange(nested, true)) {
      const auto answers = graph->serve_rows(Rows<int>{5, 6, 7});
      CHECK(answers.all_ok());
      CHECK(answers.size() == 3);
    }
    return rows;
  });
  graph = batched(executor, child, {.max_rows = 2, .sizes = {2}, .max_running = 1},
                  SizeOrDelay{2, 0ns});
  CHECK(graph->serve(1).has_value());
  CHECK(sizes == Sizes{2, 2, 2});
}

TEST_CASE("tensors are filled up in the slab, and ragged ones beside it", "[batched][sizes]") {
  const ManualExecutor executor;
  std::vector<std::vector<float>> seen;
  const auto child = galley::map_batch("head", [&seen](const Rows<Tensor>& rows) {
    Rows<float> heads;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      heads.push_back(*static_cast<const float*>(rows[i].data()));
    }
    seen.emplace_back(heads.data(), heads.data() + heads.size());
    return heads;
  });
  const auto graph = batched(executor, child, {.sizes = {4}, .caller_runs = CallerRuns::never},
                             SizeOrDelay{4, 0ns});
  const auto row = [](std::int64_t size, float value) {
    Tensor tensor = *Tensor::empty(galley::DType::f32, {size});
    std::fill_n(static_cast<float*>(tensor.mutable_data()), size, value);
    return tensor;
  };
  std::vector<BatchEar<float>> ears(3);
  graph.submit(row(3, 1), {}, ears[0].listen());
  graph.submit(row(3, 2), {}, ears[1].listen());
  graph.submit_rows(Rows<Tensor>{row(1, 3), row(2, 4)}, {}, ears[2].listen(2));
  executor.run_ready();
  CHECK(seen == std::vector<std::vector<float>>{{1, 2, 2, 2}, {3, 4, 4, 4}});
  CHECK(ears[1].value() == 2);
  CHECK(ears[2].heard.size() == 2);
}

TEST_CASE("sizes that contradict the other options are refused", "[batched][sizes]") {
  const ManualExecutor executor;
  const auto message = [&](const BatchOptions& options, galley::NodeTraits traits = {}) {
    return batched(executor, logged(std::make_shared<BatchLog>(), traits), options)
        .check()
        .error()
        .detail;
  };
  CHECK(message({.sizes = {0, 4}}).find("options.sizes[0]") != std::string::npos);
  CHECK(message({.sizes = {4, 4}}).find("options.sizes[1]") != std::string::npos);
  CHECK(message({.max_rows = 8, .sizes = {4, 16}}).find("5 to max_rows, 8, got 16") !=
        std::string::npos);
  CHECK(message({.sizes = {4}}, {.stateful = true}).find("state") != std::string::npos);
}
