// Where the coroutines of a logic live, and when they end.
#include <galley/compose/logic.hpp>
#include <galley/compose/map.hpp>

#include <support/allocations.hpp>
#include <support/batching.hpp>
#include <support/logic.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <numeric>
#include <stop_token>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Completion;
using galley::logic;
using galley::Outcomes;
using galley::Result;
using galley::RowCaller;
using galley::Rows;
using galley::RowTask;
using galley::Servable;
using galley::Status;
using support::as_often;
using support::IntEar;
using support::second_for_odd;

TEST_CASE("frames of coroutines are taken from the pool, and a row allocates nothing", "[logic]") {
  const auto plus = galley::map("plus", [](int n) { return n + 1; });
  const auto graph = logic<int>("odd twice", second_for_odd, plus, plus);
  const auto cost_of = [&graph](int n) {
    Rows<int> rows(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) rows.push_back(10 * i);
    const support::AllocationCount count;
    CHECK(graph.serve_rows(std::move(rows)).all_ok());
    return count.so_far();
  };
  (void)cost_of(512);  // warm
  const std::size_t of_few = cost_of(16);
  CHECK(of_few < 16);
  CHECK(cost_of(512) == of_few);
  CHECK(cost_of(1) == 0);
}

TEST_CASE("a submitted row takes nothing from the heap", "[logic]") {
  std::vector<Completion<int>> owed;
  owed.reserve(8);
  const Servable<int, int> kept(
      "kept", [&owed](int, Completion<int> done) { owed.push_back(std::move(done)); });
  const auto graph = logic<int>("as often", as_often, kept);
  int answers = 0;
  const auto round = [&] {
    for (int i = 0; i < 4; ++i) graph.submit(2, {}, [&answers](const Result<int>&) { ++answers; });
    for (std::size_t i = 0; i < 8; ++i) owed[i](1);
    owed.clear();
  };
  round();
  const support::AllocationCount count;
  for (int i = 0; i < 10; ++i) round();
  CHECK(count.so_far() == 0);
  CHECK(answers == 44);
}

TEST_CASE("as many frames are kept as the options say", "[logic]") {
  const auto plus = galley::map("plus", [](int n) { return n + 1; });
  const auto graph = logic<int>("few", {.kept_frames = 10}, second_for_odd, plus, plus);
  const auto cost_of = [&graph](std::size_t n) {
    Rows<int> rows(n);
    for (std::size_t i = 0; i < n; ++i) rows.push_back(2);
    const support::AllocationCount count;
    CHECK(graph.serve_rows(std::move(rows)).all_ok());
    return count.so_far();
  };
  (void)cost_of(100);
  const std::size_t of_ten = cost_of(10);
  CHECK(cost_of(50) == of_ten + 40);
}

TEST_CASE("coroutines of unlike frames are pooled or not, and end alike", "[logic]") {
  struct Dispatch {
    static RowTask<int> slim(int n, RowCaller<int, int>& model) { co_return *co_await model(n); }
    static RowTask<int> wide(int n, RowCaller<int, int>& model) {
      std::array<int, 500> numbers{};
      for (int& number : numbers) number = *co_await model(n);
      co_return std::accumulate(numbers.begin(), numbers.end(), 0);
    }
    RowTask<int> operator()(int n, RowCaller<int, int>& model) const {
      return n % 2 == 0 ? slim(n, model) : wide(n, model);
    }
  };
  const auto graph = logic<int>("unlike", {.max_calls = 500}, Dispatch(),
                                galley::map("same", [](int n) { return n; }));
  for (int i = 0; i < 3; ++i) {
    const Outcomes<int> outcomes = graph.serve_rows(Rows<int>{2, 1, 4, 3});
    CHECK(*outcomes[0] == 2);
    CHECK(*outcomes[1] == 500);
    CHECK(*outcomes[3] == 1500);
  }
}

TEST_CASE("a request in flight owns the graph, and its coroutines end with it", "[logic]") {
  std::vector<Completion<int>> owed;
  owed.reserve(8);
  const auto alive = std::make_shared<int>(0);
  auto graph = std::make_unique<Servable<int, int>>(logic<int>(
      "kept",
      [alive](int n, auto& model) -> RowTask<int> {
        const std::shared_ptr<int> held = alive;
        const Result<int> found = co_await model(n);
        if (!found.has_value()) co_return found;
        co_return *found + *held;
      },
      Servable<int, int>("kept",
                         [&owed](int, Completion<int> done) { owed.push_back(std::move(done)); })));
  IntEar ear;
  graph->submit_rows(Rows<int>{1, 2}, {}, ear.listen(2));
  graph.reset();
  CHECK(alive.use_count() > 3);
  owed[0](5);
  owed[1] = {};
  CHECK(ear.value(0) == 5);
  CHECK(ear.status(1) == Status::cancelled);
  owed.clear();
  CHECK(alive.use_count() == 1);
}

TEST_CASE("coroutines that wait when their request ends are destroyed", "[logic]") {
  const auto alive = std::make_shared<int>(0);
  std::stop_source stop;
  const auto graph = logic<int>(
      "stopped",
      [alive](int n, auto& model) -> RowTask<int> {
        const std::shared_ptr<int> held = alive;
        for (;;) (void)co_await model(n);
        co_return *held;
      },
      galley::map("stops", [&stop](int n) {
        stop.request_stop();
        return n;
      }));
  const auto before = alive.use_count();
  CHECK(graph.serve(1, {.stop = stop.get_token()}).status() == Status::cancelled);
  CHECK(graph.serve(1).status() == Status::internal);
  CHECK(alive.use_count() == before);
}
