// Rows of tensors: which share a batch, and the block they are gathered in.
#include <galley/compose/on.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/tensor_rows.hpp>

#include <support/allocations.hpp>
#include <support/batching.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::batched;
using galley::CallerRuns;
using galley::ManualExecutor;
using galley::NamedTensors;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::SizeOrDelay;
using galley::Status;
using galley::Tensor;
using support::always_queued;
using support::BatchEar;
using namespace std::chrono_literals;

using Sizes = std::vector<std::size_t>;

namespace {

Tensor filled(const galley::Shape& shape, float value) {
  Tensor tensor = *Tensor::empty(galley::f32, shape);
  std::fill_n(static_cast<float*>(tensor.mutable_data()), tensor.byte_size() / sizeof(float),
              value);
  return tensor;
}
float first_of(const Tensor& tensor) {
  return *static_cast<const float*>(tensor.data());
}

/// What a child of tensors saw.
struct Blocks {
  std::vector<const void*> data;  ///< Where each batch lay; null for ragged rows.
  Sizes sizes;
};

/// Doubles each number of a block, or row by row.
Servable<Tensor, Tensor> twice(Blocks& seen) {
  return {"twice", [&seen](const Rows<Tensor>& rows) -> Result<Rows<Tensor>> {
            seen.data.push_back(rows.block() != nullptr ? rows.block()->data() : nullptr);
            seen.sizes.push_back(rows.size());
            Rows<Tensor> out;
            for (std::size_t i = 0; i < rows.size(); ++i) {
              out.push_back(filled(rows[i].shape(), 2 * first_of(rows[i])));
            }
            return out;
          }};
}

using TensorEar = BatchEar<Tensor>;

}  // namespace

TEST_CASE("tensors of one shape are gathered in one block, which is used again", "[batched]") {
  const ManualExecutor executor;
  Blocks seen;
  const auto graph = batched(executor, twice(seen));
  for (int round = 0; round < 3; ++round) {
    std::vector<TensorEar> ears(3);
    graph.submit(filled({2, 3}, 1), {}, ears[0].listen());
    Rows<Tensor> two{filled({2, 3}, 2), filled({2, 3}, 3)};
    graph.submit_rows(std::move(two), {}, ears[1].listen(2));
    graph.submit_rows(*Rows<Tensor>::of_block(filled({2, 2, 3}, 4)), {}, ears[2].listen(2));
    executor.run_ready();
    CHECK(first_of(ears[0].value()) == 2);
    CHECK(first_of(ears[1].value(1)) == 6);
    CHECK(first_of(ears[2].value(0)) == 8);
    CHECK(ears[2].value(1).shape() == galley::Shape{2, 3});
  }
  CHECK(seen.sizes == Sizes{5, 5, 5});
  CHECK(seen.data[0] != nullptr);
  CHECK(seen.data[1] == seen.data[0]);
  CHECK(seen.data[2] == seen.data[0]);
}

TEST_CASE("a block that an answer shares is not used again", "[batched]") {
  const ManualExecutor executor;
  std::vector<const void*> data;
  const auto same = galley::map_batch("same", [&data](const Rows<Tensor>& rows) {
    data.push_back(rows.block()->data());
    return rows;
  });
  const auto graph = batched(executor, same);
  std::vector<TensorEar> ears(6);
  for (std::size_t i = 0; i < 6; ++i) {
    graph.submit(filled({4}, static_cast<float>(i)), {}, ears[i].listen());
    if (i % 2 == 1) executor.run_ready();
  }
  CHECK(data.size() == 3);
  for (std::size_t i = 0; i < 6; ++i) CHECK(first_of(ears[i].value()) == static_cast<float>(i));
}

