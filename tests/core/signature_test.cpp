#include <galley/core/signature.hpp>

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::any;
using galley::Batch;
using galley::Casualties;
using galley::Device;
using galley::f32;
using galley::NamedTensors;
using galley::Owner;
using galley::Rows;
using galley::Shape;
using galley::Signature;
using galley::Status;
using galley::Tensor;
using galley::TensorSpec;

namespace {

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

Tensor zeros(const Shape& shape, galley::DType dtype = f32) {
  return *Tensor::zeros(dtype, shape);
}

Tensor on_device(const Device& device, const Shape& shape) {
  auto* nowhere = reinterpret_cast<void*>(std::uintptr_t{0x1000});
  return *Tensor::adopt(nowhere, f32, shape, {}, device, Owner());
}

std::string said(const galley::Result<void>& result) {
  CHECK(result.status() == Status::invalid_argument);
  return result.has_value() ? std::string() : result.error().detail;
}

std::vector<std::uint32_t> rows_of(const Casualties& casualties) {
  std::vector<std::uint32_t> rows;
  for (const galley::Casualty& casualty : casualties) rows.push_back(casualty.row);
  return rows;
}

}  // namespace

TEST_CASE("a signature is written as it is read", "[signature]") {
  const std::vector<TensorSpec> inputs = {{"pixels", galley::f32, {1, 8, 8}}};
  const Signature signature = {
      .inputs = inputs,
      .outputs = {{"scores", f32, {10}}, {.name = "label", .dtype = galley::i64, .shape = {}}}};
  CHECK(to_string(signature) ==
        "(pixels: float32 [1, 8, 8]) -> (scores: float32 [10], label: int64 [])");
  CHECK(to_string(Signature{}) == "() -> ()");
  CHECK(signature == Signature{signature.inputs, signature.outputs});
  CHECK_FALSE(signature == Signature{inputs, inputs});
  CHECK(to_string(TensorSpec{"x", f32, {any, 3}, Device("cuda")}) == "float32 [?, 3] on cuda");
}

TEST_CASE("a row that fits is accepted", "[signature]") {
  const TensorSpec spec = {"pixels", f32, {1, 8, 8}};
  CHECK(spec.check(zeros({1, 8, 8})).has_value());
  const TensorSpec free = {"text", galley::i64, {any}};
  CHECK(free.check(zeros({7}, galley::i64)).has_value());
  CHECK(free.check(zeros({0}, galley::i64)).has_value());
  CHECK(TensorSpec{}.check(zeros({})).has_value());
}

TEST_CASE("a row that does not fit is refused with what was got and wanted", "[signature]") {
  const TensorSpec spec = {"pixels", f32, {1, 8, 8}};
  CHECK(said(spec.check(zeros({3, 64}, galley::f64))) ==
        "input \"pixels\": expected float32 [1, 8, 8], got float64 [3, 64]");
  CHECK(said(spec.check(zeros({1, 8, 8}, galley::f64))) ==
        "input \"pixels\": expected float32 [1, 8, 8], got float64 [1, 8, 8]");
  CHECK(said(spec.check(zeros({1, 8, 9}))) ==
        "input \"pixels\": expected float32 [1, 8, 8], got float32 [1, 8, 9]");
  CHECK(said(spec.check(zeros({8, 8}))) ==
        "input \"pixels\": expected float32 [1, 8, 8], got float32 [8, 8]");
  CHECK(said(spec.check(Tensor())) ==
        "input \"pixels\": expected float32 [1, 8, 8], got an undefined tensor");
  CHECK(said(spec.check(Tensor(), "output")) ==
        "output \"pixels\": expected float32 [1, 8, 8], got an undefined tensor");
  CHECK(said(TensorSpec{"x", f32, {any, 2}}.check(zeros({2, 3}))) ==
        "input \"x\": expected float32 [?, 2], got float32 [2, 3]");
}

TEST_CASE("the device is checked where one is demanded", "[signature]") {
  const TensorSpec anywhere = {"x", f32, {2}};
  CHECK(anywhere.check(on_device(Device("cuda", 1), {2})).has_value());
  const TensorSpec host = {"x", f32, {2}, galley::cpu};
  CHECK(host.check(zeros({2})).has_value());
  CHECK(said(host.check(on_device(Device("cuda", 1), {2}))) ==
        "input \"x\": expected float32 [2] on cpu, got float32 [2] on cuda:1");
  const TensorSpec cuda = {"x", f32, {2}, Device("cuda")};
  CHECK(cuda.check(on_device(Device("cuda", 1), {2})).has_value());
  CHECK(said(cuda.check(zeros({2}))) ==
        "input \"x\": expected float32 [2] on cuda, got float32 [2] on cpu");
}

