#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/compose/route.hpp>
#include <galley/core/slot.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/allocations.hpp>
#include <support/batching.hpp>
#include <support/rows.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::always;
using galley::by_context;
using galley::by_weight;
using galley::Error;
using galley::Key;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::route;
using galley::RouteStatistics;
using galley::RouteView;
using galley::RouteWeights;
using galley::Rows;
using galley::Servable;
using galley::SetWeights;
using galley::Status;
using galley::sticky;
using support::BatchLog;
using support::IntEar;
using support::logged;
using namespace std::chrono_literals;

namespace {

Servable<int, int> plus(int by) {
  return galley::map("plus " + std::to_string(by), [by](int n) { return n + by; });
}

bool is_odd(int n) {
  return n % 2 != 0;
}

RouteStatistics statistics_of(const Servable<int, int>& graph) {
  RouteStatistics statistics;
  REQUIRE(graph.control("", statistics).has_value());
  return statistics;
}

using Counts = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("each row goes to the arm its rule names, and outcomes come back in order", "[route]") {
  const auto low = std::make_shared<BatchLog>(), high = std::make_shared<BatchLog>();
  const auto graph =
      route([](int n) -> std::size_t { return n < 10 ? 0 : 1; }, {logged(low), logged(high)});
  const Outcomes<int> out = graph.serve_rows(Rows<int>{1, 20, -3, 4, 30});
  REQUIRE(out.size() == 5);
  CHECK(*out[0] == 10);
  CHECK(*out[1] == 200);
  CHECK(out[2].status() == Status::invalid_argument);
  CHECK(*out[3] == 40);
  CHECK(*out[4] == 300);
  CHECK(low->batches == std::vector<std::vector<int>>{{1, -3, 4}});
  CHECK(high->batches == std::vector<std::vector<int>>{{20, 30}});
  CHECK(statistics_of(graph).rows == Counts{3, 2});
  CHECK(graph.serve_rows(Rows<int>()).empty());
}

TEST_CASE("an arm is a number, an enumerator, a bool, a label or a result of one", "[route]") {
  enum class Arm { first, second };
  const std::initializer_list<Servable<int, int>> arms{plus(0), plus(100)};
  const auto ask = [](const Servable<int, int>& graph) { return *graph.serve(1); };
  CHECK(ask(route([](int) { return 1; }, arms)) == 101);
  CHECK(ask(route([](int) { return Arm::second; }, arms)) == 101);
  CHECK(ask(route(is_odd, arms)) == 101);
  CHECK(ask(route([](int) { return "plus 100"; }, arms)) == 101);
  CHECK(ask(route([](int) -> std::string_view { return "b"; }, arms, {.labels = {"a", "b"}})) ==
        101);
  CHECK(ask(route([](int) -> Result<std::size_t> { return std::size_t{1}; }, arms)) == 101);
  CHECK(ask(route([](int) -> Result<std::string> { return std::string("plus 100"); }, arms)) ==
        101);
  CHECK(ask(route([](const auto&) { return 1U; }, arms)) == 101);
  CHECK(ask(route([](int, const RouteView& view) { return view.arms - 1; }, arms)) == 101);
}

TEST_CASE("a rule that throws, refuses or misses fails its row alone", "[route]") {
  const auto graph = route(
      [](int n) -> Result<int> {
        if (n == 1) throw std::runtime_error("boom");
        if (n == 2) return Error(Status::not_found, "nobody");
        if (n == 3) return 7;
        if (n == 4) return -1;
        return n % 2;
      },
      {plus(0), plus(100)}, {.name = "r"});
  const Outcomes<int> out = graph.serve_rows(Rows<int>{5, 1, 2, 3, 4, 6});
  CHECK(*out[0] == 105);
  CHECK(out[1].error() == Error(Status::internal, "r: threw: boom"));
  CHECK(out[2].error() == Error(Status::not_found, "r: nobody"));
  CHECK(out[3].error() ==
        Error(Status::internal, "r: a row was sent to arm 7, expected one below 2"));
  CHECK(out[4].status() == Status::internal);
  CHECK(*out[5] == 6);
  CHECK(graph.serve(1).status() == Status::internal);
  CHECK(statistics_of(graph).refused == 5);
  const auto unknown = route([](int) { return "c"; }, {plus(0)}, {.name = "r", .labels = {"a"}});
  CHECK(unknown.serve(0).error() ==
        Error(Status::internal, "r: the rule answered \"c\", expected one of \"a\""));
}

TEST_CASE("where all rows go one way the arm sees the batch as it is", "[route]") {
  const Rows<int>* seen = nullptr;
  const auto look = galley::map_batch("look", [&seen](const galley::Batch<int>& batch) {
    seen = batch.whole();
    return batch.to_rows();
  });
  const auto copies = galley::map("copy", [](const support::Counted& c) { return c.value; });
  const Rows<int> rows{1, 3, 5};
  (void)route(is_odd, {plus(0), look}).serve_rows(rows);
  CHECK(seen == &rows);
  const Rows<support::Counted> counted{support::Counted(1), support::Counted(2)};
  support::Counted::copies = 0;
  const auto split =
      route([](const support::Counted& c) { return c.value == 1; }, {copies, copies});
  CHECK(*split.serve_rows(counted)[1] == 2);
  CHECK(support::Counted::copies == 0);

  const auto by_rule = route(is_odd, {plus(0), plus(1)});
  const auto by_chance = route(by_weight({1, 0}), {plus(0), plus(1)});
  const auto by_key = route(sticky({1, 1}), {plus(0), plus(1)});
  const auto fixed = route(always(0), {plus(0), plus(1)});
  const std::vector<Key> keys{5};
  (void)by_rule.serve(1);
  const support::AllocationCount count;
  for (int i = 0; i < 10; ++i) {
    (void)by_rule.serve(i);
    (void)by_chance.serve(i);
    (void)by_key.serve(i, {}, {.keys = keys});
    (void)fixed.serve(i);
  }
  CHECK(count.so_far() == 0);
}

TEST_CASE("rows of an arm keep their keys and contexts", "[route]") {
  const auto log = std::make_shared<BatchLog>();
  const ManualExecutor executor;
  const auto graph =
      galley::batched(executor, route(is_odd, {plus(0), logged(log)}), support::always_queued);
  IntEar first, second;
  const std::vector<Key> keys{7, 8, 9}, more{10};
  graph.submit_rows(Rows<int>{1, 2, 3}, {.request_id = 1}, first.listen(3), {.keys = keys});
  graph.submit_rows(Rows<int>{5}, {.request_id = 2}, second.listen(1), {.keys = more});
  executor.run_all();
  CHECK(log->batches == std::vector<std::vector<int>>{{1, 3, 5}});
  CHECK(log->keys == std::vector<std::vector<Key>>{{7, 9, 10}});
  CHECK(log->requests == std::vector<std::vector<std::uint64_t>>{{1, 1, 2}});
  CHECK(first.value(1) == 2);
  CHECK(second.value() == 50);
}

TEST_CASE("a sticky route needs keys, and sends rows of one key one way", "[route]") {
  const auto graph = route(sticky({1, 1}), {plus(0), plus(100)}, {.name = "r"});
  const Result<int> without = graph.serve(1);
  CHECK(without.status() == Status::invalid_argument);
  std::vector<Key> keys;
  Rows<int> rows;
  for (Key key = 0; key < 64; ++key) {
    keys.insert(keys.end(), 2, key);
    rows.push_back(0);
    rows.push_back(0);
  }
  const Outcomes<int> out = graph.serve_rows(rows, {}, {.keys = keys});
  for (std::size_t i = 0; i < rows.size(); i += 2) CHECK(*out[i] == *out[i + 1]);
  const auto statistics = statistics_of(graph);
  CHECK(statistics.rows[0] > 30);
  CHECK(statistics.rows[1] > 30);
  CHECK(statistics.refused == 1);
}

TEST_CASE("the same seed and order of rows draw the same split, another seed another", "[route]") {
  const auto drawn = [](std::uint64_t seed) {
    const auto graph = route(by_weight({1, 1}), {plus(0), plus(1)}, {.seed = seed});
    std::vector<int> all;
    for (int i = 0; i < 50; ++i) all.push_back(*graph.serve(0));
    const Outcomes<int> more = graph.serve_rows(Rows<int>{0, 0, 0, 0, 0, 0, 0, 0});
    for (std::size_t i = 0; i < 8; ++i) all.push_back(*more[i]);
    return all;
  };
  CHECK(drawn(1) == drawn(1));
  CHECK(drawn(1) != drawn(2));
}

TEST_CASE("the key may be a part of the row", "[route]") {
  const auto graph =
      route(galley::by_key([](int n) { return n % 8; }, sticky({1, 1})), {plus(0), plus(100)});
  std::vector<int> added(8);
  for (int n = 0; n < 8; ++n) added[static_cast<std::size_t>(n)] = *graph.serve(n) - n;
  for (int n = 8; n < 80; ++n) CHECK(*graph.serve(n) - n == added[static_cast<std::size_t>(n % 8)]);
  SetWeights second{{0, 1}};
  REQUIRE(graph.control("", second).has_value());
  CHECK(*graph.serve(1) == 101);
  CHECK(graph.describe().options.front().second == "by_key");
}

TEST_CASE("weights may depend on the request", "[route]") {
  const auto graph = route(by_context([](const RouteView& row) {
                             if (row.priority == 2) throw std::runtime_error("two");
                             return row.priority > 0 ? RouteWeights{0, 1} : RouteWeights{1, 0};
                           }),
                           {plus(0), plus(100)}, {.name = "r"});
  CHECK(*graph.serve(1) == 1);
  CHECK(*graph.serve(1, {.priority = 1}) == 101);
  CHECK(graph.serve(1, {.priority = 2}).error() == Error(Status::internal, "r: threw: two"));
}

TEST_CASE("weights are set while it serves", "[route]") {
  const auto graph = route(by_weight({1, 0}), {plus(0), plus(100)}, {.labels = {"old", "new"}});
  CHECK(*graph.serve(1) == 1);
  SetWeights all_new{{0, 5}};
  CHECK(graph.control("", all_new).has_value());
  CHECK(*graph.serve(1) == 101);
  SetWeights wrong{{1, 2, 3}};
  CHECK(graph.control("", wrong).status() == Status::invalid_argument);
  SetWeights none{{0, 0}};
  CHECK(graph.control("", none).status() == Status::invalid_argument);
  CHECK(*graph.serve(1) == 101);
  const auto about = graph.describe();
  CHECK(about.options ==
        std::vector<std::pair<std::string, std::string>>{
            {"by", "by_weight"}, {"labels", "old, new"}, {"weights", "0, 5"}, {"seed", "1"}});
  CHECK(statistics_of(graph).labels == std::vector<std::string>{"old", "new"});
  CHECK(statistics_of(graph).rows == Counts{1, 2});
  const auto by_rule = route(is_odd, {plus(0), plus(100)});
  CHECK(by_rule.control("", all_new).status() == Status::failed_precondition);
  int nothing = 0;
  CHECK(by_rule.control("", nothing).status() == Status::unimplemented);
  // From {1, 0} to {1, 1}: only moves to the second arm.
  const auto keyed = route(sticky({1, 0}), {plus(0), plus(100)});
  const std::vector<Key> keys{1, 2, 3, 4, 5, 6, 7, 8};
  const Rows<int> rows{0, 0, 0, 0, 0, 0, 0, 0};
  CHECK(*keyed.serve_rows(rows, {}, {.keys = keys})[7] == 0);
  SetWeights half{{1, 1}};
  CHECK(keyed.control("", half).has_value());
  CHECK(statistics_of(keyed).rows == Counts{8, 0});
  (void)keyed.serve_rows(rows, {}, {.keys = keys});
  CHECK(statistics_of(keyed).rows[1] > 0);
}

TEST_CASE("a route that cannot be says why", "[route]") {
  const auto why = [](const Servable<int, int>& graph) { return graph.check().error().detail; };
  CHECK(why(route(always(0), std::vector<Servable<int, int>>())) ==
        "route(): expected at least one arm, got none");
  CHECK(why(route(is_odd, {plus(0)}, {.name = "r", .labels = {"a", "b"}})) ==
        "r: options.labels: expected one for each of 1 arms, got 2");
  CHECK(why(route(by_weight({1, 2}), {plus(0)}, {.name = "r"})) ==
        "r: weights: expected one for each of 1 arms, at most 16, got 2");
  CHECK(route(by_weight({}), {plus(0)}).serve(1).status() == Status::ok);
  const auto broken = Servable<int, int>::broken("b", Error(Status::not_found, "no"));
  CHECK(why(route(is_odd, {plus(0), broken})) == "route(plus 0, b): b: no");
}

TEST_CASE("rows that can only be moved are moved to their arm", "[route]") {
  const ManualExecutor executor;
  const auto get = galley::map("get", [](const support::MoveOnly& row) { return row.get(); });
  const auto odd = [](const support::MoveOnly& row) { return row.get() % 2; };
  const auto graph = route(odd, {get, get});
  Rows<support::MoveOnly> rows;
  for (int i = 0; i < 4; ++i) rows.push_back(support::MoveOnly(i));
  const Outcomes<int> out = graph.serve_rows(std::move(rows));
  for (std::size_t i = 0; i < 4; ++i) CHECK(*out[i] == static_cast<int>(i));
}

TEST_CASE("a block of tensors is split into blocks and put together again", "[route]") {
  using galley::Tensor;
  std::vector<bool> dense;
  const auto arm = [&](float by) {
    return galley::map_batch("arm", [&dense, by](const Rows<Tensor>& rows) {
      dense.push_back(rows.block() != nullptr);
      Rows<float> out;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const Tensor row = rows[i];
        out.push_back(row.data<float>()[0] + by);
      }
      return out;
    });
  };
  const auto graph =
      route([](const Tensor& row) { return row.data<float>()[0] > 2; }, {arm(0), arm(100)});
  const auto rows = *Rows<Tensor>::of_block(*Tensor::copy_of({1.F, 5.F, 2.F, 7.F, 0.F}, {5, 1}));
  const Outcomes<float> out = graph.serve_rows(rows);
  const float wanted[] = {1, 105, 2, 107, 0};
  for (std::size_t i = 0; i < 5; ++i) CHECK(*out[i] == wanted[i]);
  CHECK(dense == std::vector<bool>{true, true});
}

TEST_CASE("what a route promises follows from its arms and from what it asks", "[route]") {
  const Servable<int, int> stateful("s", [](int n) { return n; }, {.stateful = true});
  CHECK(route(is_odd, {plus(0), stateful}).traits().stateful);
  CHECK(route(is_odd, {plus(0), plus(1)}).traits().deterministic);
  CHECK(route(always(1), {plus(0), plus(1)}).traits().deterministic);
  CHECK_FALSE(route(by_weight({1, 1}), {plus(0), plus(1)}).traits().deterministic);
  CHECK_FALSE(route(sticky({1, 1}), {plus(0), plus(1)}).traits().deterministic);
  CHECK(route(is_odd, {plus(0), plus(1)}).traits().inline_only);
  CHECK(route(is_odd, {plus(0), plus(1)}).name() == "route(plus 0, plus 1)");
  galley::SlotStatus status;
  CHECK(route(is_odd, {plus(0), galley::slot("slot", plus(1)).servable})
            .control("slot", status)
            .has_value());
}
