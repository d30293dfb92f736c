// Ensembles on an executor: who runs what, cut-offs, shutdowns and what outlives an answer.
#include <galley/compose/ensemble.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/batching.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchCompletion;
using galley::ensemble;
using galley::EnsembleOptions;
using galley::EnsembleStatistics;
using galley::Error;
using galley::First;
using galley::MajorityVote;
using galley::ManualExecutor;
using galley::map;
using galley::Mean;
using galley::member;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::Votes;
using Fork = EnsembleOptions::Fork;
using support::BatchEar;
using namespace std::chrono_literals;

namespace {

Servable<int, double> plus(std::string name, double by) {
  return map(std::move(name), [by](int n) { return n + by; });
}

/// Does something and answers the row.
Servable<int, double> doing(std::string name, std::function<void()> work) {
  return map(std::move(name), [work = std::move(work)](int n) {
    work();
    return static_cast<double>(n);
  });
}

template <class Graph>
EnsembleStatistics statistics_of(const Graph& graph) {
  EnsembleStatistics statistics;
  REQUIRE(graph.control("", statistics).has_value());
  return statistics;
}

/// How many have answered.
const auto answers = [](const Votes<double>& votes) { return static_cast<int>(votes.answered()); };

}  // namespace

TEST_CASE("submit computes nothing, and workers do", "[ensemble]") {
  const ManualExecutor executor;
  int ran = 0;
  const auto count = [&ran] {
    ++ran;
    CHECK(galley::Worker::current() != nullptr);
  };
  const auto graph = ensemble(executor, Mean{}, {doing("a", count), doing("b", count)});
  CHECK_FALSE(graph.traits().inline_only);
  BatchEar<double> ear;
  graph.submit_rows(Rows<int>{1, 2}, {}, ear.listen(2));
  CHECK(ran == 0);
  executor.run_ready();
  CHECK(ran == 4);
  REQUIRE(ear.answers == 1);
  CHECK(ear.heard.survivors() == Rows<double>{1, 2});
}

TEST_CASE("serve runs what no worker has begun, and leaves nothing undone", "[ensemble]") {
  const ManualExecutor executor;
  const auto graph = ensemble(executor, Mean{}, {plus("a", 1), plus("b", 2), plus("c", 6)},
                              {.fork = Fork::always});
  CHECK(graph.serve(1) == Result<double>(4.0));  // without anybody running the executor
  CHECK(executor.pending() == 1);                // a lane that finds nothing to do
  executor.run_ready();
  CHECK(graph.serve_rows(Rows<int>{1, 2}).survivors() == Rows<double>{4, 5});
  CHECK(statistics_of(graph).forked == 2);
  executor.run_ready();
}

TEST_CASE("members are asked in turn until forking is known to pay", "[ensemble]") {
  const ManualExecutor executor;
  const galley::Duration cost = 1ms;
  const auto slow = [&] { executor.pass(cost); };
  const auto graph = ensemble(executor, Mean{}, {doing("a", slow), doing("b", slow)});
  CHECK(graph.serve(1).has_value());
  CHECK(statistics_of(graph).inline_runs == 1);
  CHECK(graph.serve(1).has_value());
  CHECK(statistics_of(graph).forked == 1);
  executor.run_ready();
  const auto quick = ensemble(executor, Mean{}, {plus("a", 1), plus("b", 2)});
  for (int i = 0; i < 5; ++i) CHECK(quick.serve(i).has_value());
  CHECK(statistics_of(quick).inline_runs == 5);
  const auto never =
      ensemble(executor, Mean{}, {doing("a", slow), doing("b", slow)}, {.fork = Fork::never});
  for (int i = 0; i < 3; ++i) CHECK(never.serve(i).has_value());
  CHECK(statistics_of(never).inline_runs == 3);
}

TEST_CASE("a cut-off leaves stragglers out, and their late answers change nothing", "[ensemble]") {
  const ManualExecutor executor;
  const auto alive = std::make_shared<int>(0);
  std::vector<galley::Completion<double>> kept;
  std::optional graph = ensemble(executor, answers,
                                 {galley::on(executor, plus("a", 1)),
                                  Servable("slow",
                                           [&kept, alive](int, galley::Completion<double> done) {
                                             kept.push_back(std::move(done));
                                           })},
                                 {.quorum = 1, .cut_off = 5ms});
  BatchEar<int> ear;
  graph->submit_rows(Rows<int>{1, 2}, {}, ear.listen(2));
  executor.run_ready();
  CHECK(ear.answers == 0);
  executor.advance(4ms);
  CHECK(ear.answers == 0);
  executor.advance(1ms);
  REQUIRE(ear.answers == 1);
  CHECK(ear.heard.survivors() == Rows<int>{1, 1});
  const EnsembleStatistics seen = statistics_of(*graph);
  CHECK(seen.members[0].answered == 2);
  CHECK(seen.members[1].cut_off == 2);
  CHECK(graph->serve(3) == Result<int>(1));  // waits as long
  graph.reset();
  CHECK(alive.use_count() > 1);  // what is late owns what it touches
  for (auto& done : kept) done(7.0);
  kept.clear();
  executor.run_all();
  CHECK(ear.answers == 1);
  CHECK(alive.use_count() == 1);
}

