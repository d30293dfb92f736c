#include <galley/compose/filter.hpp>
#include <galley/compose/guard.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/policy/check/finite.hpp>
#include <galley/policy/check/shape_is.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/allocations.hpp>
#include <support/batching.hpp>
#include <support/rows.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::all_of;
using galley::answering;
using galley::Error;
using galley::finite;
using galley::guard;
using galley::GuardStatistics;
using galley::Key;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::repairing;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::Tensor;
using support::BatchLog;
using support::IntEar;
using support::logged;

namespace {

GuardStatistics statistics_of(const Servable<int, int>& graph) {
  GuardStatistics statistics;
  REQUIRE(graph.control("", statistics).has_value());
  return statistics;
}

using Batches = std::vector<std::vector<int>>;

Result<void> below_ten(int n) {
  if (n == 13) throw std::runtime_error("unlucky");
  if (n >= 10) return Error(Status::not_found, "above ten");
  return {};
}

}  // namespace

TEST_CASE("rows that are not fit are answered at once, and the others go on", "[guard]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = guard(below_ten, logged(log));
  const std::vector<Key> keys{1, 2, 3, 4, 5};
  const Outcomes<int> out =
      graph.serve_rows(Rows<int>{1, 10, -5, 13, 4}, {.request_id = 6}, {.keys = keys});
  CHECK(*out[0] == 10);
  CHECK(out[1].error() == Error(Status::not_found, "guard(model): input: above ten"));
  CHECK(out[2].status() == Status::invalid_argument);  // the model's own
  CHECK(out[3].error() == Error(Status::internal, "guard(model): input: threw: unlucky"));
  CHECK(*out[4] == 40);
  CHECK(log->batches == Batches{{1, -5, 4}});
  CHECK(log->keys == std::vector<std::vector<Key>>{{1, 3, 5}});
  CHECK(statistics_of(graph).refused == 2);
  CHECK(graph.serve(20).status() == Status::not_found);
  CHECK(graph.serve_rows(Rows<int>{20, 30})[1].status() == Status::not_found);
  CHECK(log->batches.size() == 1);
}

TEST_CASE("a guard may answer for the servable", "[guard]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = guard(answering([](int n) -> Result<std::optional<int>> {
                             if (n == 13) throw std::runtime_error("unlucky");
                             if (n == 7) return Error(Status::unavailable, "seven");
                             if (n >= 10) return std::optional(n);
                             return std::optional<int>();
                           }),
                           logged(log));
  const Outcomes<int> out = graph.serve_rows(Rows<int>{1, 10, -5, 13, 4, 7, 11});
  CHECK(*out[0] == 10);
  CHECK(*out[1] == 10);
  CHECK(out[2].error() == Error(Status::invalid_argument, "model: negative"));
  CHECK(out[3].error() == Error(Status::internal, "guard(model): input: threw: unlucky"));
  CHECK(*out[4] == 40);
  CHECK(out[5].error() == Error(Status::unavailable, "guard(model): input: seven"));
  CHECK(*out[6] == 11);
  CHECK(log->batches == Batches{{1, -5, 4}});
  CHECK(*graph.serve(10) == 10);
  CHECK(log->batches.size() == 1);
  CHECK(statistics_of(graph).answered == 3);
}

TEST_CASE("a guard may mend rows", "[guard]") {
  const auto log = std::make_shared<BatchLog>();
  const auto graph = guard(repairing([](int n) -> Result<std::optional<int>> {
                             if (n == 7) return Error(Status::invalid_argument, "seven");
                             if (n >= 10) return std::optional(9);
                             return std::optional<int>();
                           }),
                           logged(log));
  const Outcomes<int> out = graph.serve_rows(Rows<int>{1, 10, 7, 4, 100});
  CHECK(*out[0] == 10);
  CHECK(*out[1] == 90);
  CHECK(out[2].error() == Error(Status::invalid_argument, "guard(model): input: seven"));
  CHECK(*out[3] == 40);
  CHECK(*out[4] == 90);
  CHECK(log->batches == Batches{{1, 9, 4, 9}});
  CHECK(statistics_of(graph).repaired == 2);
  CHECK(*guard(repairing([](int n) { return n + 1; }), logged(log)).serve(1) == 20);
  CHECK(*guard(repairing([](int n) -> Result<int> { return n + 1; }), logged(log)).serve(1) == 20);
  CHECK(
      *guard(repairing([](int n) { return n > 1 ? std::optional(1) : std::nullopt; }), logged(log))
           .serve(5) == 10);
}

TEST_CASE("a row whose copy throws beside a mended one fails alone", "[guard]") {
  struct Fragile {
    explicit Fragile(int of) : value(of) {}
    Fragile(const Fragile& other) : value(other.value) {
      if (value == 13) throw std::runtime_error("cannot copy 13");
    }
    Fragile(Fragile&&) noexcept = default;
    Fragile& operator=(Fragile&&) noexcept = default;
    int value;
  };
  const auto graph = guard(repairing([](const Fragile& f) -> std::optional<Fragile> {
                             if (f.value != 1) return std::nullopt;
                             return Fragile(100);
                           }),
                           galley::map("look", [](const Fragile& f) { return f.value; }));
  Rows<Fragile> rows;
  for (const int value : {13, 1, 2, 13, 1}) rows.push_back(Fragile(value));
  const Outcomes<int> out = graph.serve_rows(rows);
  CHECK(out[0].error() == Error(Status::internal, "guard(look): threw: cannot copy 13"));
  CHECK(*out[1] == 100);
  CHECK(*out[2] == 2);
  CHECK(out[3].status() == Status::internal);
  CHECK(*out[4] == 100);
}