TEST_CASE("a split request is answered in one block, which is used again once the answer is gone",
          "[batched]") {
  const ManualExecutor executor;
  Blocks seen;
  const auto graph = batched(executor, twice(seen), always_queued, SizeOrDelay{2, 0ns});
  std::vector<const void*> blocks;
  std::vector<TensorEar> kept(3);
  for (int round = 0; round < 6; ++round) {
    TensorEar gone;
    TensorEar& ear = round < 3 ? gone : kept[static_cast<std::size_t>(round) - 3];
    Rows<Tensor> rows;
    for (int i = 0; i < 5; ++i) rows.push_back(filled({3}, static_cast<float>(10 * round + i)));
    graph.submit_rows(std::move(rows), {}, ear.listen(5));
    executor.run_ready();
    blocks.push_back(ear.value(0).data());
    for (std::size_t i = 0; i < 5; ++i) {
      CHECK(ear.value(i).data() == static_cast<const float*>(blocks.back()) + 3 * i);
    }
  }
  CHECK(seen.sizes == Sizes{2, 2, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1});
  CHECK(blocks[1] == blocks[0]);
  CHECK(blocks[2] == blocks[0]);
  for (std::size_t round = 3; round < 6; ++round) {  // the later ones did not write over them
    for (std::size_t i = 0; i < 5; ++i) {
      CHECK(first_of(kept[round - 3].value(i)) == 2 * static_cast<float>(10 * round + i));
    }
  }
}

TEST_CASE("split requests of tensors are joined without allocating", "[batched]") {
  const ManualExecutor executor;
  const Rows<Tensor> answers = *Rows<Tensor>::of_block(filled({2, 3}, 2));
  const auto graph = batched(
      executor,
      galley::map_batch(
          "two", [answers](const Rows<Tensor>& rows) { return answers.slice(0, rows.size()); }),
      always_queued, SizeOrDelay{2, 0ns});
  const Rows<Tensor> request = *Rows<Tensor>::of_block(filled({5, 3}, 1));
  std::size_t answered = 0;
  std::size_t allocated = 1;
  for (int round = 0; round < 4; ++round) {
    const support::AllocationCount count;
    graph.submit_rows(request, {}, {5, [&answered](const galley::Outcomes<Tensor>& outcomes) {
                                      if (outcomes.all_ok()) answered += outcomes.size();
                                    }});
    executor.run_ready();
    allocated = count.so_far();
  }
  CHECK(answered == 20);
  CHECK(allocated == 0);
}

TEST_CASE("tensors of different shapes or types share no batch", "[batched]") {
  const ManualExecutor executor;
  Blocks seen;
  const auto graph = batched(executor, twice(seen));
  std::vector<TensorEar> ears(5);
  graph.submit(filled({2}, 1), {}, ears[0].listen());
  graph.submit(filled({3}, 2), {}, ears[1].listen());
  graph.submit(filled({2}, 3), {}, ears[2].listen());
  graph.submit(filled({2, 1}, 4), {}, ears[3].listen());
  Rows<Tensor> mixed{filled({2}, 5), filled({3}, 6)};
  graph.submit_rows(std::move(mixed), {}, ears[4].listen(2));
  executor.run_ready();
  CHECK(seen.sizes == Sizes{2, 1, 1, 2});
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(first_of(ears[i].value()) == 2 * static_cast<float>(i + 1));
  }
  CHECK(ears[4].value(1).shape() == galley::Shape{3});
}

TEST_CASE("tensors with strides, of no numbers and without a shape are gathered rightly",
          "[batched]") {
  const ManualExecutor executor;
  const auto same = galley::map_batch("same", [](const Rows<Tensor>& rows) { return rows; });
  const auto graph = batched(executor, same, {}, SizeOrDelay{3, 0ns});
  SECTION("parts of a block") {
    std::vector<TensorEar> ears(2);
    Tensor block = filled({4, 2}, 0);
    for (int i = 0; i < 8; ++i) {
      static_cast<float*>(block.mutable_data())[i] = static_cast<float>(i);
    }
    graph.submit_rows(*Rows<Tensor>::of_block(block), {}, ears[0].listen(4));
    graph.submit(filled({2}, 9), {}, ears[1].listen());
    executor.run_ready();
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(first_of(ears[0].value(i)) == static_cast<float>(2 * i));
      CHECK(ears[0].value(i) == block.row(i));
    }
    CHECK(first_of(ears[1].value()) == 9);
  }
  SECTION("no numbers") {
    std::vector<TensorEar> ears(2);
    for (TensorEar& ear : ears) graph.submit(filled({0, 3}, 0), {}, ear.listen());
    executor.run_ready();
    for (TensorEar& ear : ears) CHECK(ear.value().shape() == galley::Shape{0, 3});
  }
  SECTION("numbers alone") {
    std::vector<TensorEar> ears(2);
    for (std::size_t i = 0; i < 2; ++i) {
      graph.submit(filled({}, static_cast<float>(i)), {}, ears[i].listen());
    }
    executor.run_ready();
    CHECK(first_of(ears[1].value()) == 1);
  }
  SECTION("undefined") {
    std::vector<TensorEar> ears(2);
    for (TensorEar& ear : ears) graph.submit(Tensor(), {}, ear.listen());
    executor.run_ready();
    for (TensorEar& ear : ears) CHECK_FALSE(ear.value().is_defined());  // as the child answers
  }
}

