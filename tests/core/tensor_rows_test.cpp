#include <galley/core/batch.hpp>
#include <galley/core/tensor_rows.hpp>

#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::any;
using galley::Batch;
using galley::Device;
using galley::f32;
using galley::Owner;
using galley::RowIndex;
using galley::Rows;
using galley::Shape;
using galley::Status;
using galley::Tensor;

namespace {

/// A block [n, width] that counts from `first`.
Tensor counting(std::int64_t n, std::int64_t width, float first = 0) {
  std::vector<float> values(static_cast<std::size_t>(n * width));
  std::iota(values.begin(), values.end(), first);
  return *Tensor::from(std::move(values), {n, width});
}

Tensor row_of(std::vector<float> values) {
  const auto n = static_cast<std::int64_t>(values.size());
  return *Tensor::from(std::move(values), {n});
}

Rows<Tensor> block_of(const Tensor& block) {
  return *Rows<Tensor>::of_block(block);
}

/// Rows [0 1] [2 3] ... [2n-2 2n-1], kept one by one.
Rows<Tensor> ragged_pairs(std::size_t n) {
  Rows<Tensor> rows;
  for (std::size_t i = 0; i < n; ++i) {
    rows.push_back(row_of({static_cast<float>(2 * i), static_cast<float>(2 * i + 1)}));
  }
  return rows;
}

Tensor on_fake_device(const Shape& shape) {
  auto* nowhere = reinterpret_cast<void*>(std::uintptr_t{0x1000});
  return *Tensor::adopt(nowhere, f32, shape, {}, Device("fakechip"), Owner());
}

template <class T>
bool lies_within(const T& object, const void* place) {
  const auto* first = reinterpret_cast<const std::byte*>(&object);
  return place >= first && place < first + sizeof(T);
}

}  // namespace

TEST_CASE("tensors can be rows", "[tensor_rows]") {
  STATIC_REQUIRE(galley::Row<Tensor>);
  STATIC_REQUIRE(std::is_nothrow_move_constructible_v<Rows<Tensor>>);
  const Rows<Tensor> none;
  CHECK(none.empty());
  CHECK(none.block() == nullptr);
  CHECK(none.ragged().empty());
  CHECK(none.is_uniform());
}

TEST_CASE("a block is read row by row without copying", "[tensor_rows]") {
  const Tensor block = counting(3, 2);
  const Rows<Tensor> rows = block_of(block);
  REQUIRE(rows.size() == 3);
  CHECK(rows.block() != nullptr);
  CHECK(rows.ragged().empty());
  CHECK(rows[1].shape() == Shape{2});
  CHECK(rows[1].data<float>() == block.data<float>() + 2);
}

TEST_CASE("a block that a backend vouches for is made in place", "[tensor_rows]") {
  std::vector<float> values = {0, 1, 2, 3, 4, 5};
  const std::vector<std::int64_t> extents = {3, 2};
  const std::vector<std::int64_t> strides = {2, 1};
  const Rows<Tensor> rows(galley::Unchecked{}, values.data(), f32,
                          std::span<const std::int64_t>(extents),
                          std::span<const std::int64_t>(strides), galley::cpu, galley::Owner());
  CHECK(rows == block_of(counting(3, 2)));
  CHECK(rows.block() != nullptr);
  CHECK(rows.size() == 3);
}

TEST_CASE("rows that are moved from give up their share in the memory", "[tensor_rows]") {
  auto block = block_of(counting(1, 2));
  auto ragged = Rows<Tensor>::single(row_of({1, 2}));
  const void* data = ragged[0].data();
  CHECK(std::move(block)[0] == row_of({0, 1}));
  CHECK(std::move(ragged)[0].data() == data);
}

TEST_CASE("what is no block is refused", "[tensor_rows]") {
  CHECK(Rows<Tensor>::of_block(Tensor()).status() == Status::invalid_argument);
  const auto scalar = Rows<Tensor>::of_block(*Tensor::zeros(f32, {}));
  CHECK(scalar.status() == Status::invalid_argument);
  CHECK(scalar.error().detail ==
        "a block: expected shape [n, ...] of fewer than 2^32 rows, got float32 []");
  const auto many = Rows<Tensor>::of_block(on_fake_device({std::int64_t{1} << 32}));
  CHECK(many.status() == Status::invalid_argument);
}

TEST_CASE("a single row lies inside the batch", "[tensor_rows]") {
  const Rows<Tensor> one = Rows<Tensor>::single(row_of({1, 2}));
  REQUIRE(one.size() == 1);
  REQUIRE(one.ragged().size() == 1);
  CHECK(lies_within(one, one.ragged().data()));
  CHECK(one[0] == row_of({1, 2}));
}

