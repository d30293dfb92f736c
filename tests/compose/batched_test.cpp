// How rows of many requests become batches, and each request gets its own outcomes.
#include <galley/compose/pipeline.hpp>
#include <galley/policy/batch/preferred_sizes.hpp>

#include <support/allocations.hpp>
#include <support/batching.hpp>

#include <chrono>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchContext;
using galley::batched;
using galley::BatchOptions;
using galley::CallerRuns;
using galley::Error;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::PreferredSizes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::SizeOrDelay;
using galley::Status;
using support::always_queued;
using support::BatchLog;
using support::IntEar;
using support::logged;
using support::statistics_of;
using namespace std::chrono_literals;

using Sizes = std::vector<std::size_t>;

namespace {

Rows<int> counting(int n) {
  Rows<int> rows;
  for (int i = 0; i < n; ++i) rows.push_back(i);
  return rows;
}

}  // namespace

TEST_CASE("a lone caller runs its own row: no executor, no allocation", "[batched]") {
  const ManualExecutor executor;
  const auto graph = batched(executor, galley::map("plus", [](int n) { return n + 1; }));
  CHECK(graph.name() == "batched(plus)");
  CHECK(graph.describe().kind == "batched");
  CHECK_FALSE(graph.traits().inline_only);
  CHECK(graph.check().has_value());
  for (int i = 0; i < 32; ++i) (void)graph.serve(i);
  int wrong = 0;
  const support::AllocationCount count;
  for (int i = 0; i < 100; ++i) wrong += graph.serve(i) == Result<int>(i + 1) ? 0 : 1;
  CHECK(count.so_far() == 0);
  CHECK(wrong == 0);
  CHECK(executor.pending() == 0);
  CHECK(executor.yields() == 0);
  CHECK(statistics_of(graph).inline_runs == 132);
  CHECK(statistics_of(graph).batches == 0);
}

TEST_CASE("rows of many requests become one batch, and each gets its own outcome", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log));
  std::vector<IntEar> ears(6);
  for (int i = 0; i < 6; ++i) {
    graph.submit(i, {.request_id = 100 + static_cast<std::uint64_t>(i)},
                 ears[static_cast<std::size_t>(i)].listen());
  }
  CHECK(log->batches.empty());
  CHECK(executor.pending() == 1);
  CHECK(statistics_of(graph).queued_rows == 6);
  executor.run_ready();
  for (int i = 0; i < 6; ++i) {
    REQUIRE(ears[static_cast<std::size_t>(i)].status() == Status::ok);
    CHECK(ears[static_cast<std::size_t>(i)].value() == 10 * i);
  }
  CHECK(log->batches == std::vector<std::vector<int>>{{0, 1, 2, 3, 4, 5}});
  CHECK(log->requests[0] == std::vector<std::uint64_t>{100, 101, 102, 103, 104, 105});
  CHECK(statistics_of(graph).batches == 1);
  CHECK(statistics_of(graph).rows == 6);
  CHECK(statistics_of(graph).requests == 6);
  CHECK(statistics_of(graph).queued_rows == 0);
}

TEST_CASE("requests of several rows share batches too", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log));
  IntEar three, one, two, none;
  graph.submit_rows(Rows<int>{1, 2, 3}, {}, three.listen(3));
  graph.submit(4, {}, one.listen());
  graph.submit_rows(Rows<int>{5, 6}, {}, two.listen(2));
  graph.submit_rows(Rows<int>(), {}, none.listen(0));
  CHECK(none.answers == 1);
  CHECK(none.heard.empty());
  CHECK(graph.serve_rows(Rows<int>()).empty());
  executor.run_ready();
  CHECK(log->sizes() == Sizes{6});
  CHECK(three.value(0) == 10);
  CHECK(three.value(2) == 30);
  CHECK(one.value() == 40);
  CHECK(two.value(1) == 60);
}

TEST_CASE("a request larger than the largest batch is split, and answered in order", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), {}, SizeOrDelay{.max_rows = 4});
  Rows<int> rows = counting(11);
  rows[6] = -6;
  IntEar large, small;
  graph.submit_rows(Rows<int>(rows), {.request_id = 7}, large.listen(11));
  graph.submit(99, {.request_id = 8}, small.listen());
  executor.run_ready();
  CHECK(log->sizes() == Sizes{4, 4, 4});
  CHECK(log->requests[2] == std::vector<std::uint64_t>{7, 7, 7, 8});
  REQUIRE(large.answers == 1);
  REQUIRE(large.heard.size() == 11);
  for (std::size_t i = 0; i < 11; ++i) {
    if (i == 6) {
      CHECK(large.status(i) == Status::invalid_argument);
    } else {
      CHECK(large.value(i) == 10 * static_cast<int>(i));
    }
  }
  CHECK(small.value() == 990);
}