TEST_CASE("borrowed tensors are copied before they queue", "[batched]") {
  const ManualExecutor executor;
  Blocks seen;
  const auto graph = batched(executor, twice(seen), always_queued);
  TensorEar ear;
  {
    std::vector<float> numbers{7, 7, 7};
    const Tensor lent = *Tensor::view(numbers, {3});
    graph.submit(lent, {}, ear.listen());
    CHECK(first_of(*graph.serve(lent)) == 14);
    std::fill(numbers.begin(), numbers.end(), 0.0F);
  }
  executor.run_ready();
  CHECK(first_of(ear.value()) == 14);
}

TEST_CASE("only so many kinds of rows may queue, and idle kinds make room", "[batched]") {
  const ManualExecutor executor;
  Blocks seen;
  const auto graph =
      batched(executor, twice(seen), {.max_kinds = 2, .caller_runs = CallerRuns::never});
  std::vector<TensorEar> ears(4);
  graph.submit(filled({1}, 1), {}, ears[0].listen());
  graph.submit(filled({2}, 2), {}, ears[1].listen());
  graph.submit(filled({3}, 3), {}, ears[2].listen());
  CHECK(ears[2].status() == Status::resource_exhausted);
  graph.submit(filled({1}, 4), {}, ears[3].listen());
  CHECK(ears[3].answers == 0);
  executor.run_ready();
  for (const std::size_t i : {0U, 1U, 3U}) CHECK(ears[i].status() == Status::ok);
  for (std::int64_t size = 3; size < 9; ++size) {
    CHECK(first_of(*graph.serve(filled({size}, 5))) == 10);
  }
}

TEST_CASE("named tensors are batched", "[batched]") {
  const ManualExecutor executor;
  Sizes sizes;
  const auto graph =
      batched(executor, galley::map_batch("a + b", [&sizes](const Rows<NamedTensors>& rows) {
                sizes.push_back(rows.size());
                Rows<float> out;
                for (std::size_t i = 0; i < rows.size(); ++i) {
                  const NamedTensors row = rows[i];
                  out.push_back(first_of(*row.find("a")) + first_of(*row.find("b")));
                }
                return out;
              }));
  const auto row = [](float a, float b) {
    return NamedTensors{{"a", filled({2}, a)}, {"b", filled({3}, b)}};
  };
  std::vector<BatchEar<float>> ears(3);
  graph.submit(row(1, 2), {}, ears[0].listen());
  Rows<NamedTensors> two;
  two.push_back(row(3, 4));
  two.push_back(row(5, 6));
  graph.submit_rows(std::move(two), {}, ears[1].listen(2));
  graph.submit(row(7, 8), {}, ears[2].listen());
  executor.run_ready();
  CHECK(sizes == Sizes{4});
  CHECK(ears[0].value() == 3);
  CHECK(ears[1].value(1) == 11);
  CHECK(ears[2].value() == 15);
}

TEST_CASE("named tensors of other shapes and names are answered as alone", "[batched]") {
  const ManualExecutor executor;
  const auto sum = galley::map("sum", [](const NamedTensors& row) {
    float all = 0;
    for (const auto& named : row) {
      const auto* numbers = static_cast<const float*>(named.tensor.data());
      const std::size_t count = named.tensor.byte_size() / sizeof(float);
      for (std::size_t i = 0; i < count; ++i) all += numbers[i];
    }
    return all;
  });
  const auto graph = batched(executor, sum, {}, SizeOrDelay{3, 0ns});
  std::vector<BatchEar<float>> ears(4);
  graph.submit(NamedTensors{{"a", filled({2}, 1)}}, {}, ears[0].listen());
  graph.submit(NamedTensors{{"a", filled({3}, 1)}}, {}, ears[1].listen());
  graph.submit(NamedTensors{{"b", filled({4}, 1)}}, {}, ears[2].listen());
  graph.submit(NamedTensors{{"a", filled({5}, 1)}, {"b", filled({1}, 1)}}, {}, ears[3].listen());
  executor.run_ready();
  CHECK(ears[0].value() == 2);
  CHECK(ears[1].value() == 3);
  CHECK(ears[2].value() == 4);
  CHECK(ears[3].value() == 6);
}