TEST_CASE("rows of any shape are kept as they are", "[tensor_rows]") {
  Rows<Tensor> rows;
  rows.push_back(row_of({1}));
  rows.push_back(row_of({1, 2}));
  rows.push_back(Tensor());
  REQUIRE(rows.size() == 3);
  CHECK(rows.ragged().size() == 3);
  CHECK(rows[0] == row_of({1}));
  CHECK(rows[1] == row_of({1, 2}));
  CHECK_FALSE(rows[2].is_defined());
  CHECK_FALSE(rows.is_uniform());
}

TEST_CASE("reserving does not change what is in a batch", "[tensor_rows]") {
  for (std::size_t before : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
    Rows<Tensor> rows = ragged_pairs(before);
    rows.reserve(10);
    for (std::size_t i = before; i < 5; ++i) rows.push_back(ragged_pairs(5)[i]);
    CHECK(rows == ragged_pairs(5));
    CHECK(rows.ragged().size() == 5);
  }
}

TEST_CASE("pushing a row to a block keeps the rows before it", "[tensor_rows]") {
  Rows<Tensor> rows = block_of(counting(2, 2));
  rows.push_back(row_of({7}));
  REQUIRE(rows.size() == 3);
  CHECK(rows.block() == nullptr);
  CHECK(rows[1] == row_of({2, 3}));
  CHECK(rows[2] == row_of({7}));

  Rows<Tensor> none = block_of(counting(0, 2));
  none.push_back(row_of({7}));
  CHECK(none == Rows<Tensor>::single(row_of({7})));
}

TEST_CASE("copies share rows and moves leave an empty batch", "[tensor_rows]") {
  for (Rows<Tensor> rows :
       {ragged_pairs(1), ragged_pairs(3), block_of(counting(3, 2)), Rows<Tensor>()}) {
    const std::size_t size = rows.size();
    Rows<Tensor> copy = rows;
    CHECK(copy == rows);
    Rows<Tensor> moved = std::move(copy);
    CHECK(moved == rows);
    CHECK(copy.empty());  // NOLINT: the state after a move is what is tested
    CHECK(copy.block() == nullptr);
    CHECK(copy.ragged().empty());
    copy = std::move(moved);
    CHECK(copy.size() == size);
    CHECK(copy == rows);
    moved.push_back(row_of({5}));  // NOLINT: and that it can be used again
    CHECK(moved[0] == row_of({5}));
    Rows<Tensor>& self = copy;
    copy = std::move(self);
    CHECK(copy == rows);
  }
}

TEST_CASE("dense copies uniform ragged rows into one aligned block", "[tensor_rows]") {
  const Rows<Tensor> rows = ragged_pairs(3);
  CHECK(rows.is_uniform());
  const auto block = rows.dense();
  REQUIRE(block.has_value());
  CHECK(*block == counting(3, 2));
  CHECK(reinterpret_cast<std::uintptr_t>(block->data()) % galley::memory_alignment == 0);
}

TEST_CASE("dense copies strided rows in their logical order", "[tensor_rows]") {
  const std::vector<float> columns = {0, 2, 1, 3};
  const std::vector<std::int64_t> strides = {1, 2};
  const Tensor row = *Tensor::view(columns, {2, 2}, strides);
  const auto block = Rows<Tensor>({row, row}).dense();
  REQUIRE(block.has_value());
  CHECK(*block == *Tensor::copy_of({0.F, 1.F, 2.F, 3.F, 0.F, 1.F, 2.F, 3.F}, {2, 2, 2}));
}

TEST_CASE("a block and a single row become dense without a copy", "[tensor_rows]") {
  const Tensor block = counting(3, 2);
  CHECK(block_of(block).dense()->data() == block.data());

  const Tensor row = row_of({1, 2});
  const auto one = Rows<Tensor>::single(row).dense();
  REQUIRE(one.has_value());
  CHECK(one->shape() == Shape{1, 2});
  CHECK(one->data() == row.data());

  const Tensor far = on_fake_device({2});
  CHECK(Rows<Tensor>::single(far).dense()->data() == far.data());
}

TEST_CASE("rows that make no block are refused, naming the row", "[tensor_rows]") {
  const Tensor pair = row_of({1, 2});
  const auto said = [](const Rows<Tensor>& rows) {
    const auto block = rows.dense();
    CHECK(block.status() == Status::invalid_argument);
    return block.has_value() ? std::string() : block.error().detail;
  };
  CHECK(said({pair, row_of({1, 2, 3})}) ==
        "row 1: expected float32 [2] in host memory as row 0, got float32 [3]");
  CHECK(said({pair, pair, *Tensor::zeros(galley::f64, {2})}) ==
        "row 2: expected float32 [2] in host memory as row 0, got float64 [2]");
  CHECK(said({pair, Tensor()}) ==
        "row 1: expected float32 [2] in host memory as row 0, got an undefined tensor");
  CHECK(said({pair, on_fake_device({2})}) ==
        "row 1: expected float32 [2] in host memory as row 0, got float32 [2] on fakechip");
  CHECK(said({Tensor(), pair}) == "a row: got an undefined tensor");
  CHECK(said({}) == "a block of no rows: the shape of a row is not known");
}

