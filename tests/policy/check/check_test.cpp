#include <galley/core/named_tensors.hpp>
#include <galley/policy/check.hpp>
#include <galley/policy/check/all_of.hpp>
#include <galley/policy/check/field.hpp>
#include <galley/policy/check/finite.hpp>
#include <galley/policy/check/in_range.hpp>
#include <galley/policy/check/shape_is.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::all_of;
using galley::check_row;
using galley::dtype_is;
using galley::Error;
using galley::f32;
using galley::field;
using galley::finite;
using galley::in_range;
using galley::NamedTensors;
using galley::passes_rows;
using galley::Result;
using galley::Rows;
using galley::shape_is;
using galley::Status;
using galley::Tensor;

namespace {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

/// What a check says of a row; empty where it is fit.
template <class C, class In>
std::string said(const C& check, const In& row) {
  const Result<void> good = check_row(check, row);
  return good.has_value() ? "" : to_string(good.error());
}

Tensor vector_of(std::vector<float> numbers) {
  const std::size_t n = numbers.size();
  return *Tensor::from(std::move(numbers), {n});
}

}  // namespace

TEST_CASE("a number, a range of them and a tensor are finite or say where not", "[check]") {
  CHECK(said(finite(), 1.5) == "");
  CHECK(said(finite(), not_a_number) == "invalid_argument: expected a finite number, got nan");
  CHECK(said(finite(), -infinity) == "invalid_argument: expected a finite number, got -inf");
  CHECK(said(finite(), 7) == "");
  CHECK(said(finite(), std::vector<double>{1, 2, std::numeric_limits<double>::infinity()}) ==
        "invalid_argument: element 2: expected a finite number, got inf");
  CHECK(said(finite(), std::array<float, 3>{0, not_a_number, not_a_number}) ==
        "invalid_argument: element 1: expected a finite number, got nan");
  CHECK(said(finite(), std::vector<float>{}) == "");
  for (std::size_t n : {1U, 63U, 64U, 65U, 200U}) {
    for (std::size_t bad = 0; bad < n; ++bad) {
      std::vector<float> numbers(n, std::numeric_limits<float>::max());
      REQUIRE(said(finite(), vector_of(numbers)) == "");
      numbers[bad] = bad % 2 == 0 ? not_a_number : infinity;
      REQUIRE(said(finite(), vector_of(numbers)) ==
              "invalid_argument: element " + std::to_string(bad) +
                  ": expected a finite number, got " + (bad % 2 == 0 ? "nan" : "inf"));
    }
  }
}

TEST_CASE("16-bit numbers are looked at by their bits", "[check]") {
  const auto half = [](std::uint16_t bits, galley::DType dtype) {
    static std::vector<std::uint16_t> memory;
    memory = {0, bits};
    return *Tensor::adopt(static_cast<const void*>(memory.data()), dtype, {2}, {}, {}, {});
  };
  const std::string wrong = "invalid_argument: element 1: expected a finite number, got ";
  CHECK(said(finite(), half(0x7bff, galley::f16)) == "");
  CHECK(said(finite(), half(0x7c00, galley::f16)) == wrong + "inf");
  CHECK(said(finite(), half(0xfc00, galley::f16)) == wrong + "-inf");
  CHECK(said(finite(), half(0x7c01, galley::f16)) == wrong + "nan");
  CHECK(said(finite(), half(0x7c01, galley::bf16)) == "");
  CHECK(said(finite(), half(0x7f80, galley::bf16)) == wrong + "inf");
  CHECK(said(finite(), half(0xffc1, galley::bf16)) == wrong + "nan");
  CHECK(said(in_range(0, 1), half(0, galley::f16)) ==
        "unimplemented: element 0: the range of 16-bit floating-point numbers");
}

TEST_CASE("numbers lie in a range, ends included, and nan in none", "[check]") {
  const auto unit = in_range(-1, 1);
  CHECK(said(unit, vector_of({-1, 0, 1})) == "");
  CHECK(said(unit, vector_of({0, 1.5F})) ==
        "invalid_argument: element 1: expected a number in [-1, 1], got 1.5");
  CHECK(said(unit, vector_of({not_a_number})) ==
        "invalid_argument: element 0: expected a number in [-1, 1], got nan");
  CHECK(said(unit, 2) == "invalid_argument: expected a number in [-1, 1], got 2");
  CHECK(said(unit, std::vector<std::int64_t>{0, -2}) ==
        "invalid_argument: element 1: expected a number in [-1, 1], got -2");
  std::vector<float> many(300, 1);
  many[297] = -1.25F;
  CHECK(said(unit, many) ==
        "invalid_argument: element 297: expected a number in [-1, 1], got -1.25");
}

