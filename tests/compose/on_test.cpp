#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/rows.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchCompletion;
using galley::Completion;
using galley::Context;
using galley::Error;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using support::Counted;
using namespace std::chrono_literals;

namespace {

Servable<int, int> plus(int by) {
  return galley::map("plus", [by](int n) { return n + by; });
}

/// Hears one answer, and counts.
struct Ear {
  int answers = 0;
  Result<int> heard = Error(Status::internal, "nothing yet");
  Completion<int> listen() {
    return [this](Result<int> r) {
      ++answers;
      heard = std::move(r);
    };
  }
};

}  // namespace

TEST_CASE("work on an executor never runs inside submit", "[on]") {
  const ManualExecutor executor;
  bool ran = false;
  const auto graph = galley::on(executor, galley::map("work", [&ran](int n) {
                                  ran = true;
                                  CHECK(galley::Worker::current() != nullptr);
                                  return n + 1;
                                }));
  CHECK(graph.name() == "on(work)");
  CHECK_FALSE(graph.traits().inline_only);
  Ear ear;
  graph.submit(1, {}, ear.listen());
  CHECK_FALSE(ran);
  CHECK(ear.answers == 0);
  CHECK(executor.pending() == 1);
  executor.run_ready();
  CHECK(ran);
  CHECK(ear.answers == 1);
  CHECK(ear.heard == Result<int>(2));
}

TEST_CASE("serve waits for the answer and runs the executor meanwhile", "[on]") {
  const ManualExecutor executor;
  const auto graph = galley::on(executor, plus(1)) | galley::on(executor, plus(2));
  CHECK(graph.serve(1) == Result<int>(4));
  const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{1, 2, 3});
  CHECK(*outcomes[2] == 6);
  CHECK(executor.pending() == 0);
}

TEST_CASE("serve on a worker of the same executor runs its tasks", "[on]") {
  const ManualExecutor executor;
  const auto inner = galley::on(executor, plus(1));
  const auto graph =
      galley::on(executor, galley::map("outer", [inner](int n) { return inner.serve(n); }));
  CHECK(graph.serve(1) == Result<int>(2));
  Ear ear;
  graph.submit(5, {}, ear.listen());
  executor.run_ready();
  CHECK(ear.heard == Result<int>(6));
}

TEST_CASE("an executor that is shut down answers unavailable", "[on]") {
  const ManualExecutor executor;
  const auto graph = galley::on(executor, plus(1));
  Ear waiting, late;
  graph.submit(1, {}, waiting.listen());
  executor.shutdown();
  CHECK(waiting.answers == 1);
  CHECK(waiting.heard.status() == Status::unavailable);
  graph.submit(1, {}, late.listen());
  CHECK(late.answers == 1);
  CHECK(late.heard.error() == Error(Status::unavailable, "plus: the executor was shut down"));
  CHECK(graph.serve(1).status() == Status::unavailable);
}

TEST_CASE("a deadline that passes in the queue keeps the work from starting", "[on]") {
  const ManualExecutor executor;
  int calls = 0;
  const auto graph = galley::on(executor, galley::map("work", [&calls](int n) {
                                  ++calls;
                                  return n;
                                }));
  Ear soon, open;
  graph.submit(1, {.deadline = executor.now() + 5ms}, soon.listen());
  graph.submit(2, {.deadline = executor.now() + 50ms}, open.listen());
  executor.pass(5ms);
  executor.run_ready();
  CHECK(soon.heard.status() == Status::deadline_exceeded);
  CHECK(open.heard == Result<int>(2));
  CHECK(calls == 1);
}

TEST_CASE("serve gives up at the deadline while the work goes on", "[on]") {
  const ManualExecutor executor;
  std::optional<Completion<int>> kept;
  const auto alive = std::make_shared<int>(0);
  std::optional graph = galley::on(
      executor,
      Servable("slow", [&kept, alive](int, Completion<int> done) { kept = std::move(done); }));
  const auto late = graph->serve(1, {.deadline = executor.now() + 5ms});
  CHECK(late.error() == Error(Status::deadline_exceeded, "on(slow): no answer in time"));
  REQUIRE(kept.has_value());
  graph.reset();
  CHECK(alive.use_count() == 2);  // the request still owns the graph
  (*kept)(3);
  CHECK(alive.use_count() == 1);
}

TEST_CASE("waiting that nobody can end answers failed_precondition", "[on]") {
  const ManualExecutor executor;
  std::vector<Completion<int>> kept;
  const auto graph = galley::on(executor, Servable("never", [&kept](int, Completion<int> done) {
                                  kept.push_back(std::move(done));
                                }));
  const auto stuck = graph.serve(1);
  CHECK(stuck.status() == Status::failed_precondition);
  CHECK(stuck.error().detail.find("on(never): ") == 0);
  kept.clear();
}

