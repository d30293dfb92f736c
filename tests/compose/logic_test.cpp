#include <galley/compose/logic.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/slot.hpp>
#include <galley/core/tensor_rows.hpp>

#include <support/allocations.hpp>
#include <support/batching.hpp>
#include <support/clock.hpp>
#include <support/logic.hpp>
#include <support/rows.hpp>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchContext;
using galley::Completion;
using galley::Context;
using galley::Error;
using galley::Key;
using galley::logic;
using galley::LogicStatistics;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::RequestRun;
using galley::Result;
using galley::RowCaller;
using galley::Rows;
using galley::RowTask;
using galley::Servable;
using galley::Status;
using support::as_often;
using support::BatchLog;
using support::IntEar;
using support::logged;
using support::second_for_odd;
using namespace std::chrono_literals;

namespace {

using Sizes = std::vector<std::size_t>;
using Numbers = std::vector<int>;

LogicStatistics statistics_of_logic(const Servable<int, int>& graph) {
  LogicStatistics statistics;
  CHECK(graph.control("", statistics).has_value());
  return statistics;
}

}  // namespace

TEST_CASE("rows that await one servable share its batch, and early returns take no part",
          "[logic]") {
  const auto small = std::make_shared<BatchLog>(), large = std::make_shared<BatchLog>();
  const auto graph = logic<int>("odd twice", second_for_odd, logged(small), logged(large));
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{4, 7, -1, 2, 9});
  CHECK(*outcomes[0] == 40);
  CHECK(*outcomes[1] == 141);
  CHECK(outcomes[2].error() == Error(Status::invalid_argument, "odd twice: model: negative"));
  CHECK(*outcomes[3] == 20);
  CHECK(*outcomes[4] == 181);
  REQUIRE(small->batches.size() == 1);
  CHECK(small->batches[0] == Numbers{4, 7, -1, 2, 9});
  REQUIRE(large->batches.size() == 1);
  CHECK(large->batches[0] == Numbers{7, 9});
  CHECK(graph.serve(3) == Result<int>(61));
  CHECK(graph.serve_rows(Rows<int>{}).empty());
  const LogicStatistics statistics = statistics_of_logic(graph);
  CHECK(statistics.requests == 2);
  CHECK(statistics.rows == 6);
  CHECK(statistics.calls == 9);
  CHECK(statistics.batches == 4);
}

TEST_CASE("rows call in rounds, each with those that still go on", "[logic]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = logic<int>("as often", as_often, logged(log));
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{3, 0, 1, 4});
  CHECK(*outcomes[0] == 30);
  CHECK(*outcomes[1] == 0);
  CHECK(*outcomes[2] == 0);
  CHECK(*outcomes[3] == 60);
  CHECK(log->sizes() == Sizes{3, 2, 2, 1});
}

TEST_CASE("a row that never ends is stopped at its most calls, alone", "[logic]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = logic<int>("as often", {.max_calls = 5}, as_often, logged(log));
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{5, 6, 1'000'000'000, 1});
  CHECK(*outcomes[0] == 100);
  const Error endless(Status::internal,
                      "as often: never ended: a row made 5 calls, which is the most, and another");
  CHECK(outcomes[1].error() == endless);
  CHECK(outcomes[2].error() == endless);
  CHECK(*outcomes[3] == 0);
  CHECK(log->sizes() == Sizes{4, 3, 3, 3, 3});
  CHECK(logic<int>("d", as_often, logged(log)).serve(64).has_value());
  CHECK(logic<int>("d", as_often, logged(log)).serve(65).status() == Status::internal);
}

TEST_CASE("a row that throws or returns an error fails alone", "[logic]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = logic<int>(
      "throws",
      [](int n, auto& model) -> RowTask<int> {
        if (n == 1) throw std::runtime_error("at once");
        if (n == 2) co_return Error(Status::unavailable, "at once");
        const Result<int> found = co_await model(n);
        if (n == 3) throw std::runtime_error("later");
        if (n == 4) throw std::bad_alloc();
        if (n == 5) throw 5;
        if (n == 6) co_return Error(Status::not_found);
        co_return *found;
      },
      logged(log));
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(*outcomes[0] == 0);
  CHECK(outcomes[1].error() == Error(Status::internal, "throws: threw: at once"));
  CHECK(outcomes[2].error() == Error(Status::unavailable, "throws: at once"));
  CHECK(outcomes[3].error() == Error(Status::internal, "throws: threw: later"));
  CHECK(outcomes[4].error() == Error(Status::resource_exhausted, "throws: out of memory"));
  CHECK(outcomes[5].status() == Status::internal);
  CHECK(outcomes[6].error() == Error(Status::not_found, "throws"));
  CHECK(*outcomes[7] == 70);
}

