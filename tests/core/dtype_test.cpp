#include <galley/core/dtype.hpp>

#include <cstdint>
#include <string>

#include <support/catch.hpp>

TEST_CASE("a dtype has its size and its name", "[dtype]") {
  struct Case {
    galley::DType dtype;
    std::size_t size;
    std::string name;
  };
  const Case cases[] = {
      {galley::f32, 4, "float32"},   {galley::f64, 8, "float64"}, {galley::f16, 2, "float16"},
      {galley::bf16, 2, "bfloat16"}, {galley::i8, 1, "int8"},     {galley::i16, 2, "int16"},
      {galley::i32, 4, "int32"},     {galley::i64, 8, "int64"},   {galley::u8, 1, "uint8"},
      {galley::boolean, 1, "bool"},
  };
  for (const Case& c : cases) {
    CHECK(galley::size_of(c.dtype) == c.size);
    CHECK(std::string(galley::to_string(c.dtype)) == c.name);
  }
}

TEST_CASE("a number that is no dtype has size 0 and no table is overrun", "[dtype]") {
  const auto none = static_cast<galley::DType>(200);
  CHECK(galley::size_of(none) == 0);
  CHECK(galley::to_string(none) == "unknown");
}

TEST_CASE("the dtype of a C++ type is known and has that type's size", "[dtype]") {
  STATIC_REQUIRE(galley::dtype_of<float> == galley::f32);
  STATIC_REQUIRE(galley::dtype_of<double> == galley::f64);
  STATIC_REQUIRE(galley::dtype_of<std::int8_t> == galley::i8);
  STATIC_REQUIRE(galley::dtype_of<std::int16_t> == galley::i16);
  STATIC_REQUIRE(galley::dtype_of<std::int32_t> == galley::i32);
  STATIC_REQUIRE(galley::dtype_of<std::int64_t> == galley::i64);
  STATIC_REQUIRE(galley::dtype_of<std::uint8_t> == galley::u8);
  STATIC_REQUIRE(galley::dtype_of<bool> == galley::boolean);
}

TEST_CASE("types that no tensor holds are not elements", "[dtype]") {
  STATIC_REQUIRE(galley::Element<float>);
  STATIC_REQUIRE_FALSE(galley::Element<const float>);
  STATIC_REQUIRE_FALSE(galley::Element<char>);
  STATIC_REQUIRE_FALSE(galley::Element<std::uint64_t>);
  STATIC_REQUIRE_FALSE(galley::Element<long double>);
  STATIC_REQUIRE_FALSE(galley::Element<std::string>);
}

TEST_CASE("only floating dtypes can hold NaN", "[dtype]") {
  STATIC_REQUIRE(galley::is_floating(galley::bf16));
  STATIC_REQUIRE(galley::is_floating(galley::f64));
  STATIC_REQUIRE_FALSE(galley::is_floating(galley::i64));
  STATIC_REQUIRE_FALSE(galley::is_floating(galley::boolean));
}