TEST_CASE("a caller alone with many rows runs them in batches of the best size", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), {.max_rows = 4},
                             galley::LearnedCap{.max_yields = 0, .probe_every = 0});
  Rows<int> rows = counting(10);
  rows[5] = -5;
  const Outcomes<int> outcomes = graph.serve_rows(rows, {.request_id = 3});
  REQUIRE(outcomes.size() == 10);
  for (std::size_t i = 0; i < 10; ++i) {
    if (i == 5) {
      CHECK(outcomes[i].status() == Status::invalid_argument);
    } else {
      CHECK(*outcomes[i] == 10 * static_cast<int>(i));
    }
  }
  for (const std::size_t size : log->sizes()) CHECK(size <= 4);
  for (const auto& ids : log->requests) {
    for (const std::uint64_t id : ids) CHECK(id == 3);
  }
  CHECK(executor.pending() == 0);
}

TEST_CASE("a bad row fails alone, whoever's rows are beside it", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto throws = galley::map_batch("throws", [](const Rows<int>& rows) {
    Rows<int> out;
    for (int n : rows) {
      if (n == 13) throw std::runtime_error("13");
      out.push_back(n * 10);
    }
    return out;
  });
  for (const auto& child : {logged(log), throws}) {
    const int bad = child.name() == "throws" ? 13 : -1;
    const auto graph = batched(executor, child);
    std::vector<IntEar> ears(3);
    graph.submit_rows(Rows<int>{1, 2}, {}, ears[0].listen(2));
    graph.submit_rows(Rows<int>{3, bad, 4}, {}, ears[1].listen(3));
    graph.submit(5, {}, ears[2].listen());
    executor.run_ready();
    CHECK(ears[0].value(0) == 10);
    CHECK(ears[0].value(1) == 20);
    CHECK(ears[1].value(0) == 30);
    CHECK(ears[1].status(1) == (bad == 13 ? Status::internal : Status::invalid_argument));
    CHECK(ears[1].value(2) == 40);
    CHECK(ears[2].value() == 50);
  }
}

namespace {

/// A combinator that answers too few rows, as no leaf can.
struct TooFew {
  static constexpr const char* kind = "too_few";
  galley::NodeTraits traits() const { return {}; }
  Outcomes<int> serve(const Batch<int>& batch, const BatchContext&) const {
    Rows<int> out;
    for (std::size_t i = 0; i + 1 < batch.size(); ++i) out.push_back(batch[i]);
    return Outcomes<int>(std::move(out));
  }
};

}  // namespace

TEST_CASE("a child that answers too few rows is answered for with internal", "[batched]") {
  const ManualExecutor executor;
  const auto short_of_one = Servable<int, int>::of_node("short", TooFew());
  const auto graph = batched(executor, short_of_one, always_queued);
  for (const std::size_t n : {1U, 3U}) {
    std::vector<IntEar> ears(2);
    for (IntEar& ear : ears) graph.submit_rows(counting(static_cast<int>(n)), {}, ear.listen(n));
    executor.run_ready();
    IntEar alone;
    graph.submit_rows(counting(static_cast<int>(n)), {}, alone.listen(n));
    executor.run_ready();
    for (std::size_t i = 0; i < n; ++i) {
      CHECK(ears[0].status(i) == Status::internal);
      CHECK(ears[1].heard[i].error().detail == "short: answered " + std::to_string(2 * n - 1) +
                                                   " rows, expected " + std::to_string(2 * n));
      CHECK(alone.answers == 1);
      CHECK(alone.heard[i].status() == Status::internal);
    }
  }
  const auto split = batched(executor, short_of_one, {.max_rows = 2});
  const Outcomes<int> outcomes = split.serve_rows(counting(5));
  REQUIRE(outcomes.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) CHECK(outcomes[i].status() == Status::internal);
}

namespace {

/// A policy of a careless author.
struct Careless {
  std::size_t rows = 0;
  galley::Duration max_wait() const { return {}; }
  galley::BatchDecision decide(const galley::BatchView&) const {
    return galley::BatchDecision::close(rows, galley::CloseReason::full);
  }
};

}  // namespace