TEST_CASE("NaN and infinity are refused where values must be finite", "[signature]") {
  const TensorSpec spec = {.name = "x", .shape = {any}, .values = TensorSpec::Values::finite};
  std::vector<float> values(100, 0.5F);
  CHECK(spec.check(*Tensor::view(values, {100})).has_value());
  for (std::size_t at : {std::size_t{0}, std::size_t{15}, std::size_t{17}, std::size_t{99}}) {
    for (float bad : {nan_value, infinity, -infinity}) {
      values[at] = bad;
      const std::string text = said(spec.check(*Tensor::view(values, {100})));
      const std::string end = " at element " + std::to_string(at);
      CHECK(text.ends_with(end));
      values[at] = 0.5F;
    }
  }
  values[3] = -infinity;
  CHECK(said(spec.check(*Tensor::view(values, {100}))) ==
        "input \"x\": expected finite values, got -inf at element 3");
  CHECK(TensorSpec{.name = "x", .shape = {any}}.check(*Tensor::view(values, {100})).has_value());
}

TEST_CASE("values of every floating type are checked", "[signature]") {
  const auto check = [](galley::DType dtype, auto bits) {
    const std::array<decltype(bits), 1> memory{bits};
    const TensorSpec spec = {
        .name = "x", .dtype = dtype, .shape = {1}, .values = TensorSpec::Values::finite};
    return spec.check(*Tensor::adopt(memory.data(), dtype, {1}, {}, galley::cpu, Owner()));
  };
  CHECK(check(galley::f16, std::uint16_t{0x7bff}).has_value());  // the largest
  CHECK_FALSE(check(galley::f16, std::uint16_t{0x7c00}).has_value());
  CHECK_FALSE(check(galley::f16, std::uint16_t{0xfe00}).has_value());
  CHECK(check(galley::bf16, std::uint16_t{0x7f7f}).has_value());
  CHECK_FALSE(check(galley::bf16, std::uint16_t{0x7f80}).has_value());
  CHECK(check(galley::f64, std::uint64_t{0x7fefffffffffffff}).has_value());
  CHECK_FALSE(check(galley::f64, std::uint64_t{0x7ff8000000000000}).has_value());
  CHECK(check(galley::i64, std::uint64_t{0x7ff8000000000000}).has_value());
}

TEST_CASE("values are checked against a closed range, which no NaN lies in", "[signature]") {
  const TensorSpec spec = {.name = "x", .shape = {2}, .range = TensorSpec::Range{0, 1}};
  CHECK(spec.check(*Tensor::copy_of({0.0F, 1.0F}, {2})).has_value());
  CHECK(said(spec.check(*Tensor::copy_of({0.0F, 3.5F}, {2}))) ==
        "input \"x\": expected values in [0, 1], got 3.5 at element 1");
  CHECK(said(spec.check(*Tensor::copy_of({nan_value, 0.0F}, {2}))).ends_with("at element 0"));
  const TensorSpec bytes = {
      .name = "x", .dtype = galley::i8, .shape = {2}, .range = TensorSpec::Range{-1, 5}};
  CHECK(bytes.check(*Tensor::copy_of({std::int8_t{-1}, std::int8_t{5}}, {2})).has_value());
  CHECK_FALSE(bytes.check(*Tensor::copy_of({std::int8_t{-2}, std::int8_t{5}}, {2})).has_value());
}

TEST_CASE("halves and brain floats are read as the numbers they are", "[signature]") {
  struct Case {
    galley::DType dtype;
    std::uint16_t bits;
    double value;
  };
  for (const Case& c : {Case{galley::f16, 0x3c00, 1.0}, Case{galley::f16, 0xc500, -5.0},
                        Case{galley::f16, 0x0001, 0x1p-24}, Case{galley::f16, 0x8001, -0x1p-24},
                        Case{galley::f16, 0x7bff, 65504.0}, Case{galley::f16, 0x0400, 0x1p-14},
                        Case{galley::bf16, 0x3f80, 1.0}, Case{galley::bf16, 0xc0a0, -5.0}}) {
    INFO(c.value);
    const Tensor one =
        *Tensor::adopt(static_cast<const void*>(&c.bits), c.dtype, {1}, {}, galley::cpu, Owner());
    TensorSpec spec = {.name = "x", .dtype = c.dtype, .shape = {1}};
    spec.range = TensorSpec::Range{c.value, c.value};
    CHECK(spec.check(one).has_value());
  }
}