TEST_CASE("elements are those of every dtype, in row-major order", "[check]") {
  const auto three = in_range(0, 3);
  const std::string wrong = "invalid_argument: element 1: expected a number in [0, 3], got ";
  CHECK(said(three, *Tensor::copy_of({0., 4.}, {2})) == wrong + "4");
  CHECK(said(three, *Tensor::copy_of({std::int8_t{0}, std::int8_t{-1}}, {2})) == wrong + "-1");
  CHECK(said(three, *Tensor::copy_of({std::int16_t{0}, std::int16_t{4}}, {2})) == wrong + "4");
  CHECK(said(three, *Tensor::copy_of({std::int32_t{0}, std::int32_t{4}}, {2})) == wrong + "4");
  CHECK(said(three, *Tensor::copy_of({std::int64_t{0}, std::int64_t{4}}, {2})) == wrong + "4");
  CHECK(said(three, *Tensor::copy_of({std::uint8_t{0}, std::uint8_t{255}}, {2})) == wrong + "255");
  CHECK(said(three, *Tensor::copy_of({true, false}, {2})) == "");
  CHECK(said(finite(), *Tensor::copy_of({true, false}, {2})) == "");
  // A transposed view [3, 2] of [2, 3]: its element 4 lies third.
  const std::vector<float> memory{0, 1, 9, 3, 2, 1};
  const std::vector<std::int64_t> strides{1, 3};
  CHECK(said(three, *Tensor::view(memory, {3, 2}, strides)) ==
        "invalid_argument: element 4: expected a number in [0, 3], got 9");
  CHECK(said(three, *Tensor::zeros(f32, {0, 5})) == "");
}

TEST_CASE("a tensor that is undefined or not in host memory is not looked at", "[check]") {
  CHECK(said(finite(), Tensor()) ==
        "invalid_argument: expected elements in host memory, got an undefined tensor");
  int nothing = 0;
  const auto there =
      *Tensor::adopt(static_cast<void*>(&nothing), f32, {1}, {}, galley::Device("cuda", 0), {});
  CHECK(said(finite(), there) ==
        "invalid_argument: expected elements in host memory, got float32 [1] on cuda:0");
  CHECK(said(shape_is({1}), there) == "");
}

TEST_CASE("shape and dtype are compared without looking at elements", "[check]") {
  const Tensor row = *Tensor::zeros(f32, {1, 8});
  CHECK(said(shape_is({1, 8}), row) == "");
  CHECK(said(shape_is({1, galley::any}), row) == "");
  CHECK(said(shape_is({8}), row) == "invalid_argument: expected shape [8], got float32 [1, 8]");
  CHECK(said(shape_is({8}), Tensor()) ==
        "invalid_argument: expected shape [8], got an undefined tensor");
  CHECK(said(dtype_is(f32), row) == "");
  CHECK(said(dtype_is(galley::i64), row) == "invalid_argument: expected int64, got float32 [1, 8]");
}

TEST_CASE("a batch in one piece is passed at one look, or row by row", "[check]") {
  Tensor block = *Tensor::zeros(f32, {4, 3});
  const auto all = all_of(shape_is({3}), dtype_is(f32), finite(), in_range(0, 1));
  CHECK(passes_rows(all, *Rows<Tensor>::of_block(block)));
  CHECK_FALSE(passes_rows(all, Rows<Tensor>{block.row(0), block.row(1)}));
  block.mutable_data<float>()[5] = 2;
  CHECK_FALSE(passes_rows(all, *Rows<Tensor>::of_block(block)));
  CHECK(passes_rows(finite(), *Rows<Tensor>::of_block(block)));
  CHECK_FALSE(passes_rows(shape_is({4}), *Rows<Tensor>::of_block(block)));
  CHECK_FALSE(passes_rows(dtype_is(galley::f64), *Rows<Tensor>::of_block(block)));
  CHECK(passes_rows(finite(), Rows<float>{1, 2}));
  CHECK_FALSE(passes_rows(finite(), Rows<float>{1, not_a_number}));
  CHECK_FALSE(passes_rows([](float) { return true; }, Rows<float>{1}));
}

TEST_CASE("checks are combined, and the first that is not met says so", "[check]") {
  const auto even = [](int n) { return n % 2 == 0; };
  const auto small = [](int n) -> Result<void> {
    if (n > 9) return Error(Status::not_found, "too large");
    return {};
  };
  const auto both = all_of(even, small);
  CHECK(said(both, 4) == "");
  CHECK(said(both, 3) == "invalid_argument: refused");
  CHECK(said(both, 12) == "not_found: too large");
  CHECK(said(all_of(), 1) == "");
  CHECK(
      all_of(finite(), even, in_range(0, 2.5), shape_is({1, galley::any}), dtype_is(f32)).text() ==
      "finite, a function, in [0, 2.5], shape [1, ?], float32");
}

TEST_CASE("a check of a part names it", "[check]") {
  struct Person {
    float age = 0;
    std::vector<float> face = {};
  };
  const auto person = all_of(field("age", &Person::age, in_range(0, 150)),
                             field(
                                 "face", [](const Person& p) { return p.face; }, finite()));
  CHECK(said(person, Person{30, {1, 2}}) == "");
  CHECK(said(person, Person{300, {}}) ==
        "invalid_argument: age: expected a number in [0, 150], got 300");
  CHECK(said(person, Person{30, {1, not_a_number}}) ==
        "invalid_argument: face: element 1: expected a finite number, got nan");
  CHECK(person.text() == "age: in [0, 150], face: finite");
  const auto named = field("pixels", finite());
  NamedTensors row;
  CHECK(said(named, row) == "invalid_argument: expected \"pixels\", got none of that name");
  row.set("pixels", vector_of({infinity}));
  CHECK(said(named, row) ==
        "invalid_argument: \"pixels\": element 0: expected a finite number, got inf");
  row.set("pixels", vector_of({1}));
  CHECK(said(named, row) == "");
  CHECK(named.text() == "\"pixels\": finite");
}
