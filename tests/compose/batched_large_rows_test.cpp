// Tensors of more than 1 MiB: not gathered, since copying them costs more than a call of their own.
#include <galley/core/named_tensors.hpp>
#include <galley/core/tensor_rows.hpp>

#include <support/batching.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::batched;
using galley::BatchOptions;
using galley::ManualExecutor;
using galley::NamedTensors;
using galley::NodeTraits;
using galley::Outcomes;
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

constexpr std::int64_t largest_gathered = (std::int64_t{1} << 20) / sizeof(float);
constexpr std::int64_t large = largest_gathered + 1;
constexpr SizeOrDelay at_most_four{4, 0ns};

/// Numbers of which the first and the last are `value`.
Tensor marked(const galley::Shape& shape, float value) {
  Tensor tensor = *Tensor::zeros(galley::f32, shape);
  const auto numbers = *tensor.mutable_span<float>();
  numbers.front() = numbers.back() = value;
  return tensor;
}

/// What the child was given, and where each row lay.
struct Seen {
  Sizes sizes;
  std::vector<const void*> rows;
};

/// The first number plus the last; below zero is refused.
Servable<Tensor, float> ends(Seen& seen, NodeTraits traits = {}) {
  return {"ends",
          [&seen](const galley::Batch<Tensor>& rows, const galley::BatchContext&) {
            seen.sizes.push_back(rows.size());
            Outcomes<float> outcomes;
            for (std::size_t i = 0; i < rows.size(); ++i) {
              const Tensor row = rows[i];
              seen.rows.push_back(row.data());
              const auto numbers = *row.span<float>();
              const float sum = numbers.front() + numbers.back();
              if (sum < 0) {
                outcomes.casualties().append(i, galley::Error(Status::invalid_argument, "below 0"));
              } else {
                outcomes.survivors().push_back(sum);
              }
            }
            return outcomes;
          },
          traits};
}

}  // namespace

TEST_CASE("rows of more than 1 MiB run where they lie, a request at a time", "[batched]") {
  const ManualExecutor executor;
  Seen seen;
  const auto graph = batched(executor, ends(seen), always_queued, at_most_four);
  const bool is_large = GENERATE(true, false);
  const std::int64_t size = is_large ? large : largest_gathered;
  std::vector<BatchEar<float>> ears(3);
  const Tensor one = marked({size}, 1), block = marked({2, size}, 2), last = marked({size}, 3);
  graph.submit(one, {}, ears[0].listen());
  graph.submit_rows(*Rows<Tensor>::of_block(block), {}, ears[1].listen(2));
  graph.submit(last, {}, ears[2].listen());
  executor.run_ready();
  CHECK(ears[0].value() == 2);
  CHECK(ears[1].value(0) == 2);
  CHECK(ears[1].value(1) == 2);
  CHECK(ears[2].value() == 6);
  CHECK(seen.sizes == (is_large ? Sizes{1, 2, 1} : Sizes{4}));
  REQUIRE(seen.rows.size() == 4);
  CHECK((seen.rows[0] == one.data()) == is_large);
  CHECK((seen.rows[2] == block.row(1).data()) == is_large);
  CHECK((seen.rows[3] == last.data()) == is_large);
}

TEST_CASE("large rows are not gathered with the small ones they queue among", "[batched]") {
  const ManualExecutor executor;
  Seen seen;
  const auto graph =
      batched(executor, ends(seen, {.mixed_shapes = true}), always_queued, at_most_four);
  std::vector<BatchEar<float>> ears(6);
  const std::vector<std::int64_t> sizes{2, 3, large, 5, large + 7, 1};
  std::vector<Tensor> rows;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    rows.push_back(marked({sizes[i]}, static_cast<float>(i)));
    graph.submit(rows[i], {}, ears[i].listen());
  }
  executor.run_ready();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    CAPTURE(i);
    CHECK(ears[i].value() == 2 * static_cast<float>(i));
    CHECK(seen.rows[i] == rows[i].data());  // ragged rows never are copied
  }
  CHECK(seen.sizes == Sizes{2, 1, 1, 1, 1});
}