TEST_CASE("values that strides hide are not looked at", "[signature]") {
  const std::vector<float> values = {1, nan_value, 2, nan_value, 3, nan_value};
  const std::vector<std::int64_t> every_other = {2};
  const TensorSpec spec = {.name = "x", .shape = {3}, .values = TensorSpec::Values::finite};
  CHECK(spec.check(*Tensor::view(values, {3}, every_other)).has_value());
  const auto odd = Tensor::view(std::span(values).subspan(1), {3}, every_other);
  REQUIRE(odd.has_value());
  CHECK(said(spec.check(*odd)) == "input \"x\": expected finite values, got nan at element 0");
}

TEST_CASE("values on another device cannot be checked and are not let through", "[signature]") {
  const TensorSpec spec = {.name = "x", .shape = {2}, .values = TensorSpec::Values::finite};
  const auto checked = spec.check(on_device(Device("fakechip"), {2}));
  CHECK(checked.status() == Status::unimplemented);
  CHECK(checked.error().detail ==
        "input \"x\": expected host memory, where values can be checked, got float32 [2] on "
        "fakechip");
}

TEST_CASE("a block is checked once for all its rows", "[signature]") {
  const TensorSpec spec = {"pixels", f32, {1, 8, 8}};
  CHECK(spec.check_block(zeros({5, 1, 8, 8})).has_value());
  CHECK(spec.check_block(zeros({0, 1, 8, 8})).has_value());
  CHECK(said(spec.check_block(zeros({3, 64}, galley::f64))) ==
        "input \"pixels\": expected float32 [n, 1, 8, 8], got float64 [3, 64]");
  CHECK(said(spec.check_block(zeros({1, 8, 8}))) ==
        "input \"pixels\": expected float32 [n, 1, 8, 8], got float32 [1, 8, 8]");
  CHECK(said(TensorSpec{"x", f32, {}, Device("cuda", 0)}.check_block(zeros({3}))) ==
        "input \"x\": expected float32 [n] on cuda:0, got float32 [3] on cpu");
  CHECK(said(spec.check_block(Tensor())).ends_with("got an undefined tensor"));
}

TEST_CASE("bad rows of a batch are found and their neighbours are not blamed", "[signature]") {
  const TensorSpec spec = {.name = "x", .shape = {2}, .values = TensorSpec::Values::finite};
  const Tensor block =
      *Tensor::copy_of({1.F, 2.F, nan_value, 3.F, 4.F, 5.F, 6.F, infinity}, {4, 2});
  const Rows<Tensor> dense = *Rows<Tensor>::of_block(block);
  const Casualties bad = spec.check_rows(dense);
  CHECK(rows_of(bad) == std::vector<std::uint32_t>{1, 3});
  CHECK(bad.find(3)->detail == "input \"x\": expected finite values, got inf at element 1");

  const Rows<Tensor> ragged = {dense[0], zeros({3}), Tensor(), dense[2]};
  CHECK(rows_of(spec.check_rows(ragged)) == std::vector<std::uint32_t>{1, 2});
  CHECK(spec.check_rows(dense.slice(0, 1)).empty());
  CHECK(spec.check_rows(Rows<Tensor>()).empty());
}

TEST_CASE("a row of a batch gets the error it would get alone", "[signature]") {
  const TensorSpec spec = {"x", f32, {2}};
  const Rows<Tensor> dense = *Rows<Tensor>::of_block(zeros({3, 4}));
  const Casualties bad = spec.check_rows(dense);
  REQUIRE(bad.size() == 3);
  for (const galley::Casualty& casualty : bad) {
    CHECK(casualty.error == spec.check(dense[casualty.row]).error());
  }
  const Rows<Tensor> scalars = *Rows<Tensor>::of_block(zeros({3}));
  CHECK(TensorSpec{"x", f32, {}}.check_rows(scalars).empty());
}

TEST_CASE("a selection of rows is checked by its own row numbers", "[signature]") {
  const TensorSpec spec = {.name = "x", .shape = {1}, .values = TensorSpec::Values::finite};
  const Rows<Tensor> rows =
      *Rows<Tensor>::of_block(*Tensor::copy_of({1.F, nan_value, 2.F, nan_value}, {4, 1}));
  const Batch<Tensor> part = Batch<Tensor>(rows).slice(2, 2);
  CHECK(rows_of(spec.check_rows(part)) == std::vector<std::uint32_t>{1});
}

