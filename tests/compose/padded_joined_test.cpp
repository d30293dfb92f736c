// Rows that share memory, and requests whose parts come from several batches: every row keeps its
// place, its context and its error.
#include <galley/compose/batched.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/padded.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/batching.hpp>
#include <support/has.hpp>
#include <support/padding.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::batched;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::padded;
using galley::Padding;
using galley::Rows;
using galley::Servable;
using galley::SizeOrDelay;
using galley::Status;
using galley::Tensor;
using support::always_queued;
using support::BatchEar;
using support::BlockLog;
using support::counting;
using support::has;
using support::numbers_of;
using support::row_of;
using namespace std::chrono_literals;

using Ids = std::vector<std::uint64_t>;

namespace {

const Padding trusted{.lengths = {4, 8, 16}, .check = Padding::Check::trust};

/// Rows of these lengths, one after the other in one piece of memory that counts from 1.
Rows<Tensor> strung(const std::vector<std::int64_t>& lengths) {
  std::int64_t all = 0;
  for (const std::int64_t length : lengths) all += length;
  Tensor text = counting(static_cast<std::size_t>(all));
  Rows<Tensor> rows;
  std::int64_t first = 0;
  for (const std::int64_t length : lengths) {
    rows.push_back(*Tensor::adopt(text.data<float>() + first, galley::f32, {length}, {},
                                  galley::cpu, text.owner()));
    first += length;
  }
  return rows;
}

float sum_of(const Tensor& row) {
  float sum = 0;
  for (const float number : numbers_of(row)) sum += number;
  return sum;
}

/// A model behind a batcher of two rows, before one, between two, and without.
Servable<Tensor, float> arranged(int way, const ManualExecutor& executor,
                                 const Servable<Tensor, float>& model) {
  const galley::BatchOptions pairs{.max_rows = 2, .caller_runs = galley::CallerRuns::never};
  switch (way) {
    case 0:
      return padded(model, trusted);
    case 1:
      return padded(galley::on(executor, model), trusted);
    case 2:
      return padded(batched(executor, model, pairs), trusted);
    case 3:
      return batched(executor, padded(model, trusted), pairs);
    default:
      return batched(executor, padded(batched(executor, model, pairs), trusted),
                     {.max_rows = 3, .caller_runs = galley::CallerRuns::never});
  }
}
constexpr int ways = 5;

}  // namespace

TEST_CASE("rows that lie in one piece of memory are padded each with its own end", "[padded]") {
  const ManualExecutor executor;
  for (int way = 0; way < ways; ++way) {
    CAPTURE(way);
    const auto log = std::make_shared<BlockLog>();
    const auto graph = arranged(way, executor, support::summing(log));
    std::vector<float> wanted;
    BatchEar<float> ear;
    {
      Rows<Tensor> rows = strung({3, 7, 1, 16, 4, 5, 2});
      for (std::size_t i = 0; i < rows.size(); ++i) wanted.push_back(sum_of(rows[i]));
      const Outcomes<float> served = graph.serve_rows(rows);
      REQUIRE(served.size() == wanted.size());
      for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(*served[i] == wanted[i]);
      graph.submit_rows(std::move(rows), {}, ear.listen(wanted.size()));
    }  // the rows alone keep their memory now
    executor.run_all();
    for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(ear.value(i) == wanted[i]);
  }
}

TEST_CASE("rows that lie over one another, and one row many times, are padded", "[padded]") {
  const ManualExecutor executor;
  for (int way = 0; way < ways; ++way) {
    CAPTURE(way);
    const auto log = std::make_shared<BlockLog>();
    const auto graph = arranged(way, executor, support::summing(log));
    const Tensor text = counting(16);
    Rows<Tensor> rows;
    for (std::int64_t end = 16; end > 0; end -= 5) {
      rows.push_back(
          *Tensor::adopt(text.data(), galley::f32, {end}, {}, galley::cpu, text.owner()));
      rows.push_back(text);
    }
    const Rows<Tensor> kept = rows;
    BatchEar<float> ear;
    graph.submit_rows(std::move(rows), {}, ear.listen(kept.size()));
    executor.run_all();
    for (std::size_t i = 0; i < kept.size(); ++i) CHECK(ear.value(i) == sum_of(kept[i]));
    CHECK(text == counting(16));  // nothing was written into it
  }
}

TEST_CASE("errors of a request that is put together again are those of their rows", "[padded]") {
  const ManualExecutor executor;
  for (int way = 0; way < ways; ++way) {
    CAPTURE(way);
    const auto log = std::make_shared<BlockLog>();
    const auto graph = arranged(way, executor, support::summing(log));
    // By row: answered, too long, answered, below zero, of nothing, answered, below zero, answered.
    const Rows<Tensor> rows{counting(2),
                            counting(17),
                            counting(9),
                            row_of({-5}),
                            *Tensor::zeros(galley::f32, {0}),
                            counting(5),
                            row_of({1, 1, 1, 1, -9}),
                            counting(16)};
    BatchEar<float> before, ear;
    graph.submit_rows(Rows<Tensor>{counting(1), counting(6)}, {}, before.listen(2));
    graph.submit_rows(Rows<Tensor>(rows), {}, ear.listen(rows.size()));
    executor.run_all();
    const Outcomes<float> served = graph.serve_rows(rows);
    CHECK(before.value(0) == 1);
    CHECK(before.value(1) == 21);
    REQUIRE(ear.answers == 1);
    for (const Outcomes<float>* outcomes : {&std::as_const(ear.heard), &served}) {
      REQUIRE(outcomes->size() == rows.size());
      for (const std::size_t i : {0U, 2U, 5U, 7U}) CHECK(*(*outcomes)[i] == sum_of(rows[i]));
      for (const std::size_t i : {1U, 3U, 4U, 6U}) {
        REQUIRE((*outcomes)[i].status() == Status::invalid_argument);
      }
      for (const std::size_t i : {3U, 6U}) has((*outcomes)[i].error().detail, "below zero");
      for (const std::size_t i : {1U, 4U}) {
        has((*outcomes)[i].error().detail, "got " + to_string(rows[i]));
      }
    }
  }
}