TEST_CASE("where all rows are fit nothing is copied or allocated", "[guard]") {
  const Rows<int>* seen = nullptr;
  const auto graph =
      guard(below_ten, galley::map_batch("look", [&seen](const galley::Batch<int>& batch) {
              seen = batch.whole();
              return Outcomes<int>(Rows<int>{1, 2});
            }));
  const Rows<int> rows{1, 2};
  (void)graph.serve_rows(rows);
  CHECK(seen == &rows);
  const auto small = guard(below_ten, galley::filter([](int) { return true; },
                                                     galley::map("m", [](int n) { return n; })));
  const support::AllocationCount count;
  for (int i = 0; i < 10; ++i) (void)small.serve(3);
  CHECK(count.so_far() == 0);
  const auto copies = guard([](const support::Counted& c) { return c.value != 2; },
                            galley::map("m", [](const support::Counted& c) { return c.value; }));
  const Rows<support::Counted> counted{support::Counted(1), support::Counted(2),
                                       support::Counted(3)};
  support::Counted::copies = 0;
  CHECK(*copies.serve_rows(counted)[2] == 3);
  CHECK(support::Counted::copies == 0);
}

TEST_CASE("a bad row of a block is named, and the rest of the block goes on", "[guard]") {
  const auto net = galley::map_batch("net", [](const Rows<Tensor>& rows) {
    Rows<float> out;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Tensor row = rows[i];
      out.push_back(row.data<float>()[0]);
    }
    return out;
  });
  const auto graph = guard(all_of(galley::shape_is({3}), finite()), net);
  Tensor block = *Tensor::zeros(galley::f32, {4, 3});
  block.mutable_data<float>()[7] = std::nanf("");
  const Outcomes<float> out = graph.serve_rows(*Rows<Tensor>::of_block(block));
  CHECK(*out[1] == 0);
  CHECK(out[2].error() == Error(Status::invalid_argument,
                                "guard(net): input: element 1: expected a finite number, got nan"));
  CHECK(*out[3] == 0);
  CHECK(graph.serve(*Tensor::zeros(galley::f32, {4})).status() == Status::invalid_argument);
}

TEST_CASE("a guard before an executor answers bad rows there and then", "[guard]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BatchLog>();
  for (int way = 0; way < 3; ++way) {
    CAPTURE(way);
    log->batches.clear();
    const auto child = galley::on(executor, logged(log));
    const auto mend = [](int n) { return n >= 10 ? std::optional(9) : std::nullopt; };
    const auto answer = [](int n) { return n >= 10 ? std::optional(9) : std::nullopt; };
    const auto graph = way == 0   ? guard(below_ten, child)
                       : way == 1 ? guard(repairing(mend), child)
                                  : guard(answering(answer), child);
    IntEar some, all, none;
    graph.submit_rows(Rows<int>{1, 10, 2}, {}, some.listen(3));
    graph.submit_rows(Rows<int>{3}, {}, all.listen(1));
    graph.submit_rows(Rows<int>{20, 30}, {}, none.listen(2));
    CHECK(none.answers == (way == 1 ? 0 : 1));
    executor.run_all();
    REQUIRE(some.answers == 1);
    REQUIRE(all.answers == 1);
    CHECK(some.value(0) == 10);
    CHECK(some.value(2) == 20);
    CHECK(all.value() == 30);
    if (way == 0) CHECK(some.status(1) == Status::not_found);
    if (way == 1) CHECK(some.value(1) == 90);
    if (way == 2) CHECK(some.value(1) == 9);
    const Outcomes<int> served = graph.serve_rows(Rows<int>{1, 10, 2});
    for (std::size_t i = 0; i < 3; ++i) CHECK(served[i].result() == some.heard[i].result());
  }
}

TEST_CASE("a guard looks like its neighbours", "[guard]") {
  const auto graph = guard(finite(), galley::map("net", [](double x) { return x; }));
  CHECK(graph.name() == "guard(net)");
  CHECK(graph.describe().kind == "guard");
  CHECK(graph.describe().options ==
        std::vector<std::pair<std::string, std::string>>{{"check", "finite"}});
  CHECK(graph.traits().inline_only);
  int nothing = 0;
  CHECK(graph.control("", nothing).status() == Status::unimplemented);
  CHECK(graph.control("net", nothing).status() == Status::unimplemented);
}

TEST_CASE("a request in flight owns its guard and its filter", "[guard][filter]") {
  const ManualExecutor executor;
  const auto alive = std::make_shared<int>(0);
  IntEar ear;
  {
    const auto child = galley::on(executor, galley::map("size", [alive](const std::string& s) {
                                    return static_cast<int>(s.size());
                                  }));
    const auto graph =
        galley::filter([alive](const std::string& s,
                               int size) { return s.size() == static_cast<std::size_t>(size); },
                       guard([alive](const std::string& s) { return !s.empty(); }, child));
    graph.submit_rows(Rows<std::string>{"a text that is long enough for the heap", "", "b"}, {},
                      ear.listen(3));
  }
  executor.run_all();
  REQUIRE(ear.answers == 1);
  CHECK(ear.value(0) == 39);
  CHECK(ear.status(1) == Status::invalid_argument);
  CHECK(ear.value(2) == 1);
  CHECK(alive.use_count() == 1);
}
