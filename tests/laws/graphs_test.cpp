// The laws of DESIGN section 3, on generated graphs, against a row-by-row reference.
#include <galley/core/future.hpp>

#include <laws/graphs.hpp>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <vector>

#include <support/catch.hpp>

using galley::BatchContext;
using galley::Context;
using galley::Key;
using galley::ManualExecutor;
using galley::RequestRun;
using galley::RowIndex;
using namespace laws;
using namespace std::chrono_literals;

namespace {

ManualExecutor shuffled(unsigned seed) {
  return ManualExecutor({.seed = seed, .order = galley::TaskOrder::shuffled});
}

/// What `submit_rows` answers, and how often.
struct Heard {
  int answers = 0;
  Outcomes<int> outcomes;
};

Heard submitted(const ManualExecutor& executor, const Servable<int, int>& servable,
                const Rows<int>& rows, const Context& context = {}) {
  Heard heard;
  servable.submit_rows(rows, context,
                       BatchCompletion<int>(rows.size(), [&](Outcomes<int> outcomes) {
                         ++heard.answers;
                         heard.outcomes = std::move(outcomes);
                       }));
  executor.run_all();
  return heard;
}

}  // namespace

TEST_CASE("a row's outcome is the same alone, in any batch and in any order", "[laws]") {
  for (unsigned seed = 1; seed <= 600; ++seed) {
    const ManualExecutor executor = shuffled(seed);
    GraphMaker make(seed, executor);
    const Graph graph = make.graph(3);
    const Rows<int> rows = make.rows(9);
    CAPTURE(seed, graph.servable.name());
    REQUIRE(first_wrong(rows, graph.servable.serve_rows(rows), graph.reference) == -1);
    REQUIRE(first_wrong(rows, graph.servable.serve_rows(rows.span()), graph.reference) == -1);
    REQUIRE(first_wrong(rows, graph.servable.serve_rows(Rows<int>(rows)), graph.reference) == -1);
    for (int n : rows) REQUIRE(agrees(graph.servable.serve(n), graph.reference(n)));
    std::vector<RowIndex> order(rows.size());
    std::iota(order.begin(), order.end(), RowIndex{0});
    std::shuffle(order.begin(), order.end(), std::mt19937(seed));
    const Rows<int> permuted = rows.select(order);
    REQUIRE(first_wrong(permuted, graph.servable.serve_rows(permuted), graph.reference) == -1);
  }
}

TEST_CASE("serve, submit and futures give the same answers, each row once", "[laws]") {
  for (unsigned seed = 1001; seed <= 1600; ++seed) {
    const ManualExecutor executor = shuffled(seed);
    GraphMaker make(seed, executor);
    const Graph graph = make.graph(3);
    const Rows<int> rows = make.rows(7);
    CAPTURE(seed, graph.servable.name());
    const Heard heard = submitted(executor, graph.servable, rows);
    REQUIRE(heard.answers == 1);
    REQUIRE(first_wrong(rows, heard.outcomes, graph.reference) == -1);
    auto all = galley::submit_rows_future(graph.servable, rows);
    std::vector<std::future<Result<int>>> each;
    for (int n : rows) each.push_back(galley::submit_future(graph.servable, n));
    executor.run_all();
    REQUIRE(first_wrong(rows, all.get(), graph.reference) == -1);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      REQUIRE(agrees(each[i].get(), graph.reference(rows[i])));
    }
    REQUIRE(executor.pending() == 0);
  }
}

