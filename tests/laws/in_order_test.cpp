// The law of in_order: whatever it encloses, completions come as requests were submitted.
#include <laws/graphs.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stop_token>
#include <vector>

#include <support/catch.hpp>

using galley::Context;
using galley::ManualExecutor;
using galley::TaskOrder;
using namespace laws;
using namespace std::chrono_literals;

TEST_CASE("completions come in the order of the requests, with the graph's own answers", "[laws]") {
  int moved = 0;
  for (unsigned seed = 1; seed <= 2000; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor({.seed = seed, .order = TaskOrder::shuffled});
    GraphMaker make(seed, executor);
    const Graph graph = make.graph(2);
    const auto batched =
        batched_by(make.number(batchings), executor, graph.servable, make.options());
    const auto ordered = galley::in_order(batched);
    constexpr std::size_t requests = 12;
    std::vector<std::stop_source> stops(requests);
    std::vector<std::size_t> delivered, as_it_comes;
    int wrong = 0;
    for (std::size_t i = 0; i < requests; ++i) {
      const Rows<int> rows = make.rows(4);
      if (rows.empty()) continue;  // answered at once, in nobody's order
      const bool stops_it = make.number(6) == 0, hurried = make.number(4) == 0;
      Context context{.priority = make.number(3)};
      if (stops_it) context.stop = stops[i].get_token();
      if (hurried) context.deadline = executor.now() + 1us * make.number(2000);
      const auto hear = [&, i, rows, stops_it, hurried](const Outcomes<int>& outcomes) {
        delivered.push_back(i);
        for (std::size_t r = 0; r < rows.size(); ++r) {
          const Status status = outcomes[r].status();
          const bool given_up = (stops_it && status == Status::cancelled) ||
                                (hurried && (status == Status::deadline_exceeded ||
                                             status == Status::resource_exhausted));
          if (!given_up && !agrees(outcomes[r], graph.reference(rows[r]))) ++wrong;
        }
      };
      ordered.submit_rows(Rows<int>(rows), context, BatchCompletion<int>(rows.size(), hear));
      batched.submit_rows(Rows<int>(rows), context,
                          BatchCompletion<int>(rows.size(), [&as_it_comes, i](Outcomes<int>) {
                            as_it_comes.push_back(i);
                          }));
      if (make.number(3) == 0) stops[static_cast<std::size_t>(make.number(12))].request_stop();
      if (make.number(4) == 0) executor.run_one();
      if (make.number(4) == 0) executor.advance(1us * make.number(700));
    }
    executor.run_all();
    REQUIRE(delivered.size() == as_it_comes.size());
    REQUIRE(std::ranges::is_sorted(delivered));
    REQUIRE(wrong == 0);
    if (!std::ranges::is_sorted(as_it_comes)) ++moved;
  }
  CHECK(moved > 500);  // what it encloses did answer out of order
}
