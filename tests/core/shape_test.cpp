#include <galley/core/shape.hpp>

#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include <support/catch.hpp>

using galley::any;
using galley::Shape;
using galley::Status;

TEST_CASE("a shape is built from braces and prints itself", "[shape]") {
  const Shape image = {1, 8, 8};
  CHECK(image.rank() == 3);
  CHECK(image[2] == 8);
  CHECK(to_string(image) == "[1, 8, 8]");
  CHECK(to_string(Shape{}) == "[]");
  CHECK(to_string(Shape{any, 8}) == "[?, 8]");
  STATIC_REQUIRE(std::is_trivially_copyable_v<Shape>);
}

TEST_CASE("more than eight extents do not compile", "[shape]") {
  STATIC_REQUIRE(std::is_constructible_v<Shape, int, int, int, int, int, int, int, int>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<Shape, int, int, int, int, int, int, int, int, int>);
}

TEST_CASE("extents known at run time are checked", "[shape]") {
  CHECK(*Shape::of(std::vector<std::int64_t>{2, any, 0}) == Shape{2, any, 0});
  CHECK(Shape::of(std::vector<std::int64_t>(8, 1)).has_value());

  const auto deep = Shape::of(std::vector<std::int64_t>(9, 1));
  CHECK(deep.status() == Status::invalid_argument);
  CHECK(deep.error().detail == "shape: expected at most 8 extents, got 9");

  const auto negative = Shape::of(std::vector<std::int64_t>{3, -2});
  CHECK(negative.status() == Status::invalid_argument);
  CHECK(negative.error().detail ==
        "shape: expected extents of 0 or more, or -1 for a free one, got -2");
}

TEST_CASE("the number of elements is the product of the extents", "[shape]") {
  STATIC_REQUIRE(Shape{1, 8, 8}.numel() == 64);
  STATIC_REQUIRE(Shape{}.numel() == 1);
  STATIC_REQUIRE(Shape{3, 0}.numel() == 0);
}

TEST_CASE("a shape without a number of elements says so instead of overflowing", "[shape]") {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  CHECK_FALSE(Shape{any, 8}.numel().has_value());
  CHECK_FALSE(Shape{most, 2}.numel().has_value());
  CHECK_FALSE(Shape{std::int64_t{1} << 32, std::int64_t{1} << 31}.numel().has_value());
  CHECK_FALSE(Shape{0, most, 2}.numel().has_value());
  CHECK(Shape{most, 1}.numel() == most);
  CHECK_FALSE(Shape{std::uint64_t{1} << 63}.is_fixed());
}

TEST_CASE("a shape matches a pattern where its extents are equal or free there", "[shape]") {
  CHECK(Shape{1, 8, 8}.matches({1, 8, 8}));
  CHECK(Shape{1, 8, 8}.matches({any, any, 8}));
  CHECK(Shape{}.matches({}));
  CHECK_FALSE(Shape{1, 8, 8}.matches({1, 8, 9}));
  CHECK_FALSE(Shape{1, 8}.matches({1, 8, any}));
  CHECK_FALSE(Shape{any}.matches({3}));
}

TEST_CASE("a block's shape is known by its rows'", "[shape]") {
  CHECK(Shape{5, 1, 8, 8}.rows_match({1, 8, 8}));
  CHECK(Shape{0, 1, 8, 8}.rows_match({any, any, 8}));
  CHECK(Shape{4}.rows_match({}));
  CHECK_FALSE(Shape{1, 8, 8}.rows_match({1, 8, 8}));
  CHECK_FALSE(Shape{5, 1, 8, 9}.rows_match({1, 8, 8}));
  CHECK_FALSE(Shape{}.rows_match({}));
}

TEST_CASE("a row's shape becomes a block's and a row's again", "[shape]") {
  const Shape row = {8, 8};
  CHECK(*row.batch_shape() == Shape{any, 8, 8});
  CHECK(*row.batch_shape(3) == Shape{3, 8, 8});
  CHECK(row.batch_shape(3)->row_shape() == row);
  CHECK(row.batch_shape(3)->with_rows(5) == Shape{5, 8, 8});
  CHECK(*Shape{}.batch_shape(4) == Shape{4});
  CHECK(Shape{4}.row_shape() == Shape{});
  CHECK(Shape{}.row_shape() == Shape{});
  CHECK(Shape{}.with_rows(2) == Shape{});
}

TEST_CASE("a row of eight dimensions does not fit a block", "[shape]") {
  const auto batch = Shape{1, 1, 1, 1, 1, 1, 1, 2}.batch_shape(1);
  CHECK(batch.status() == Status::invalid_argument);
  CHECK(batch.error().detail ==
        "a row to be put in a block: expected at most 7 extents, got [1, 1, 1, 1, 1, 1, 1, 2]");
}