TEST_CASE("an error of a row says the same alone and among others", "[padded]") {
  const ManualExecutor executor;
  for (int way = 0; way < ways; ++way) {
    CAPTURE(way);
    const auto graph = arranged(way, executor, support::summing(std::make_shared<BlockLog>()));
    BatchEar<float> alone, before, among;
    graph.submit(counting(17), {}, alone.listen());
    executor.run_all();
    graph.submit_rows(Rows<Tensor>{counting(1), counting(6)}, {}, before.listen(2));
    graph.submit_rows(Rows<Tensor>{counting(3), counting(17)}, {}, among.listen(2));
    executor.run_all();
    REQUIRE(alone.status() == Status::invalid_argument);
    REQUIRE(among.status(1) == Status::invalid_argument);
    CHECK(among.heard[1].error() == alone.heard[0].error());
  }
}

TEST_CASE("a request of rows of several requests keeps them apart when it is split", "[padded]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BlockLog>();
  const auto inner =
      batched(executor, support::summing(log), always_queued, SizeOrDelay{.max_rows = 2});
  const auto graph = batched(executor, padded(inner, trusted), always_queued);
  // The outer batch is one request of the inner batcher for each length, its rows those of three.
  std::vector<BatchEar<float>> ears(3);
  graph.submit_rows(Rows<Tensor>{counting(2), counting(3), counting(4)}, {.request_id = 1},
                    ears[0].listen(3));
  graph.submit_rows(Rows<Tensor>{counting(1), counting(8), counting(99)}, {.request_id = 2},
                    ears[1].listen(3));
  graph.submit_rows(Rows<Tensor>{row_of({-1}), counting(4), counting(7)}, {.request_id = 3},
                    ears[2].listen(3));
  executor.run_all();
  CHECK(ears[0].value(0) == 3);
  CHECK(ears[0].value(1) == 6);
  CHECK(ears[0].value(2) == 10);
  CHECK(ears[1].value(0) == 1);
  CHECK(ears[1].value(1) == 36);
  CHECK(ears[1].status(2) == Status::invalid_argument);
  CHECK(ears[2].status(0) == Status::invalid_argument);
  CHECK(ears[2].value(1) == 10);
  CHECK(ears[2].value(2) == 28);
  CHECK(log->requests == std::vector<Ids>{{1, 1}, {1, 2}, {3, 3}, {2, 3}});
}

TEST_CASE("parts of a request that come in any order are put together in its own", "[padded]") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
    const auto log = std::make_shared<BlockLog>();
    Padding options = trusted;
    options.output_axis = 0;
    const auto graph = padded(galley::on(executor, support::doubling(log)), options);
    const Rows<Tensor> rows = strung({5, 2, 16, 30, 1, 8, 3, 12});
    BatchEar<Tensor> ear;
    graph.submit_rows(rows, {}, ear.listen(rows.size()));
    executor.run_all();
    REQUIRE(ear.answers == 1);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i == 3) {
        REQUIRE(ear.status(i) == Status::invalid_argument);
        continue;
      }
      std::vector<float> wanted = numbers_of(rows[i]);
      for (float& number : wanted) number = 2 * number + 1;
      REQUIRE(numbers_of(ear.value(i)) == wanted);
    }
  }
}

TEST_CASE("who keeps one row of each batch of cut answers does not keep them all", "[padded]") {
  const ManualExecutor executor;
  const auto log = std::make_shared<BlockLog>();
  Padding options = trusted;
  options.output_axis = 0;
  const auto graph = batched(executor, padded(support::doubling(log), options), always_queued,
                             SizeOrDelay{4, 0ns});
  std::vector<Tensor> kept;
  std::size_t alone = 0;
  for (std::size_t batch = 0; batch < 40; ++batch) {
    std::vector<BatchEar<Tensor>> ears(2);
    // Rows of two requests and of unlike lengths, so that the answers are not one block.
    for (BatchEar<Tensor>& ear : ears) {
      graph.submit_rows(Rows<Tensor>{counting(3), counting(2)}, {}, ear.listen(2));
    }
    executor.run_all();
    kept.push_back(ears[1].value(0));
    CHECK(numbers_of(kept.back()) == std::vector<float>{3, 5, 7});
    if (kept.back().owner().handle() != ears[0].value(0).owner().handle()) ++alone;
  }
  CHECK(alone == 40 - 16);  // beyond the bound of blocks that live
}