namespace {

/// A row that throws when it is copied or moved the nth time.
struct Brittle {
  explicit Brittle(int of) : left(of) {}
  Brittle(const Brittle& other) : left(other.left - 1) { check(); }
  Brittle(Brittle&& other) : left(other.left - 1) { check(); }  // NOLINT: it is to throw
  Brittle& operator=(const Brittle&) = default;
  Brittle& operator=(Brittle&&) = default;
  ~Brittle() = default;
  void check() const {
    if (left == 0) throw std::runtime_error("brittle");
  }
  int left;
};

}  // namespace

TEST_CASE("a row that cannot be copied into its coroutine fails alone", "[logic]") {
  const auto graph = logic<Brittle>(
      "brittle",
      [](Brittle row, auto& model) -> RowTask<int> {
        co_return *co_await model(row.left > 0 ? 1 : 0);
      },
      galley::map("same", [](int n) { return n; }));
  int failed = 0;
  for (int nth = 1; nth < 10; ++nth) {
    std::vector<Brittle> rows;
    rows.reserve(2);
    rows.emplace_back(1000);
    rows.emplace_back(nth);
    const Outcomes<int> outcomes = graph.serve_rows(std::span<const Brittle>(rows));
    CHECK(outcomes[0].has_value());
    if (outcomes[1].has_value()) continue;
    CHECK(outcomes[1].error() == Error(Status::internal, "brittle: threw: brittle"));
    ++failed;
  }
  CHECK(failed > 0);
  CHECK(failed < 9);
}

TEST_CASE("rows are lent by reference, moved at their last use, and live as long as the coroutine",
          "[logic]") {
  using support::Counted;
  const auto same = galley::map("same", [](int n) { return n; });
  const auto by_reference = logic<Counted>(
      "reference",
      [](const Counted& row, auto& model) -> RowTask<int> {
        (void)co_await model(1);
        co_return row.value;
      },
      same);
  const auto by_value = logic<Counted>(
      "value",
      [](Counted row, auto& model) -> RowTask<int> {
        (void)co_await model(1);
        co_return row.value;
      },
      same);
  const Rows<Counted> rows{Counted(1), Counted(2)};
  const ManualExecutor executor;
  Counted::copies = 0;
  CHECK(*by_reference.serve_rows(rows)[1] == 2);
  CHECK(Counted::copies == 0);
  CHECK(*by_value.serve_rows(rows)[1] == 2);
  CHECK(Counted::copies == 2);
  CHECK(*by_value.serve_rows(Rows<Counted>(rows))[1] == 2);
  CHECK(Counted::copies == 4);  // of this line
  int answers = 0;
  const auto later = logic<Counted>(
      "later",
      [](const Counted& row, auto& model) -> RowTask<int> {
        (void)co_await model(1);
        co_return row.value;
      },
      galley::on(executor, same));
  later.submit(Counted(8), {}, [&](const Result<int>& n) { answers += n.has_value() ? *n : 0; });
  executor.run_all();
  CHECK(answers == 8);
  CHECK(Counted::copies == 4);
}

TEST_CASE("rows that only move go in, through and out", "[logic]") {
  using support::MoveOnly;
  const auto graph = logic<MoveOnly>(
      "move",
      [](MoveOnly row, auto& model) -> RowTask<MoveOnly> {
        Result<MoveOnly> found = co_await model(std::move(row));
        if (found.has_value() && found->get() > 5) found = co_await model(*std::move(found));
        co_return found;
      },
      galley::map("plus", [](const MoveOnly& row) { return MoveOnly(row.get() + 1); }));
  Rows<MoveOnly> rows;
  for (const int n : {4, 5, 6}) rows.push_back(MoveOnly(n));
  const Outcomes<MoveOnly> outcomes = graph.serve_rows(std::move(rows));
  CHECK((*outcomes[0]).get() == 5);
  CHECK((*outcomes[1]).get() == 7);
  CHECK((*outcomes[2]).get() == 8);
  CHECK((*graph.serve(MoveOnly(9))).get() == 11);
}