TEST_CASE("rows of many requests merged answer as each request alone", "[laws]") {
  for (unsigned seed = 2001; seed <= 2400; ++seed) {
    const ManualExecutor executor = shuffled(seed);
    GraphMaker make(seed, executor);
    const Graph graph = make.graph(3);
    const Rows<int> rows = make.rows(9);
    if (rows.empty()) continue;
    std::vector<Context> contexts(rows.size());
    std::vector<RequestRun> runs;
    std::vector<bool> expired;
    for (std::size_t first = 0; first < rows.size();) {
      const auto count =
          std::min<std::size_t>(rows.size() - first, static_cast<std::size_t>(make.number(3)));
      Context& context = contexts[first];
      const bool late = make.number(3) == 0;
      context.deadline = late ? executor.now() - 1ns : executor.now() + 1h;
      runs.push_back({&context, static_cast<RowIndex>(count)});
      expired.insert(expired.end(), count, late);
      first += count;
    }
    const std::vector<Key> keys(rows.size(), 7);
    const BatchContext merged(
        runs, make.number(2) == 0 ? std::span<const Key>(keys) : std::span<const Key>());
    const Outcomes<int> outcomes = graph.servable.serve_batch(Batch<int>(rows), merged);
    CAPTURE(seed, graph.servable.name());
    REQUIRE(outcomes.size() == rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      CAPTURE(i);
      if (expired[i]) {
        REQUIRE(outcomes[i].status() == Status::deadline_exceeded);
      } else {
        REQUIRE(agrees(outcomes[i], graph.reference(rows[i])));
      }
    }
  }
}

TEST_CASE("pipelines associate, and the identity changes nothing", "[laws]") {
  for (unsigned seed = 3001; seed <= 3500; ++seed) {
    const ManualExecutor executor = shuffled(seed);
    GraphMaker make(seed, executor);
    const Graph a = make.graph(1), b = make.graph(1), c = make.graph(2);
    const Reference all = GraphMaker::then(a.reference, GraphMaker::then(b.reference, c.reference));
    const auto same = galley::map("same", [](int n) { return n; });
    const std::vector<Servable<int, int>> bracketings{
        (a.servable | b.servable) | c.servable, a.servable | (b.servable | c.servable),
        same | a.servable | b.servable | c.servable, a.servable | same | (b.servable | c.servable),
        a.servable | (b.servable | (c.servable | same))};
    const Rows<int> rows = make.rows(8);
    for (const auto& servable : bracketings) {
      CAPTURE(seed, servable.name());
      REQUIRE(first_wrong(rows, servable.serve_rows(rows), all) == -1);
      const Heard heard = submitted(executor, servable, rows);
      REQUIRE(heard.answers == 1);
      REQUIRE(first_wrong(rows, heard.outcomes, all) == -1);
    }
  }
}

TEST_CASE("a request that is late or stopped answers so, whatever the graph", "[laws]") {
  for (unsigned seed = 4001; seed <= 4300; ++seed) {
    const ManualExecutor executor = shuffled(seed);
    GraphMaker make(seed, executor);
    const Graph graph = make.graph(3);
    const Rows<int> rows = make.rows(5);
    std::stop_source stop;
    stop.request_stop();
    const Context late{.deadline = executor.now()};
    const Context stopped{.stop = stop.get_token()};
    CAPTURE(seed, graph.servable.name());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      REQUIRE(graph.servable.serve_rows(rows, late)[i].status() == Status::deadline_exceeded);
      REQUIRE(graph.servable.serve_rows(rows, stopped)[i].status() == Status::cancelled);
      REQUIRE(submitted(executor, graph.servable, rows, late).outcomes[i].status() ==
              Status::deadline_exceeded);
    }
  }
}

TEST_CASE("no stage ever sees a later deadline than the request's", "[laws]") {
  for (unsigned seed = 5001; seed <= 5200; ++seed) {
    const ManualExecutor executor = shuffled(seed);
    GraphMaker make(seed, executor);
    const galley::Instant deadline = executor.now() + 1h;
    int seen = 0;
    const auto spy = galley::map("spy", [&](int n, const Context& context) {
      ++seen;
      CHECK(context.deadline <= deadline);
      CHECK(context.request_id == 77);
      return n;
    });
    const Graph a = make.graph(2), b = make.graph(2);
    const auto servable = spy | a.servable | spy | galley::on(executor, b.servable | spy) | spy;
    const Rows<int> rows = make.rows(5);
    CAPTURE(seed, servable.name());
    const Context context{.deadline = deadline, .request_id = 77};
    REQUIRE(first_wrong(rows, servable.serve_rows(rows, context),
                        GraphMaker::then(a.reference, b.reference)) == -1);
    REQUIRE(seen >= static_cast<int>(rows.size()));
  }
}