TEST_CASE("a request of large rows is split, and answered in order", "[batched]") {
  const ManualExecutor executor;
  Seen seen;
  const auto graph = batched(executor, ends(seen), always_queued, SizeOrDelay{2, 0ns});
  Rows<Tensor> five;
  for (int i = 0; i < 5; ++i) five.push_back(marked({large}, static_cast<float>(i == 3 ? -1 : i)));
  const Rows<Tensor> kept = five;
  BatchEar<float> many, small, other;
  graph.submit_rows(std::move(five), {}, many.listen(5));
  graph.submit(marked({4}, 7), {}, small.listen());
  graph.submit(marked({large}, 8), {}, other.listen());
  executor.run_ready();
  for (std::size_t i = 0; i < 5; ++i) {
    CAPTURE(i);
    CHECK(many.status(i) == (i == 3 ? Status::invalid_argument : Status::ok));
    if (i != 3) CHECK(many.value(i) == 2 * static_cast<float>(i));
  }
  CHECK(small.value() == 14);
  CHECK(other.value() == 16);
  std::size_t copied = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    copied += std::count(seen.rows.begin(), seen.rows.end(), kept[i].data()) == 1 ? 0U : 1U;
  }
  CHECK(copied == 0);
  CHECK(std::count(seen.sizes.begin(), seen.sizes.end(), 2) == 2);  // the fifth goes alone
}

TEST_CASE("large rows of a stateful servable run where they lie too", "[batched]") {
  const ManualExecutor executor;
  Seen seen;
  const auto graph = batched(executor, ends(seen, {.stateful = true}), always_queued, at_most_four);
  const std::vector<galley::Key> keys{1, 2, 1};
  std::vector<BatchEar<float>> ears(3);
  std::vector<Tensor> rows;
  for (std::size_t i = 0; i < 3; ++i) {
    rows.push_back(marked({large}, static_cast<float>(i)));
    Rows<Tensor> one;
    one.push_back(rows[i]);
    graph.submit_rows(std::move(one), {}, ears[i].listen(1), {.keys = std::span(&keys[i], 1)});
  }
  executor.run_ready();
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(ears[i].value() == 2 * static_cast<float>(i));
    CHECK(seen.rows[i] == rows[i].data());
  }
  CHECK(seen.sizes == Sizes{1, 1, 1});
}

TEST_CASE("large rows are filled up to a size, as any", "[batched]") {
  const ManualExecutor executor;
  Seen seen;
  BatchOptions options = always_queued;
  options.max_rows = 2;
  options.sizes = {2};
  const auto graph = batched(executor, ends(seen), options);
  std::vector<BatchEar<float>> ears(2);
  graph.submit(marked({large}, 1), {}, ears[0].listen());
  graph.submit(marked({large}, 2), {}, ears[1].listen());
  executor.run_ready();
  CHECK(ears[0].value() == 2);
  CHECK(ears[1].value() == 4);
  CHECK(seen.sizes == Sizes{2, 2});
}

TEST_CASE("named tensors that are large together are not gathered", "[batched]") {
  const ManualExecutor executor;
  Sizes sizes;
  std::vector<const void*> data;
  const auto graph =
      batched(executor,
              galley::map_batch("ends",
                                [&](const Rows<NamedTensors>& rows) {
                                  sizes.push_back(rows.size());
                                  Rows<float> out;
                                  for (std::size_t i = 0; i < rows.size(); ++i) {
                                    const NamedTensors row = rows[i];
                                    data.push_back(row.find("a")->data());
                                    out.push_back((*row.find("a")->span<float>()).back() +
                                                  (*row.find("b")->span<float>()).back());
                                  }
                                  return out;
                                }),
              always_queued, at_most_four);
  const std::int64_t half = largest_gathered / 2;
  const std::int64_t more = GENERATE(0, 1);
  std::vector<BatchEar<float>> ears(2);
  std::vector<Tensor> as;
  for (std::size_t i = 0; i < 2; ++i) {
    as.push_back(marked({half}, static_cast<float>(i)));
    graph.submit(NamedTensors{{"a", as[i]}, {"b", marked({half + more}, 10)}}, {},
                 ears[i].listen());
  }
  executor.run_ready();
  CHECK(ears[0].value() == 10);
  CHECK(ears[1].value() == 11);
  CHECK(sizes == (more == 1 ? Sizes{1, 1} : Sizes{2}));
  for (std::size_t i = 0; i < 2; ++i) CHECK((data[i] == as[i].data()) == (more == 1));
}