TEST_CASE("tensors are rows of a coroutine, and its values make one dense batch", "[logic]") {
  using galley::Tensor;
  std::vector<std::size_t> sizes;
  const auto doubled =
      galley::map_batch("doubled", [&sizes](const Rows<Tensor>& rows) -> Result<Rows<Tensor>> {
        sizes.push_back(rows.size());
        Rows<Tensor> out;
        for (std::size_t i = 0; i < rows.size(); ++i) {
          const Tensor row = rows[i];
          GALLEY_TRY(const std::span<const float> s, row.span<float>());
          GALLEY_TRY(Tensor twice, Tensor::from(std::vector<float>{2 * s[0]}, {1}));
          out.push_back(std::move(twice));
        }
        return out;
      });
  const auto graph = logic<Tensor>(
      "until big",
      [](const Tensor& row, auto& model) -> RowTask<float> {
        Tensor now = row;
        for (;;) {
          Result<Tensor> next = co_await model(now);
          if (!next.has_value()) co_return next.error();
          now = *std::move(next);
          if ((*now.span<float>())[0] >= 8) co_return (*now.span<float>())[0];
        }
      },
      doubled);
  Rows<Tensor> rows;
  for (const float x : {1.0F, 3.0F, 5.0F}) {
    rows.push_back(*Tensor::from(std::vector<float>{x}, {1}));
  }
  for (const bool last_use : {false, true}) {
    sizes.clear();
    const Outcomes<float> outcomes =
        last_use ? graph.serve_rows(Rows<Tensor>(rows)) : graph.serve_rows(rows);
    CHECK(*outcomes[0] == 8);
    CHECK(*outcomes[1] == 12);
    CHECK(*outcomes[2] == 10);
    CHECK(sizes == Sizes{3, 2, 1});
  }
}

TEST_CASE("a call has its row's request and key", "[logic]") {
  const auto small = std::make_shared<BatchLog>(), large = std::make_shared<BatchLog>();
  const auto graph = logic<int>("odd twice", second_for_odd, logged(small), logged(large));
  const Rows<int> rows{1, 2, 3, 5};
  const std::vector<Context> contexts{{.request_id = 5}, {.request_id = 6}};
  const std::vector<RequestRun> runs{{&contexts[0], 3}, {&contexts[1], 1}};
  const std::vector<Key> keys{50, 60, 70, 80};
  CHECK(graph.serve_batch(Batch<int>(rows), BatchContext(runs, keys)).all_ok());
  CHECK(small->requests.at(0) == std::vector<std::uint64_t>{5, 5, 5, 6});
  CHECK(small->keys.at(0) == keys);
  CHECK(large->requests.at(0) == std::vector<std::uint64_t>{5, 5, 6});
  CHECK(large->keys.at(0) == std::vector<Key>{50, 70, 80});
}

TEST_CASE("a row whose request is over is not resumed", "[logic]") {
  support::HandClock clock;
  std::stop_source stop;
  std::vector<int> resumed;
  int round = 0;
  const auto model = galley::map_batch("model", [&](const Rows<int>& rows) {
    if (round++ == 0) {
      stop.request_stop();
      clock.advance(2ms);
    }
    return Rows<int>(rows);
  });
  const auto graph = logic<int>(
      "thrice",
      [&resumed](int n, auto& asked) -> RowTask<int> {
        for (int i = 0; i < 3; ++i) {
          resumed.push_back(n);
          (void)co_await asked(n);
        }
        co_return n;
      },
      model);
  const Rows<int> rows{1, 2, 3, 4};
  const std::vector<Context> contexts{{.deadline = clock.now()},
                                      {.deadline = clock.now() + 1ms},
                                      {.stop = stop.get_token()},
                                      {.deadline = clock.now() + 1h}};
  std::vector<RequestRun> runs;
  for (const Context& context : contexts) runs.push_back({&context, 1});
  const Outcomes<int> outcomes = graph.serve_batch(Batch<int>(rows), BatchContext(runs, {}));
  CHECK(outcomes[0].error() == Error(Status::deadline_exceeded));
  CHECK(outcomes[1].error() == Error(Status::deadline_exceeded));
  CHECK(outcomes[2].error() == Error(Status::cancelled));
  CHECK(*outcomes[3] == 4);
  CHECK(resumed == Numbers{2, 3, 4, 4, 4});
}

TEST_CASE("servables that answer later are asked together, and the last answer goes on",
          "[logic]") {
  std::vector<std::pair<int, Completion<int>>> owed;
  const auto kept = [&owed](const char* name) {
    return Servable<int, int>(
        name, [&owed](int n, Completion<int> done) { owed.emplace_back(n, std::move(done)); });
  };
  const auto log = std::make_shared<BatchLog>();
  const auto graph = logic<int>(
      "either",
      [](int n, auto& even, auto& odd, auto& now) -> RowTask<int> {
        Result<int> found = Error();
        if (n % 2 == 0) {
          found = co_await even(n);
        } else {
          found = co_await odd(n);
        }
        if (!found.has_value()) co_return found;
        co_return *co_await now(*found);
      },
      kept("even"), kept("odd"), logged(log));
  IntEar ear;
  graph.submit_rows(Rows<int>{1, 2, 3, 4}, {}, ear.listen(4));
  REQUIRE(owed.size() == 4);
  CHECK(owed[0].first == 2);
  CHECK(owed[3].first == 3);
  owed[3].second(33);
  owed[0].second(22);
  owed[2].second = {};
  CHECK(log->batches.empty());
  owed[1].second(44);
  REQUIRE(ear.answers == 1);
  CHECK(ear.status(0) == Status::cancelled);
  CHECK(ear.value(1) == 220);
  CHECK(ear.value(2) == 330);
  CHECK(ear.value(3) == 440);
  CHECK(log->sizes() == Sizes{3});
}

