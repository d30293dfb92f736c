// Where there is no memory: for a slab, for a batch, for a request.
#include <galley/core/tensor_rows.hpp>

#include <support/allocations.hpp>
#include <support/batching.hpp>
#include <support/padding.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::batched;
using galley::ManualExecutor;
using galley::Rows;
using galley::SizeOrDelay;
using galley::Status;
using galley::Tensor;
using support::always_queued;
using support::BatchEar;
using support::counting;
using support::NoMemoryOnce;
using namespace std::chrono_literals;

TEST_CASE("tensors for whose slab there is no memory share a batch all the same", "[batched]") {
  const ManualExecutor executor;
  std::vector<bool> dense;
  const auto first = galley::map_batch("first", [&dense](const Rows<Tensor>& rows) {
    dense.push_back(rows.block() != nullptr);
    Rows<float> out(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) out.push_back(*rows[i].data<float>());
    return out;
  });
  const auto graph = batched(executor, first, always_queued);
  constexpr std::size_t length = 1024;
  for (const std::size_t refused : {1U, 0U}) {  // then a slab again
    std::vector<BatchEar<float>> ears(3);
    for (std::size_t i = 0; i < 3; ++i) {
      graph.submit(counting(length, static_cast<float>(i)), {}, ears[i].listen());
    }
    {
      const NoMemoryOnce no_slab(refused, 3 * length * sizeof(float));
      executor.run_ready();
      CHECK(no_slab.happened());
    }
    for (std::size_t i = 0; i < 3; ++i) CHECK(ears[i].value() == static_cast<float>(i));
  }
  CHECK(dense == std::vector<bool>{false, true});
}

TEST_CASE("a batch that there is no memory for fails, and the batches beside it do not",
          "[batched]") {
  const ManualExecutor executor;
  const auto graph =
      batched(executor, galley::map("size", [](const std::string& text) { return text.size(); }),
              always_queued, SizeOrDelay{8, 0ns});
  std::vector<BatchEar<std::size_t>> ears(24);
  for (std::size_t i = 0; i < 24; ++i) graph.submit(std::string(i, 'a'), {}, ears[i].listen());
  const bool last = GENERATE(false, true);
  executor.run_ready(last ? 1 : 0);  // a task runs several batches
  {
    const NoMemoryOnce no_batch(1, 8 * sizeof(std::string));
    executor.run_ready();
    CHECK(no_batch.happened() != last);
  }
  for (std::size_t i = 0; i < 24; ++i) {
    CAPTURE(i);
    if (i < 8 && !last) {
      REQUIRE(ears[i].status() == Status::resource_exhausted);
      CHECK(ears[i].heard[0].error().detail == "size: out of memory");
    } else {
      CHECK(ears[i].value() == i);
    }
  }
}

TEST_CASE("a request that there is no memory for is refused alone", "[batched]") {
  const ManualExecutor executor;
  const auto graph =
      batched(executor, galley::map("size", [](const std::string& text) { return text.size(); }),
              always_queued);
  std::vector<BatchEar<std::size_t>> ears(3);
  graph.submit("a", {}, ears[0].listen());
  {
    const NoMemoryOnce no_frame(1);
    graph.submit("ab", {}, ears[1].listen());
    CHECK(no_frame.happened());
  }
  CHECK(ears[1].status() == Status::resource_exhausted);
  graph.submit("abc", {}, ears[2].listen());
  executor.run_ready();
  CHECK(ears[0].value() == 1);
  CHECK(ears[2].value() == 3);
}

TEST_CASE("a caller whose rows there is no memory to keep is told, and others are answered",
          "[batched]") {
  const ManualExecutor executor;
  const auto graph =
      batched(executor, galley::map("size", [](const std::string& text) { return text.size(); }),
              always_queued);
  BatchEar<std::size_t> ear;
  graph.submit(std::string(100, 'a'), {}, ear.listen());
  const Rows<std::string> rows{std::string(200, 'b'), std::string(300, 'c')};
  const NoMemoryOnce no_copy(1, 200);
  const auto outcomes = graph.serve_rows(rows);
  CHECK(no_copy.happened());
  CHECK(outcomes[0].status() == Status::resource_exhausted);
  CHECK(outcomes[1].status() == Status::resource_exhausted);
  executor.run_ready();
  CHECK(ear.value() == 100);
  CHECK(*graph.serve_rows(rows)[1] == 300);
}