TEST_CASE("a request in flight owns the graph, its rows and its context", "[on]") {
  const ManualExecutor executor;
  const auto alive = std::make_shared<int>(0);
  Ear ear;
  std::vector<galley::Key> keys_seen;
  {
    const auto first = galley::map("first", [alive](const std::string& s) { return s + "!"; });
    const auto second = galley::map_batch(
        "second",
        [alive, &keys_seen](const Rows<std::string>& rows, const galley::BatchContext& c) {
          keys_seen.assign(c.keys().begin(), c.keys().end());
          Rows<int> sizes;
          for (const auto& s : rows) sizes.push_back(static_cast<int>(s.size()));
          return sizes;
        });
    const auto graph = galley::on(executor, first) | galley::on(executor, second);
    const std::vector<galley::Key> keys{42};
    const Context context{.deadline = executor.now() + 1s, .request_id = 7};
    graph.submit("a text that is long enough for the heap", context, ear.listen(), {.keys = keys});
  }
  CHECK(alive.use_count() > 1);
  executor.run_ready();
  CHECK(ear.heard == Result<int>(40));
  CHECK(keys_seen == std::vector<galley::Key>{42});
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a request in flight may be the last to know its executor", "[on]") {
  Ear ear;
  std::optional<ManualExecutor> executor(std::in_place);
  {
    const auto graph = galley::on(*executor, plus(1));
    graph.submit(1, {}, ear.listen());
  }
  executor->shutdown();
  executor.reset();
  CHECK(ear.heard.status() == Status::unavailable);
}

TEST_CASE("shutting down while the work runs answers at once, and the work still ends safely",
          "[on]") {
  const ManualExecutor executor;
  std::optional<Servable<int, int>> graph;
  Ear ear;
  const auto alive = std::make_shared<int>(0);
  std::vector<std::uint64_t> seen;
  const auto work = galley::map_batch(
      "work", [&, alive](const Rows<int>& rows, const galley::BatchContext& context) {
        executor.shutdown();
        CHECK(ear.answers == 1);
        graph.reset();
        for (std::size_t i = 0; i < rows.size(); ++i) {
          seen.push_back(context.context_of(i).request_id + context.keys()[i]);
        }
        return rows;
      });
  // A row fails before, so that what the work is told of its rows is a selection that a stage
  // keeps.
  const auto odd = galley::map("odd", [](int n) -> Result<int> {
    if (n % 2 == 1) return Error(Status::invalid_argument);
    return n;
  });
  const auto tail = galley::map("tail", [alive](int n) { return n; });
  graph = odd | galley::on(executor, work) | tail;
  const std::vector<galley::Key> keys{1, 2, 3};
  graph->submit_rows(Rows<int>{1, 2, 4}, {.request_id = 10},
                     BatchCompletion<int>(
                         3,
                         [&](Outcomes<int> outcomes) {
                           ++ear.answers;
                           CHECK(outcomes[0].status() == Status::invalid_argument);
                           CHECK(outcomes[1].error() ==
                                 Error(Status::unavailable,
                                       "work: the executor was shut down while this was running"));
                           CHECK(outcomes[2].status() == Status::unavailable);
                         }),
                     {.keys = keys});
  executor.run_ready();
  CHECK(ear.answers == 1);
  CHECK(seen == std::vector<std::uint64_t>{12, 13});
}

TEST_CASE("serve copies the rows it was lent, and only those", "[on]") {
  const ManualExecutor executor;
  const auto graph =
      galley::on(executor, galley::map("look", [](const Counted& c) { return c.value; }));
  const Counted row(3);
  Counted::copies = 0;
  CHECK(graph.serve(row) == Result<int>(3));
  CHECK(Counted::copies == 1);
  CHECK(graph.serve(Counted(4)) == Result<int>(4));
  Ear ear;
  graph.submit(Counted(5), {}, ear.listen());
  executor.run_ready();
  CHECK(ear.heard == Result<int>(5));
  CHECK(Counted::copies == 1);
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

TEST_CASE("a row that cannot be copied for the executor fails, and nothing is thrown", "[on]") {
  const ManualExecutor executor;
  const auto graph =
      galley::on(executor, galley::map("look", [](const Fragile& f) { return f.value; }));
  const Fragile bad(13), good(1);
  CHECK(graph.serve(bad).status() == Status::internal);
  CHECK(graph.serve(good) == Result<int>(1));
  CHECK(executor.pending() == 0);
}

TEST_CASE("what runs on an executor may throw", "[on]") {
  const ManualExecutor executor;
  const auto graph = galley::on(
      executor, galley::map("bad", [](int) -> int { throw std::runtime_error("boom"); }));
  CHECK(graph.serve(1).error() == Error(Status::internal, "bad: threw: boom"));
}

TEST_CASE("any order of the executor's tasks gives the same answers", "[on]") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
    CAPTURE(seed);
    const auto graph = galley::on(executor, plus(1)) | galley::on(executor, plus(10)) | plus(100);
    std::vector<Ear> ears(8);
    for (int i = 0; i < 8; ++i) graph.submit(i, {}, ears[static_cast<std::size_t>(i)].listen());
    CHECK(graph.serve(50) == Result<int>(161));
    executor.run_ready();
    for (int i = 0; i < 8; ++i) {
      REQUIRE(ears[static_cast<std::size_t>(i)].answers == 1);
      REQUIRE(ears[static_cast<std::size_t>(i)].heard == Result<int>(i + 111));
    }
  }
}