TEST_CASE("too few at the cut-off is deadline_exceeded, unless a default stands in", "[ensemble]") {
  const ManualExecutor executor;
  std::vector<galley::Completion<double>> kept;
  const Servable<int, double> slow(
      "slow", [&kept](int, galley::Completion<double> done) { kept.push_back(std::move(done)); });
  const auto strict = ensemble(executor, Mean{}, {plus("a", 1), slow}, {.cut_off = 5ms});
  CHECK(strict.serve(1).error() == Error(Status::deadline_exceeded,
                                         "fewer than 2 of 2 members answered: member \"slow\": no "
                                         "answer before the vote was closed"));
  const auto mild =
      ensemble(executor, Mean{}, {member(plus("a", 1)), member(slow, 10.0)}, {.cut_off = 5ms});
  CHECK(mild.serve(2) == Result<double>(6.5));
}

TEST_CASE("members not begun at the cut-off are not started", "[ensemble]") {
  const ManualExecutor executor;
  std::string ran;
  const auto work = [&](char who, galley::Duration takes) {
    return [&ran, &executor, who, takes] {
      ran += who;
      executor.pass(takes);
    };
  };
  const auto graph =
      ensemble(executor, answers,
               {doing("a", work('a', 3ms)), doing("b", work('b', 3ms)), doing("c", work('c', 3ms))},
               {.quorum = 1, .cut_off = 5ms, .fork = Fork::never});
  BatchEar<int> ear;
  graph.submit(1, {}, ear.listen());
  executor.run_all();
  CHECK(ran == "ab");
  CHECK(ear.value() == 2);
  ran.clear();
  CHECK(graph.serve(1) == Result<int>(2));
  CHECK(ran == "ab");
  ran.clear();
  graph.submit(1, {}, ear.listen());
  executor.pass(6ms);  // before any worker came
  executor.run_all();
  CHECK(ran.empty());
  CHECK(ear.answers == 2);
  CHECK(ear.heard[0].status() == Status::deadline_exceeded);
}

TEST_CASE("the deadline closes the vote with what was answered", "[ensemble]") {
  const ManualExecutor executor;
  std::vector<galley::Completion<double>> kept;
  const Servable<int, double> slow(
      "slow", [&kept](int, galley::Completion<double> done) { kept.push_back(std::move(done)); });
  const auto graph = ensemble(executor, answers, {plus("a", 1), slow}, {.quorum = 1});
  BatchEar<int> ear;
  graph.submit(1, {.deadline = executor.now() + 3ms}, ear.listen());
  executor.run_all();
  REQUIRE(ear.answers == 1);
  CHECK(ear.value() == 1);
  CHECK(graph.serve(1, {.deadline = executor.now() + 3ms}) == Result<int>(1));
  const auto both = ensemble(executor, answers, {plus("a", 1), slow});
  CHECK(both.serve(1, {.deadline = executor.now() + 3ms}).status() == Status::deadline_exceeded);
}

TEST_CASE("a decided vote is answered at once, and the rest is not started", "[ensemble]") {
  const ManualExecutor executor;
  std::vector<std::string> asked;
  const auto label = [&asked](std::string name, int value) {
    return map(name, [&asked, name, value](int) {
      asked.push_back(name);
      return value;
    });
  };
  const auto graph =
      ensemble(executor, MajorityVote{},
               {label("a", 1), label("b", 1), label("c", 2), label("d", 1), label("e", 2)},
               {.fork = Fork::never});
  BatchEar<int> ear;
  graph.submit(0, {}, ear.listen());
  executor.run_ready();
  CHECK(ear.value() == 1);
  CHECK(asked == std::vector<std::string>{"a", "b", "c", "d"});
  CHECK(statistics_of(graph).members[4].cut_off == 1);
  // A vote that is decided does not wait for a member that never answers.
  std::vector<galley::Completion<int>> kept;
  const Servable<int, int> never(
      "never", [&kept](int, galley::Completion<int> done) { kept.push_back(std::move(done)); });
  const auto early = ensemble(executor, MajorityVote{}, {never, label("f", 4), label("g", 4)});
  CHECK(early.serve(0) == Result<int>(4));
  early.submit(0, {}, ear.listen());
  executor.run_ready();
  CHECK(ear.answers == 2);
}

TEST_CASE("a batch waits until all its rows are decided", "[ensemble]") {
  const ManualExecutor executor;
  std::vector<BatchCompletion<int>> kept;
  const Servable<int, int> last(
      "last", [&kept](Rows<int>, BatchCompletion<int> done) { kept.push_back(std::move(done)); });
  const auto one = map("one", [](int) { return 1; });
  const auto same = map("same", [](int n) { return n; });
  const auto graph = ensemble(executor, MajorityVote{}, {one, same, last});
  BatchEar<int> ear;
  graph.submit_rows(Rows<int>{1, 2}, {}, ear.listen(2));
  executor.run_ready();
  CHECK(ear.answers == 0);
  kept[0](Outcomes<int>(Rows<int>{2, 2}));
  REQUIRE(ear.answers == 1);
  CHECK(ear.heard.survivors() == Rows<int>{1, 2});
}