TEST_CASE("named tensors of one shape share a slab, others have batches of their own",
          "[batched]") {
  const ManualExecutor executor;
  Sizes sizes;
  std::vector<bool> dense;
  const auto graph = batched(
      executor,
      galley::map_batch("sum",
                        [&](const Rows<NamedTensors>& rows) {
                          sizes.push_back(rows.size());
                          Rows<float> out;
                          for (const auto& column : rows.columns()) {
                            dense.push_back(rows.size() == 1 || column.rows.block() != nullptr);
                          }
                          for (std::size_t i = 0; i < rows.size(); ++i) {
                            float all = 0;
                            for (const auto& named : rows[i]) all += first_of(named.tensor);
                            out.push_back(all);
                          }
                          return out;
                        }),
      always_queued);
  const auto row = [](std::int64_t size, float value) {
    return NamedTensors{{"a", filled({size}, value)}, {"b", filled({2}, value)}};
  };
  for (int round = 0; round < 3; ++round) {
    std::vector<BatchEar<float>> ears(6);
    graph.submit(row(3, 1), {}, ears[0].listen());
    graph.submit(row(4, 2), {}, ears[1].listen());
    graph.submit(row(3, 3), {}, ears[2].listen());
    graph.submit(NamedTensors{{"b", filled({2}, 4)}, {"a", filled({3}, 4)}}, {}, ears[3].listen());
    graph.submit(NamedTensors{{"a", filled({3}, 5)}}, {}, ears[4].listen());
    graph.submit_rows(Rows<NamedTensors>{row(4, 6), row(4, 7)}, {}, ears[5].listen(2));
    executor.run_ready();
    CHECK(ears[0].value() == 2);
    CHECK(ears[1].value() == 4);
    CHECK(ears[2].value() == 6);
    CHECK(ears[3].value() == 8);
    CHECK(ears[4].value() == 5);
    CHECK(ears[5].value(1) == 14);
  }
  CHECK(sizes == Sizes{3, 3, 1, 3, 3, 1, 3, 3, 1});
  CHECK(std::find(dense.begin(), dense.end(), false) == dense.end());
}

TEST_CASE("the bytes of queued named tensors are counted", "[batched]") {
  const ManualExecutor executor;
  const auto graph =
      batched(executor, galley::map("size", [](const NamedTensors& row) { return row.size(); }),
              {.max_queued_bytes = 200, .caller_runs = galley::CallerRuns::never});
  std::vector<BatchEar<std::size_t>> ears(2);
  graph.submit(NamedTensors{{"a", filled({30}, 1)}}, {}, ears[0].listen());
  graph.submit(NamedTensors{{"a", filled({30}, 1)}}, {}, ears[1].listen());
  CHECK(ears[1].status() == galley::Status::resource_exhausted);
  executor.run_ready();
  CHECK(ears[0].value() == 1);
}

TEST_CASE("who keeps one row of each batch does not keep them all", "[batched]") {
  const ManualExecutor executor;
  const auto graph = batched(
      executor,
      galley::map_batch(
          "block", [](const Rows<Tensor>& rows) { return *Rows<Tensor>::of_block(*rows.dense()); }),
      always_queued);
  constexpr std::size_t bound = 16;  // blocks that live
  std::vector<Tensor> kept;
  std::size_t alone = 0;
  for (std::size_t batch = 0; batch < 2 * bound; ++batch) {
    std::vector<BatchEar<Tensor>> ears(4);
    for (BatchEar<Tensor>& ear : ears) {
      graph.submit(filled({8}, static_cast<float>(batch)), {}, ear.listen());
    }
    executor.run_ready();
    kept.push_back(ears[1].value());
    ears.clear();
    CHECK(first_of(kept.back()) == static_cast<float>(batch));
    if (kept.back().owner().shares() == 1) ++alone;
  }
  CHECK(alone == bound);
  kept.clear();
  std::vector<BatchEar<Tensor>> ears(2);
  for (BatchEar<Tensor>& ear : ears) graph.submit(filled({8}, 1), {}, ear.listen());
  executor.run_ready();
  CHECK(ears[0].value().owner().shares() > 1);  // shared again
}

