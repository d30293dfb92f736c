#include <galley/core/named_tensors.hpp>

#include <cstdint>
#include <memory_resource>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::f32;
using galley::NamedTensors;
using galley::RowIndex;
using galley::Rows;
using galley::Shape;
using galley::Status;
using galley::Tensor;

namespace {

Tensor pair(float a, float b) {
  return *Tensor::copy_of({a, b}, {2});
}
Tensor length(std::int64_t n) {
  return *Tensor::copy_of({n}, {});
}

NamedTensors sample(int i) {
  const auto x = static_cast<float>(i);
  return {{"image", pair(x, x + 1)}, {"length", length(i)}};
}

Rows<NamedTensors> samples(int n) {
  Rows<NamedTensors> rows;
  for (int i = 0; i < n; ++i) rows.push_back(sample(i));
  return rows;
}

}  // namespace

TEST_CASE("named tensors can be rows", "[named_tensors]") {
  STATIC_REQUIRE(galley::Row<NamedTensors>);
}

TEST_CASE("a tensor is found by its name", "[named_tensors]") {
  const NamedTensors row = sample(3);
  REQUIRE(row.size() == 2);
  REQUIRE(row.find("length") != nullptr);
  CHECK(*row.find("length") == length(3));
  CHECK(row.find("len") == nullptr);
  CHECK(*row.get("image") == pair(3, 4));
  CHECK(row.begin()->name == "image");
}

TEST_CASE("a missing name is answered with those there are", "[named_tensors]") {
  const auto missing = sample(0).get("mask");
  CHECK(missing.status() == Status::invalid_argument);
  CHECK(missing.error().detail ==
        "row of named tensors: expected \"mask\", got \"image\", \"length\"");
  CHECK(NamedTensors().get("mask").error().detail ==
        "row of named tensors: expected \"mask\", got none");
}

TEST_CASE("setting a name again replaces its tensor in place", "[named_tensors]") {
  NamedTensors row = sample(0);
  row.set("image", pair(8, 9));
  REQUIRE(row.size() == 2);
  CHECK(row.begin()->name == "image");
  CHECK(*row.find("image") == pair(8, 9));
  const NamedTensors twice = {{"a", pair(0, 0)}, {"a", pair(1, 1)}};
  CHECK(twice.size() == 1);
  CHECK(*twice.find("a") == pair(1, 1));
}

TEST_CASE("the order of names does not matter to equality", "[named_tensors]") {
  const NamedTensors other = {{"length", length(1)}, {"image", pair(1, 2)}};
  CHECK(other == sample(1));
  CHECK_FALSE(other == sample(2));
  CHECK_FALSE(other == NamedTensors{{"length", length(1)}});
  CHECK_FALSE(NamedTensors{{"a", length(1)}} == NamedTensors{{"b", length(1)}});
}

TEST_CASE("rows of the same names batch by column", "[named_tensors]") {
  Rows<NamedTensors> rows = samples(2);
  rows.push_back({{"length", length(2)}, {"image", pair(2, 3)}});  // in another order
  REQUIRE(rows.size() == 3);
  CHECK(rows.has_columns());
  CHECK(rows.columns().size() == 2);
  CHECK(rows == samples(3));
  const auto images = rows.column("image");
  REQUIRE(images.has_value());
  CHECK((*images)->dense()->shape() == Shape{3, 2});
  CHECK(*(*images)->dense() == *Tensor::copy_of({0.F, 1.F, 1.F, 2.F, 2.F, 3.F}, {3, 2}));
  const auto missing = rows.column("mask");
  CHECK(missing.status() == Status::invalid_argument);
  CHECK(missing.error().detail ==
        "columns of named tensors: expected \"mask\", got \"image\", \"length\"");
}

TEST_CASE("a row with other names stays as it is, and so do its neighbours", "[named_tensors]") {
  Rows<NamedTensors> rows = samples(2);
  const NamedTensors odd = {{"image", pair(5, 6)}};
  rows.push_back(odd);
  rows.push_back(sample(3));
  REQUIRE(rows.size() == 4);
  CHECK_FALSE(rows.has_columns());
  CHECK(rows.columns().empty());
  CHECK(rows[0] == sample(0));
  CHECK(rows[1] == sample(1));
  CHECK(rows[2] == odd);
  CHECK(rows[3] == sample(3));
  CHECK(rows.column("length").status() == Status::invalid_argument);
  CHECK(rows.column("length").error().detail == "row 2: expected \"length\", got \"image\"");
  CHECK(rows.column("image").error().detail == "column \"image\": the rows' names differ");

  const std::vector<RowIndex> good = {3, 0};
  const Rows<NamedTensors> chosen = rows.select(good);
  CHECK(chosen.has_columns());
  CHECK(chosen == Rows<NamedTensors>({sample(3), sample(0)}));
  CHECK_FALSE(rows.slice(1, 2).has_columns());
  CHECK(rows.slice(1, 2)[1] == odd);
}

TEST_CASE("whole columns become rows", "[named_tensors]") {
  const Tensor images = *Tensor::copy_of({0.F, 1.F, 1.F, 2.F}, {2, 2});
  const Tensor lengths = *Tensor::copy_of({std::int64_t{0}, std::int64_t{1}}, {2});
  const auto rows = Rows<NamedTensors>::of_columns(
      {{"image", *Rows<Tensor>::of_block(images)}, {"length", *Rows<Tensor>::of_block(lengths)}});
  REQUIRE(rows.has_value());
  CHECK(*rows == samples(2));
  CHECK((*rows->column("image"))->block()->data() == images.data());
}

