// Law 3 for batchers: whatever the policy and the order of tasks, the answers are the graph's own.
#include <support/batching.hpp>

#include <laws/graphs.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include <support/catch.hpp>

using galley::Context;
using galley::Key;
using galley::ManualExecutor;
using galley::TaskOrder;
using namespace laws;
using namespace std::chrono_literals;

namespace {

struct Asked {
  Rows<int> rows;
  support::IntEar ear;
};

/// Requests of every size, priority and deadline, with keys and without, submitted and served.
int first_wrong_request(GraphMaker& make, const ManualExecutor& executor, const Graph& graph,
                        const Servable<int, int>& batched) {
  std::vector<std::unique_ptr<Asked>> all;
  const int requests = 1 + make.number(8);
  for (int i = 0; i < requests; ++i) {
    Asked& asked = *all.emplace_back(std::make_unique<Asked>());
    asked.rows = make.rows(make.number(4) == 0 ? 20 : 2);
    const std::size_t n = asked.rows.size();
    Context context{.priority = make.number(4) == 0 ? make.number(3) : 0,
                    .request_id = static_cast<std::uint64_t>(i)};
    if (make.number(3) == 0) context.deadline = executor.now() + 1h * (1 + make.number(5));
    std::vector<Key> keys;
    if (make.number(4) == 0) keys.assign(n, static_cast<Key>(make.number(3)));
    if (make.number(5) == 0) {
      asked.ear.listen(n)(batched.serve_rows(asked.rows, context, {.keys = keys}));
    } else {
      batched.submit_rows(Rows<int>(asked.rows), context, asked.ear.listen(n), {.keys = keys});
    }
    if (make.number(3) == 0) executor.run_one();
    if (make.number(6) == 0) executor.advance(1ms);
  }
  executor.run_all();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Asked& asked = *all[i];
    const bool once = asked.ear.answers == 1;
    if (!once || first_wrong(asked.rows, asked.ear.heard, graph.reference) != -1) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

}  // namespace

TEST_CASE("a batcher answers as its graph does, whatever the policy and the order", "[laws]") {
  constexpr unsigned seeds = 1100;
  int cases = 0;
  for (unsigned seed = 1; seed <= seeds; ++seed) {
    for (int way = 0; way < batchings; ++way) {
      for (const TaskOrder order : {TaskOrder::posted, TaskOrder::shuffled}) {
        CAPTURE(seed, way, order == TaskOrder::shuffled);
        const ManualExecutor executor({.seed = seed, .order = order});
        GraphMaker make(seed, executor);
        const Graph graph = make.graph(2);
        const auto batched = batched_by(way, executor, graph.servable, make.options());
        REQUIRE(first_wrong_request(make, executor, graph, batched) == -1);
        REQUIRE(executor.pending() == 0);
        ++cases;
      }
    }
  }
  CHECK(cases >= 10'000);
}

TEST_CASE("rows that expire or are stopped in a batcher answer so, and the others are not moved",
          "[laws]") {
  for (unsigned seed = 1; seed <= 1000; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor({.seed = seed, .order = TaskOrder::shuffled});
    GraphMaker make(seed, executor);
    const Graph graph = make.graph(2);
    const auto batched =
        batched_by(make.number(batchings), executor, graph.servable, make.options());
    std::vector<std::unique_ptr<Asked>> all;
    std::vector<std::stop_source> stops(12);
    std::vector<bool> hurried;
    for (std::size_t i = 0; i < stops.size(); ++i) {
      Asked& asked = *all.emplace_back(std::make_unique<Asked>());
      asked.rows = make.rows(5);
      Context context{.stop = stops[i].get_token()};
      hurried.push_back(make.number(2) == 0);
      if (hurried[i]) context.deadline = executor.now() + 1us * make.number(2000);
      batched.submit_rows(Rows<int>(asked.rows), context, asked.ear.listen(asked.rows.size()));
      if (make.number(3) == 0) stops[static_cast<std::size_t>(make.number(12))].request_stop();
      if (make.number(4) == 0) executor.run_one();
      if (make.number(4) == 0) executor.advance(1us * make.number(700));
    }
    executor.run_all();
    for (std::size_t i = 0; i < stops.size(); ++i) {
      const Asked& asked = *all[i];
      REQUIRE(asked.ear.answers == 1);
      REQUIRE(asked.ear.heard.size() == asked.rows.size());
      for (std::size_t r = 0; r < asked.rows.size(); ++r) {
        const auto got = asked.ear.heard[r];
        const bool given_up = (stops[i].stop_requested() && got.status() == Status::cancelled) ||
                              (hurried[i] && (got.status() == Status::deadline_exceeded ||
                                              got.status() == Status::resource_exhausted));
        REQUIRE((given_up || agrees(got, graph.reference(asked.rows[r]))));
      }
    }
  }
}