TEST_CASE("a run of a block is selected as a view", "[tensor_rows]") {
  const Tensor block = counting(5, 2);
  const Rows<Tensor> rows = block_of(block);
  const std::vector<RowIndex> run = {1, 2, 3};
  const Rows<Tensor> chosen = rows.select(run);
  REQUIRE(chosen.block() != nullptr);
  CHECK(chosen.block()->data<float>() == block.data<float>() + 2);
  CHECK(chosen == rows.slice(1, 3));
  CHECK(rows.select({}).empty());
  CHECK(rows.select({}).block()->shape() == Shape{0, 2});
}

TEST_CASE("any other choice from a block is one new block", "[tensor_rows]") {
  const Rows<Tensor> rows = block_of(counting(5, 2));
  for (const std::vector<RowIndex>& indices :
       std::vector<std::vector<RowIndex>>{{4, 0, 0, 2}, {1, 3}, {3, 2, 1}, {2, 2}}) {
    const Rows<Tensor> chosen = rows.select(indices);
    REQUIRE(chosen.block() != nullptr);
    REQUIRE(chosen.size() == indices.size());
    for (std::size_t i = 0; i < indices.size(); ++i) CHECK(chosen[i] == rows[indices[i]]);
  }
}

TEST_CASE("rows of a strided block are selected by their logical content", "[tensor_rows]") {
  const std::vector<float> columns = {0, 2, 4, 1, 3, 5};  // [[0, 1], [2, 3], [4, 5]]
  const std::vector<std::int64_t> strides = {1, 3};
  const Rows<Tensor> rows = block_of(*Tensor::view(columns, {3, 2}, strides));
  const std::vector<RowIndex> indices = {2, 0};
  CHECK(rows.select(indices) == Rows<Tensor>({row_of({4, 5}), row_of({0, 1})}));
  CHECK(rows.slice(1, 2) == Rows<Tensor>({row_of({2, 3}), row_of({4, 5})}));
  Rows<Tensor> parts[] = {rows, rows};
  CHECK(*Rows<Tensor>::concatenate(parts).block() ==
        *Tensor::copy_of({0.F, 1.F, 2.F, 3.F, 4.F, 5.F, 0.F, 1.F, 2.F, 3.F, 4.F, 5.F}, {6, 2}));
}

TEST_CASE("rows on another device are selected without reading them", "[tensor_rows]") {
  const Rows<Tensor> rows = block_of(on_fake_device({3, 2}));
  const std::vector<RowIndex> indices = {2, 0};
  const Rows<Tensor> chosen = rows.select(indices);
  CHECK(chosen.block() == nullptr);
  REQUIRE(chosen.size() == 2);
  CHECK(chosen[0].data() == rows[2].data());
  CHECK(chosen[1].data() == rows[0].data());

  Rows<Tensor> parts[] = {rows, rows};
  const Rows<Tensor> all = Rows<Tensor>::concatenate(parts);
  REQUIRE(all.size() == 6);
  CHECK(all.block() == nullptr);
  CHECK(all[5].data() == rows[2].data());
}

TEST_CASE("ragged rows are selected and sliced sharing memory", "[tensor_rows]") {
  const Rows<Tensor> rows = ragged_pairs(4);
  const std::vector<RowIndex> indices = {3, 1, 1};
  const Rows<Tensor> chosen = rows.select(indices);
  CHECK(chosen == Rows<Tensor>({rows[3], rows[1], rows[1]}));
  CHECK(chosen[0].data() == rows[3].data());
  CHECK(rows.slice(1, 2) == Rows<Tensor>({rows[1], rows[2]}));
  CHECK(rows.slice(4, 0).empty());
}

TEST_CASE("blocks of one row type concatenate to one block", "[tensor_rows]") {
  Rows<Tensor> parts[] = {block_of(counting(2, 2)), block_of(counting(0, 2)), Rows<Tensor>(),
                          block_of(counting(3, 2, 4))};
  const Rows<Tensor> all = Rows<Tensor>::concatenate(parts);
  REQUIRE(all.block() != nullptr);
  CHECK(*all.block() == counting(5, 2));
  for (const Rows<Tensor>& part : parts) CHECK(part.empty());
}