TEST_CASE("columns that make no rows are refused", "[named_tensors]") {
  const auto column = [](std::int64_t n) {
    return *Rows<Tensor>::of_block(*Tensor::zeros(f32, {n, 2}));
  };
  const auto uneven = Rows<NamedTensors>::of_columns({{"a", column(2)}, {"b", column(3)}});
  CHECK(uneven.status() == Status::invalid_argument);
  CHECK(uneven.error().detail == "column \"b\": expected 2 rows as in \"a\", got 3");
  const auto twice = Rows<NamedTensors>::of_columns({{"a", column(2)}, {"a", column(2)}});
  CHECK(twice.status() == Status::invalid_argument);
  CHECK(twice.error().detail == "column \"a\": the name is there twice");
  CHECK(Rows<NamedTensors>::of_columns({}).status() == Status::invalid_argument);
}

TEST_CASE("select, slice and concatenate go column by column", "[named_tensors]") {
  const Rows<NamedTensors> rows = samples(5);
  const std::vector<RowIndex> indices = {4, 0, 0};
  CHECK(rows.select(indices) == Rows<NamedTensors>({sample(4), sample(0), sample(0)}));
  CHECK(rows.slice(1, 2) == Rows<NamedTensors>({sample(1), sample(2)}));
  CHECK(rows.slice(5, 0).empty());
  Rows<NamedTensors> parts[] = {rows.slice(0, 2), Rows<NamedTensors>(), rows.slice(2, 3)};
  const Rows<NamedTensors> all = Rows<NamedTensors>::concatenate(parts);
  CHECK(all.has_columns());
  CHECK(all == rows);
  for (const Rows<NamedTensors>& part : parts) CHECK(part.empty());
}

TEST_CASE("blocks of a column stay blocks when concatenated", "[named_tensors]") {
  const auto part = [] {
    return *Rows<NamedTensors>::of_columns(
        {{"a", *Rows<Tensor>::of_block(*Tensor::zeros(f32, {2, 3}))}});
  };
  Rows<NamedTensors> parts[] = {part(), part()};
  const Rows<NamedTensors> all = Rows<NamedTensors>::concatenate(parts);
  REQUIRE((*all.column("a"))->block() != nullptr);
  CHECK((*all.column("a"))->block()->shape() == Shape{4, 3});
}

TEST_CASE("batches of different names concatenate to plain rows", "[named_tensors]") {
  const NamedTensors odd = {{"image", pair(5, 6)}};
  Rows<NamedTensors> parts[] = {samples(2), Rows<NamedTensors>::single(odd)};
  const Rows<NamedTensors> all = Rows<NamedTensors>::concatenate(parts);
  REQUIRE(all.size() == 3);
  CHECK_FALSE(all.has_columns());
  CHECK(all[1] == sample(1));
  CHECK(all[2] == odd);
}

TEST_CASE("an emptied batch of named tensors starts afresh with any names", "[named_tensors]") {
  Rows<NamedTensors> rows = samples(2);
  const Rows<NamedTensors> moved = std::move(rows);
  CHECK(moved == samples(2));
  CHECK(rows.empty());  // NOLINT: the state after a move is what is tested
  rows.push_back({{"other", length(1)}});
  CHECK(rows.has_columns());
  CHECK(rows.column("other").has_value());
  Rows<NamedTensors> none = samples(2).slice(0, 0);
  none.push_back({{"other", length(1)}});
  CHECK(none == rows);
  Rows<NamedTensors> nameless;
  nameless.push_back({});
  nameless.push_back({});
  CHECK(nameless.size() == 2);
  CHECK(nameless[1].empty());
}

TEST_CASE("owned named tensors outlive what they were borrowed from", "[named_tensors]") {
  Rows<NamedTensors> columns;
  Rows<NamedTensors> plain;
  {
    const std::vector<float> values = {1, 2};
    const NamedTensors borrowed = {{"image", *Tensor::view(values, {2})}};
    columns = *Rows<NamedTensors>::single(borrowed).owned();
    plain = *Rows<NamedTensors>({borrowed, sample(1)}).owned();
  }
  CHECK(columns[0] == NamedTensors{{"image", pair(1, 2)}});
  CHECK(plain[0] == columns[0]);
  CHECK(plain[1] == sample(1));
}

TEST_CASE("rows of named tensors say whether they may be kept", "[named_tensors]") {
  std::vector<float> numbers{1, 2};
  const Tensor lent = *Tensor::view(numbers, {2}), own = *lent.owned();
  CHECK(Rows<NamedTensors>().is_owned());
  CHECK(Rows<NamedTensors>{NamedTensors{{"a", own}, {"b", own}}}.is_owned());
  CHECK_FALSE(Rows<NamedTensors>{NamedTensors{{"a", own}, {"b", lent}}}.is_owned());
  const NamedTensors a{{"a", own}};
  CHECK(Rows<NamedTensors>{a, NamedTensors{{"b", own}}}.is_owned());
  CHECK_FALSE(Rows<NamedTensors>{a, NamedTensors{{"b", lent}}}.is_owned());
  std::pmr::monotonic_buffer_resource workspace;
  CHECK_FALSE(Rows<NamedTensors>(std::span(&a, 1), &workspace).is_owned());
  CHECK(Rows<NamedTensors>{NamedTensors{{"a", lent}}}.owned()->is_owned());
}