TEST_CASE("an undefined tensor fails alone, also where rows have to wait", "[batched]") {
  const ManualExecutor executor;
  const auto child = galley::map("first", [](const Tensor& row) -> galley::Result<float> {
    if (!row.is_defined()) return galley::Error(galley::Status::invalid_argument, "undefined");
    return first_of(row);
  });
  for (const auto& graph : {batched(executor, child, always_queued), galley::on(executor, child)}) {
    BatchEar<float> three, alone;
    graph.submit_rows(Rows<Tensor>{filled({2}, 1), Tensor(), filled({2}, 3)}, {}, three.listen(3));
    graph.submit(Tensor(), {}, alone.listen());
    executor.run_ready();
    CHECK(three.value(0) == 1);
    CHECK(three.status(1) == galley::Status::invalid_argument);
    CHECK(three.heard[1].error().detail.find("undefined") != std::string::npos);
    CHECK(three.value(2) == 3);
    CHECK(alone.status() == galley::Status::invalid_argument);
  }
}

TEST_CASE("rows of no names are batched, and of other names counted", "[batched]") {
  const ManualExecutor executor;
  const auto child = galley::map("size", [](const NamedTensors& row) { return row.size(); });
  const auto graph = batched(executor, child,
                             {.max_queued_bytes = 1000, .caller_runs = galley::CallerRuns::never});
  std::vector<BatchEar<std::size_t>> ears(4);
  for (std::size_t i = 0; i < 2; ++i) graph.submit(NamedTensors{}, {}, ears[i].listen());
  const Rows<NamedTensors> unlike{NamedTensors{{"a", filled({200}, 1)}},
                                  NamedTensors{{"b", filled({200}, 1)}}};
  graph.submit_rows(unlike, {}, ears[2].listen(2));
  const Rows<NamedTensors> undefined{NamedTensors{{"a", filled({2}, 1)}},
                                     NamedTensors{{"b", Tensor()}}};
  graph.submit_rows(undefined, {}, ears[3].listen(2));
  executor.run_ready();
  CHECK(ears[0].value() == 0);
  CHECK(ears[1].value() == 0);
  CHECK(ears[2].status() == Status::resource_exhausted);
  CHECK(ears[3].value(0) == 1);
  CHECK(ears[3].value(1) == 1);
}

TEST_CASE("a request whose rows all fail does not look at answers that another took", "[batched]") {
  const ManualExecutor executor;
  const auto fails = [](const Tensor& row) -> Result<Tensor> {
    if (first_of(row) < 0) return galley::Error(Status::invalid_argument, "less than nothing");
    return row;
  };
  const auto tensors = batched(executor, galley::map("tensors", fails), always_queued);
  const auto named = batched(executor,
                             galley::map("named",
                                         [fails](const NamedTensors& row) -> Result<NamedTensors> {
                                           GALLEY_TRY(const Tensor x, fails(*row.find("x")));
                                           return NamedTensors{{"y", x}};
                                         }),
                             always_queued);
  std::vector<TensorEar> ears(3);
  std::vector<BatchEar<NamedTensors>> named_ears(3);
  const std::vector<float> numbers{3, -1, -2};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    tensors.submit(filled({2}, numbers[i]), {}, ears[i].listen());
    named.submit({{"x", filled({2}, numbers[i])}}, {}, named_ears[i].listen());
  }
  executor.run_ready();
  CHECK(first_of(ears[0].value()) == 3);
  CHECK(first_of(*named_ears[0].value().find("y")) == 3);
  for (std::size_t i = 1; i < numbers.size(); ++i) {
    CHECK(ears[i].status() == Status::invalid_argument);
    CHECK(named_ears[i].status() == Status::invalid_argument);
  }
}