TEST_CASE("a shutdown answers what waits, and serve computes by itself", "[ensemble]") {
  const ManualExecutor executor;
  const auto graph =
      ensemble(executor, Mean{}, {plus("a", 1), plus("b", 3)}, {.fork = Fork::always});
  BatchEar<double> queued, late;
  graph.submit(1, {}, queued.listen());
  executor.shutdown();
  CHECK(queued.status() == Status::unavailable);
  CHECK(queued.heard[0].error().detail ==
        "fewer than 2 of 2 members answered: member \"a\": the executor was shut down");
  graph.submit(1, {}, late.listen());
  CHECK(late.status() == Status::unavailable);
  CHECK(graph.serve(1) == Result<double>(3.0));
  const auto cut = ensemble(executor, Mean{}, {plus("a", 1), plus("b", 3)}, {.cut_off = 1ms});
  CHECK(cut.serve(1).status() == Status::unavailable);
}

TEST_CASE("a shutdown while members run answers at once, and they still end safely", "[ensemble]") {
  const ManualExecutor executor;
  const auto alive = std::make_shared<int>(0);
  BatchEar<int> ear;
  {
    const auto graph = ensemble(executor, answers,
                                {plus("a", 1),
                                 doing("b",
                                       [&, alive] {
                                         executor.shutdown();
                                         CHECK(ear.answers == 1);
                                       }),
                                 plus("c", 1)},
                                {.quorum = 1});
    graph.submit(1, {}, ear.listen());
  }
  executor.run_ready();
  CHECK(ear.answers == 1);
  CHECK(ear.value() == 1);
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a completion may drop the graph that answers it", "[ensemble]") {
  const ManualExecutor executor;
  const auto alive = std::make_shared<int>(0);
  std::optional graph = ensemble(executor, Mean{}, {doing("a", [alive] {}), doing("b", [alive] {})},
                                 {.fork = Fork::always});
  int answered = 0;
  graph->submit(1, {.deadline = executor.now() + 1h}, [&](Result<double>) {
    ++answered;
    graph.reset();
  });
  executor.run_all();
  CHECK(answered == 1);
  CHECK(alive.use_count() == 1);
}

TEST_CASE("keys, contexts and rows reach members on any thread", "[ensemble]") {
  const ManualExecutor executor;
  std::vector<galley::Key> keys_seen;
  BatchEar<int> ear;
  {
    const auto look = galley::map_batch(
        "look", [&](const Rows<std::string>& rows, const galley::BatchContext& context) {
          for (const galley::Key key : context.keys()) keys_seen.push_back(key);
          Rows<double> sizes;
          for (const auto& row : rows) sizes.push_back(static_cast<double>(row.size()));
          CHECK(context.context().request_id == 7);
          return sizes;
        });
    const auto graph = ensemble(executor, answers, {look, galley::on(executor, look)});
    const std::vector<galley::Key> keys{42};
    graph.submit("a text that is long enough for the heap", {.request_id = 7}, ear.listen(),
                 {.keys = keys});
  }
  executor.run_ready();
  CHECK(ear.value() == 2);
  CHECK(keys_seen == std::vector<galley::Key>{42, 42});
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

TEST_CASE("a row that cannot be copied for other threads fails, and nothing is thrown",
          "[ensemble]") {
  const ManualExecutor executor;
  const auto look = map("look", [](const Fragile& f) { return f.value * 1.0; });
  const auto graph = ensemble(executor, Mean{}, {look, galley::on(executor, look)});
  const Fragile bad(13), good(1);
  CHECK(graph.serve(bad).status() == Status::internal);
  CHECK(graph.serve(good) == Result<double>(1.0));
  const auto sync = ensemble(Mean{}, {look, look});
  CHECK(sync.serve(bad) == Result<double>(13.0));  // asked in turn, nothing is copied
}

TEST_CASE("an ensemble whose waiting nobody can end answers failed_precondition", "[ensemble]") {
  const ManualExecutor executor;
  std::vector<galley::Completion<double>> kept;
  const Servable<int, double> never(
      "never", [&kept](int, galley::Completion<double> done) { kept.push_back(std::move(done)); });
  const auto graph = ensemble(executor, Mean{}, {never, plus("a", 1)});
  CHECK(graph.serve(1).status() == Status::failed_precondition);
}

TEST_CASE("an ensemble on an executor describes how it votes", "[ensemble]") {
  const ManualExecutor executor;
  const auto graph = ensemble(executor, First{}, {plus("a", 1), plus("b", 2)}, {.cut_off = 5ms});
  using Options = std::vector<std::pair<std::string, std::string>>;
  CHECK(graph.describe().options == Options{{"combiner", "first"},
                                            {"quorum", "0"},
                                            {"cut_off", "5000000 ns"},
                                            {"fork", "when_it_pays"}});
  CHECK_FALSE(graph.traits().deterministic);
}