TEST_CASE("rows of named tensors are checked name by name", "[signature]") {
  const std::vector<TensorSpec> specs = {{"image", f32, {2}}, {"length", galley::i64, {}}};
  const NamedTensors good = {{"image", zeros({2})}, {"length", zeros({}, galley::i64)}};
  CHECK(check(specs, good).has_value());
  NamedTensors more = good;
  more.set("comment", zeros({9}));
  CHECK(check(specs, more).has_value());
  CHECK(said(check(specs, {{"image", zeros({2})}})) == "input: expected \"length\", got \"image\"");
  CHECK(said(check(specs, {{"image", zeros({3})}, {"length", zeros({}, galley::i64)}})) ==
        "input \"image\": expected float32 [2], got float32 [3]");
}

TEST_CASE("a batch of named tensors is checked column by column", "[signature]") {
  const std::vector<TensorSpec> specs = {{"image", f32, {2}}, {"length", galley::i64, {}}};
  const auto row = [](std::int64_t width, galley::DType dtype) {
    return NamedTensors{{"image", zeros({width})}, {"length", zeros({}, dtype)}};
  };
  const Rows<NamedTensors> rows = {row(2, galley::i64), row(3, galley::f64), row(2, galley::f64),
                                   row(3, galley::i64), row(2, galley::i64)};
  REQUIRE(rows.has_columns());
  const Casualties bad = check_rows(specs, rows);
  CHECK(rows_of(bad) == std::vector<std::uint32_t>{1, 2, 3});
  for (const galley::Casualty& casualty : bad) {
    CHECK(casualty.error == check(specs, rows[casualty.row]).error());
  }

  Rows<NamedTensors> uneven = rows;
  uneven.push_back({{"image", zeros({2})}});
  REQUIRE_FALSE(uneven.has_columns());
  CHECK(rows_of(check_rows(specs, uneven)) == std::vector<std::uint32_t>{1, 2, 3, 5});
  const Rows<NamedTensors> nameless = {NamedTensors{{"image", zeros({2})}}};
  CHECK(rows_of(check_rows(specs, nameless)) == std::vector<std::uint32_t>{0});
}

TEST_CASE("what a producer gives is held against what a consumer takes", "[signature]") {
  using Specs = std::vector<TensorSpec>;
  const auto why = [](const Specs& outputs, const Specs& inputs) {
    const auto result = compatible(outputs, inputs);
    if (result.has_value()) return std::string("fits");
    CHECK(result.status() == Status::failed_precondition);
    return result.error().detail;
  };
  const TensorSpec ten = {"scores", f32, {10}};
  CHECK(why({ten}, {{"features", f32, {10}}}) == "fits");
  CHECK(why({ten}, {{"features", f32, {any}}}) == "fits");
  CHECK(why({{"s", f32, {any}}}, {{"f", f32, {10}}}) == "fits");
  CHECK(why({ten}, {{"features", f32, {64}}}) ==
        "input \"features\": expected float32 [64], got output \"scores\": float32 [10]");
  CHECK(why({ten}, {{"f", galley::f64, {10}}}) ==
        "input \"f\": expected float64 [10], got output \"scores\": float32 [10]");
  CHECK(why({ten}, {{"f", f32, {1, 10}}}) != "fits");
  CHECK(why({{"s", f32, {1}, Device("cuda", 0)}}, {{"f", f32, {1}, Device("cuda")}}) == "fits");
  CHECK(why({{"s", f32, {1}, Device("cuda", 0)}}, {{"f", f32, {1}}}) == "fits");
  CHECK(why({{"s", f32, {1}, Device("cuda", 0)}}, {{"f", f32, {1}, galley::cpu}}) ==
        "input \"f\": expected float32 [1] on cpu, got output \"s\": float32 [1] on cuda:0");
  const TensorSpec length = {"length", galley::i64, {}};
  CHECK(why({length, ten}, {{"scores", f32, {10}}, length}) == "fits");
  CHECK(why({length, ten}, {{"mask", f32, {10}}}) ==
        "input \"mask\": expected an output of this name, got \"length\", \"scores\"");
  CHECK(why({}, {ten}) == "input \"scores\": expected an output of this name, got none");
  CHECK(why({ten}, {}) == "fits");
}