TEST_CASE("a policy that names an impossible number of rows closes a possible one", "[batched]") {
  const ManualExecutor executor;
  for (const std::size_t rows : {0U, 1000U}) {
    const auto log = std::make_shared<BatchLog>();
    const auto graph = batched(executor, logged(log), {.max_rows = 4}, Careless{rows});
    IntEar ear;
    graph.submit_rows(counting(6), {}, ear.listen(6));
    executor.run_ready();
    CHECK(ear.value(5) == 50);
    CHECK(graph.serve_rows(counting(6)).all_ok());
    for (const std::size_t size : log->sizes()) CHECK(size <= 4);
  }
}

TEST_CASE("a policy that gives a reason there is not harms nothing", "[batched]") {
  const ManualExecutor executor;
  struct Unreasonable {
    galley::Duration max_wait() const { return {}; }
    galley::BatchDecision decide(const galley::BatchView& view) const {
      return galley::BatchDecision::close(view.rows, static_cast<galley::CloseReason>(200));
    }
  };
  const auto graph =
      batched(executor, logged(std::make_shared<BatchLog>()), always_queued, Unreasonable());
  CHECK(graph.serve(1) == Result<int>(10));
  CHECK(statistics_of(graph).closed_by(galley::CloseReason::idle) == 1);
}

TEST_CASE("preferred sizes are the sizes of the batches", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), {}, PreferredSizes{{2, 4}, 1ms});
  std::vector<IntEar> ears(7);
  for (int i = 0; i < 7; ++i) graph.submit(i, {}, ears[static_cast<std::size_t>(i)].listen());
  executor.run_ready();
  CHECK(log->sizes() == Sizes{4, 2});
  CHECK(ears[6].answers == 0);
  executor.advance(1ms);
  CHECK(ears[6].value() == 60);
}

TEST_CASE("who asks for no rows is answered, and nothing is left in the queue", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = batched(executor, logged(log), always_queued);
  const Rows<int> none{};
  const galley::Context context;
  const BatchContext nobody(context, 0);
  IntEar ear;
  graph.submit_apart(Rows<int>(none), nobody, ear.listen(0));
  CHECK(graph.serve_batch(Batch<int>(none), nobody).size() == 0);
  executor.run_all();
  CHECK(ear.answers == 1);
}

TEST_CASE("a batcher within a batcher answers as one", "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph =
      batched(executor, batched(executor, logged(log)) | batched(executor, logged(log)));
  std::vector<IntEar> ears(4);
  for (int i = 0; i < 4; ++i) graph.submit(i, {}, ears[static_cast<std::size_t>(i)].listen());
  CHECK(graph.serve(9) == Result<int>(900));
  executor.run_ready();
  for (int i = 0; i < 4; ++i) CHECK(ears[static_cast<std::size_t>(i)].value() == 100 * i);
}

TEST_CASE("options that contradict each other, and servables that cannot be batched, are refused",
          "[batched]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto why = [&](const BatchOptions& options, const galley::NodeTraits& traits = {}) {
    const auto graph = batched(executor, logged(log, traits), options);
    const Result<void> checked = graph.check();
    if (checked.has_value()) return std::string("ok");
    CHECK(checked.error().status == Status::failed_precondition);
    CHECK(graph.serve(1).status() == Status::failed_precondition);
    return checked.error().detail;
  };
  CHECK(why({}) == "ok");
  CHECK(why({.max_rows = 0}).find("max_rows: expected at least 1") != std::string::npos);
  CHECK(why({.max_kinds = 0}).find("max_kinds") != std::string::npos);
  CHECK(why({.max_rows = 9, .max_queued_rows = 8}).find("max_queued_rows") != std::string::npos);
  CHECK(why({.ageing = -1ns}).find("ageing") != std::string::npos);
  CHECK(why({.max_running = 1U << 16U}).find("max_running: expected at most") != std::string::npos);
  CHECK(why({}, {.row_independent = false}).find("neighbours") != std::string::npos);
  CHECK(log->batches.empty());
  const auto graph = batched(executor, logged(log));
  galley::SetBatchOptions bad{{.max_rows = 0}};
  CHECK(graph.control("", bad).status() == Status::failed_precondition);
  int unknown = 0;
  CHECK(graph.control("", unknown).status() == Status::unimplemented);
}
