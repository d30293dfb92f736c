// Padding before and behind a batcher, over slots and executors.
#include <galley/compose/batched.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/padded.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/slot.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/batching.hpp>
#include <support/padding.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <support/catch.hpp>

using galley::ManualExecutor;
using galley::Outcomes;
using galley::padded;
using galley::Padding;
using galley::Rows;
using galley::Servable;
using galley::Shape;
using galley::Status;
using galley::Tensor;
using support::always_queued;
using support::BatchEar;
using support::BlockLog;
using support::counting;
using support::padded_sum;
using support::paddings;
using support::why;
using namespace std::chrono_literals;

using Shapes = std::vector<Shape>;

TEST_CASE("the rows of a request are answered by one version, whatever their length", "[padded]") {
  const auto version = [](float number) {
    return Servable<Tensor, float>("version", [number](const Tensor&) { return number; });
  };
  const auto made = galley::slot("slot", version(1));
  int calls = 0;
  const Servable<Tensor, Tensor> between("between", [&](const Rows<Tensor>& rows) {
    if (++calls == 1) (void)made.publisher.publish(version(2));
    return rows;
  });
  const ManualExecutor executor;
  const Padding trusted{.lengths = {4, 8, 16}, .check = Padding::Check::trust};
  const Rows<Tensor> rows{counting(2), counting(7), counting(3), counting(15)};
  SECTION("served") {
    const Outcomes<float> outcomes = padded(between | made.servable, trusted).serve_rows(rows);
    for (std::size_t i = 0; i < 4; ++i) CHECK(*outcomes[i] == 1);
  }
  SECTION("submitted") {
    const auto graph = padded(between | galley::on(executor, made.servable), trusted);
    BatchEar<float> ear;
    graph.submit_rows(rows, {}, ear.listen(4));
    executor.run_all();
    for (std::size_t i = 0; i < 4; ++i) CHECK(ear.value(i) == 1);
  }
  CHECK(calls == 3);
  CHECK(*made.servable.serve(counting(1)) == 2);
}

TEST_CASE("a slot holds padded versions, each of them checked", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const auto made = galley::slot("slot", padded_sum(log, paddings()));
  CHECK(made.publisher.publish(padded_sum(log, paddings())).has_value());
  CHECK(*made.servable.serve(counting(5)) == 15);
  CHECK(made.publisher.publish(support::summing(log)).status() == Status::failed_precondition);
}

TEST_CASE("rows of all lengths share a batch that is padded", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const ManualExecutor executor;
  const auto graph =
      galley::batched(executor, padded(support::summing(log), paddings()), always_queued);
  REQUIRE(why(graph.prepare()) == "");
  log->shapes.clear();
  std::vector<BatchEar<float>> ears(6);
  for (std::size_t i = 0; i < 5; ++i) {
    graph.submit(counting(3 * i + 1), {.request_id = i}, ears[i].listen());
  }
  graph.submit(counting(50), {}, ears[5].listen());
  executor.run_all();
  galley::BatchStatistics batches;
  REQUIRE(graph.control("", batches).has_value());
  CHECK(batches.batches == 1);
  for (std::size_t i = 0; i < 5; ++i) {
    const auto n = static_cast<float>(3 * i + 1);
    CHECK(ears[i].value() == n * (n + 1) / 2);
  }
  CHECK(ears[5].status() == Status::invalid_argument);
  CHECK(log->shapes == Shapes{{2, 4}, {1, 8}, {2, 16}});
  CHECK(log->requests.back() == std::vector<std::uint64_t>{3, 4});
}

TEST_CASE("padded rows wait in one open batch for each length", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const ManualExecutor executor;
  const auto graph = padded(
      galley::batched(executor, support::summing(log), always_queued, galley::SizeOrDelay{8, 1ms}),
      paddings());
  REQUIRE(why(graph.prepare()) == "");
  log->shapes.clear();
  std::vector<BatchEar<float>> ears(4);
  graph.submit(counting(3), {}, ears[0].listen());
  graph.submit_rows(Rows<Tensor>{counting(5), counting(2), counting(30)}, {}, ears[1].listen(3));
  graph.submit(counting(8), {}, ears[2].listen());
  graph.submit(Tensor(), {}, ears[3].listen());
  CHECK(ears[3].status() == Status::invalid_argument);
  executor.run_all();
  CHECK(ears[0].value() == 6);
  CHECK(ears[1].value(0) == 15);
  CHECK(ears[1].value(1) == 3);
  CHECK(ears[1].status(2) == Status::invalid_argument);
  CHECK(ears[2].value() == 36);
  CHECK(log->shapes == Shapes{{2, 4}, {2, 8}});
  CHECK(*graph.serve(counting(4)) == 10);
}

TEST_CASE("a pipeline takes rows of unlike shapes where its first stage does", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const auto graph = padded(support::summing(log), paddings());
  const auto next = Servable<float, float>("half", [](float sum) { return sum / 2; });
  const auto same = Servable<Tensor, Tensor>("same", [](const Tensor& row) { return row; });
  CHECK((graph | next).traits().mixed_shapes);
  CHECK_FALSE((same | graph).traits().mixed_shapes);
  const Servable<Tensor, Tensor> says("same", [](const Tensor& row) { return row; },
                                      {.mixed_shapes = true});
  CHECK((says | graph | next).traits().mixed_shapes);
  CHECK((says | (graph | next)).traits().mixed_shapes);
}

TEST_CASE("submitted rows that are late or given up answer so, the others are padded", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const ManualExecutor executor;
  const auto graph = padded(galley::on(executor, support::summing(log)), paddings());
  REQUIRE(why(graph.prepare()) == "");
  BatchEar<float> late, unchecked, in_time;
  graph.submit_rows(Rows<Tensor>{counting(2), counting(7)}, {.deadline = executor.now() + 1us},
                    late.listen(2));
  graph.submit(counting(3), {}, in_time.listen());
  executor.pass(1ms);
  executor.run_all();
  CHECK(late.status(0) == Status::deadline_exceeded);
  CHECK(late.status(1) == Status::deadline_exceeded);
  CHECK(in_time.value() == 6);
  padded(galley::on(executor, support::summing(log)), paddings())
      .submit(counting(2), {}, unchecked.listen());
  CHECK(unchecked.status() == Status::failed_precondition);
}

TEST_CASE("a request in flight owns what it touches", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const ManualExecutor executor;
  BatchEar<float> ear, shut;
  {
    const auto graph = padded(galley::on(executor, support::summing(log)), paddings());
    REQUIRE(why(graph.prepare()) == "");
    std::vector<float> numbers{1, 2, 3};
    graph.submit_rows(Rows<Tensor>{*Tensor::view(numbers, {3}), counting(6)}, {}, ear.listen(2));
    numbers.assign(3, 0);
  }
  executor.run_all();
  CHECK(ear.value(0) == 6);
  CHECK(ear.value(1) == 21);
  {
    const auto graph = padded(galley::on(executor, support::summing(log)), paddings());
    REQUIRE(why(graph.prepare()) == "");
    graph.submit_rows(Rows<Tensor>{counting(3), counting(6)}, {}, shut.listen(2));
  }
  executor.shutdown();
  CHECK(shut.status(0) == Status::unavailable);
  CHECK(shut.status(1) == Status::unavailable);
}