TEST_CASE("behind an executor submit computes the first round, and the rest where answers come",
          "[logic]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = logic<int>("as often", as_often, galley::on(executor, logged(log)));
  IntEar ear;
  graph.submit_rows(Rows<int>{2, 0, 3}, {}, ear.listen(3));
  CHECK(ear.answers == 0);
  CHECK(log->batches.empty());
  executor.run_all();
  REQUIRE(ear.answers == 1);
  CHECK(ear.value(0) == 10);
  CHECK(ear.value(1) == 0);
  CHECK(ear.value(2) == 30);
  CHECK(log->sizes() == Sizes{2, 2, 1});
  CHECK(*graph.serve_rows(Rows<int>{2, 3})[1] == 30);
}

TEST_CASE("calls of several requests share a batcher's batch", "[logic]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph =
      logic<int>("as often", as_often,
                 galley::batched(executor, logged(log), {}, galley::SizeOrDelay{64, 1ms}));
  std::array<IntEar, 3> ears;
  for (IntEar& ear : ears) graph.submit_rows(Rows<int>{2, 1}, {}, ear.listen(2));
  executor.run_all();
  for (const IntEar& ear : ears) {
    CHECK(ear.value(0) == 10);
    CHECK(ear.value(1) == 0);
  }
  CHECK(log->sizes() == Sizes{6, 3});
}

TEST_CASE("all calls of a request see one version", "[logic]") {
  const ManualExecutor executor;
  for (const bool later : {false, true}) {
    CAPTURE(later);
    const auto old = galley::map("old", [](int n) { return n; });
    auto [live, publisher] = galley::slot("slot", later ? galley::on(executor, old) : old);
    bool published = false;
    const auto publish = [&published, &publisher = publisher] {
      if (published) return;
      published = publisher.publish(galley::map("new", [](int) { return 1000; })).has_value();
    };
    const auto graph = logic<int>(
        "twice",
        [publish](int n, auto& model) -> RowTask<int> {
          const Result<int> a = co_await model(n);
          publish();
          const Result<int> b = co_await model(n);
          co_return *a + *b;
        },
        live);
    IntEar ear;
    graph.submit_rows(Rows<int>{1, 2}, {}, ear.listen(2));
    executor.run_all();
    CHECK(published);
    CHECK(ear.value(0) == 2);
    CHECK(ear.value(1) == 4);
    CHECK(graph.serve(1) == Result<int>(2000));
  }
}

TEST_CASE("a shutdown resumes rows with its error, who may do without", "[logic]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = logic<int>(
      "falls back",
      [](int n, auto& first, auto& second) -> RowTask<int> {
        const Result<int> found = co_await first(n);
        if (found.status() != Status::unavailable) co_return found;
        co_return *co_await second(n) + 1;
      },
      galley::on(executor, logged(log)), logged(log));
  IntEar ear;
  graph.submit_rows(Rows<int>{1, 2}, {}, ear.listen(2));
  executor.shutdown();
  CHECK(ear.value(0) == 11);
  CHECK(ear.value(1) == 21);
}

TEST_CASE("logic looks like its neighbours", "[logic]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  const auto graph = logic<int>("odd twice", {.max_calls = 7}, second_for_odd, logged(log),
                                galley::batched(executor, logged(log)));
  CHECK(graph.name() == "odd twice");
  const galley::Description d = graph.describe();
  CHECK(d.kind == "logic");
  REQUIRE(d.options.size() == 2);
  CHECK(d.options[0] == std::pair<std::string, std::string>("max_calls", "7"));
  CHECK(d.options[1] == std::pair<std::string, std::string>("kept_frames", "1024"));
  REQUIRE(d.children.size() == 2);
  CHECK(d.children[1].kind == "batched");
  CHECK_FALSE(graph.traits().inline_only);
  CHECK(graph.check().has_value());
  CHECK(graph.prepare().has_value());
  galley::BatchStatistics statistics;
  CHECK(graph.control("batched(model)", statistics).has_value());
  CHECK(graph.control("", statistics).status() == Status::unimplemented);
  const auto broken =
      logic<int>("l", as_often, Servable<int, int>::broken("b", Error(Status::not_found, "no")));
  CHECK(broken.check().error() == Error(Status::not_found, "l: b: no"));
  const auto none = logic<int>("l", {.max_calls = 0}, as_often, logged(log));
  CHECK(none.check().error() ==
        Error(Status::failed_precondition, "l: options.max_calls: expected at least 1, got 0"));
  const auto traits = logic<int>("l", as_often, logged(log, {.stateful = true})).traits();
  CHECK(traits.inline_only);
  CHECK(traits.stateful);
}