TEST_CASE("other batches concatenate to ragged rows in order", "[tensor_rows]") {
  Rows<Tensor> wide[] = {block_of(counting(2, 2)), block_of(counting(1, 3))};
  const Rows<Tensor> all = Rows<Tensor>::concatenate(wide);
  CHECK(all == Rows<Tensor>({row_of({0, 1}), row_of({2, 3}), row_of({0, 1, 2})}));
  CHECK(all.block() == nullptr);

  Rows<Tensor> mixed[] = {block_of(counting(2, 2)), ragged_pairs(2)};
  CHECK(Rows<Tensor>::concatenate(mixed).size() == 4);

  Rows<Tensor> singles[] = {ragged_pairs(1), ragged_pairs(1), ragged_pairs(1)};
  CHECK(Rows<Tensor>::concatenate(singles).dense()->shape() == Shape{3, 2});
}

TEST_CASE("the only part with rows is handed on as it is", "[tensor_rows]") {
  const Tensor block = counting(2, 2);
  Rows<Tensor> parts[] = {Rows<Tensor>(), block_of(block), Rows<Tensor>()};
  const Rows<Tensor> all = Rows<Tensor>::concatenate(parts);
  CHECK(all.block()->data() == block.data());
  CHECK(parts[1].empty());
  CHECK(Rows<Tensor>::concatenate({}).empty());
  Rows<Tensor> nothing[] = {Rows<Tensor>(), Rows<Tensor>()};
  CHECK(Rows<Tensor>::concatenate(nothing).empty());
}

TEST_CASE("select undoes concatenate, whatever the form", "[tensor_rows]") {
  for (const Rows<Tensor>& rows : {ragged_pairs(5), block_of(counting(5, 2))}) {
    const std::vector<RowIndex> even = {0, 2, 4};
    const std::vector<RowIndex> odd = {1, 3};
    Rows<Tensor> parts[] = {rows.select(even), rows.select(odd)};
    const Rows<Tensor> shuffled = Rows<Tensor>::concatenate(parts);
    const std::vector<RowIndex> back = {0, 3, 1, 4, 2};
    CHECK(shuffled.select(back) == rows);
  }
}

TEST_CASE("owned rows outlive what they were borrowed from", "[tensor_rows]") {
  Rows<Tensor> block;
  Rows<Tensor> ragged;
  {
    std::vector<float> values = {1, 2, 3, 4};
    const Tensor borrowed = *Tensor::view(values, {2, 2});
    block = *block_of(borrowed).owned();
    ragged = *Rows<Tensor>({borrowed.row(1), row_of({9})}).owned();
  }
  CHECK(block == Rows<Tensor>({row_of({1, 2}), row_of({3, 4})}));
  CHECK(block.block() != nullptr);
  CHECK(ragged == Rows<Tensor>({row_of({3, 4}), row_of({9})}));
  CHECK(Rows<Tensor>::single(on_fake_device({2})).owned().status() == Status::invalid_argument);
}

TEST_CASE("fresh rows come from the workspace", "[tensor_rows]") {
  std::byte buffer[8192];
  std::pmr::monotonic_buffer_resource workspace(buffer, sizeof buffer,
                                                std::pmr::null_memory_resource());
  const auto inside = [&](const void* place) {
    return place >= static_cast<const void*>(buffer) &&
           place < static_cast<const void*>(buffer + sizeof buffer);
  };
  const Rows<Tensor> blocks = block_of(counting(4, 2));
  const std::vector<RowIndex> indices = {3, 0};
  CHECK(inside(blocks.select(indices, &workspace).block()->data()));
  CHECK(inside(ragged_pairs(3).dense(&workspace)->data()));
  CHECK(inside(ragged_pairs(4).select(indices, &workspace).ragged().data()));
  Rows<Tensor> parts[] = {blocks, blocks};
  CHECK(inside(Rows<Tensor>::concatenate(parts, &workspace).block()->data()));
  const Rows<Tensor> lent = ragged_pairs(3).slice(0, 3, &workspace);
  const Rows<Tensor> copy = lent;
  CHECK(inside(lent.ragged().data()));
  CHECK_FALSE(inside(copy.ragged().data()));
}

TEST_CASE("a batch of tensors is a view that reads rows and becomes rows again", "[tensor_rows]") {
  const Rows<Tensor> rows = block_of(counting(4, 2));
  const Batch<Tensor> all(rows);
  CHECK(all.whole() == &rows);
  CHECK(all[2] == row_of({4, 5}));
  CHECK(all.to_rows().block()->data() == rows.block()->data());
  CHECK(all.slice(1, 2).to_rows() == rows.slice(1, 2));
  const std::vector<RowIndex> indices = {3, 1};
  CHECK(all.at_places(indices).to_rows() == rows.select(indices));
}
