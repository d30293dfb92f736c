#include <galley/compose/padded.hpp>

#include <support/allocations.hpp>
#include <support/has.hpp>
#include <support/padding.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <memory_resource>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Key;
using galley::NamedTensors;
using galley::Outcomes;
using galley::padded;
using galley::Padding;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Shape;
using galley::Status;
using galley::Tensor;
using support::BlockLog;
using support::counting;
using support::has;
using support::numbers_of;
using support::padded_sum;
using support::padding_of;
using support::paddings;
using support::row_of;
using support::why;

using Floats = std::vector<float>;
using Shapes = std::vector<Shape>;

TEST_CASE("rows of unequal length are answered by dense blocks, in their order", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const auto graph = padded_sum(log, paddings());
  const Rows<Tensor> rows{counting(7), counting(2), counting(13), counting(8), counting(1)};
  const Outcomes<float> outcomes = graph.serve_rows(rows);
  REQUIRE(outcomes.size() == 5);
  REQUIRE(outcomes.all_ok());
  CHECK(*outcomes[0] == 28);
  CHECK(*outcomes[1] == 3);
  CHECK(*outcomes[2] == 91);
  CHECK(*outcomes[3] == 36);
  CHECK(*outcomes[4] == 1);
  CHECK(log->shapes == Shapes{{2, 8}, {2, 4}, {1, 16}});
}

TEST_CASE("one row is padded alone", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const auto graph = padded_sum(log, paddings());
  CHECK(*graph.serve(counting(5)) == 15);
  CHECK(log->shapes == Shapes{{1, 8}});
}

TEST_CASE("a block that is as long as it should be is handed on as it is", "[padded]") {
  const void* seen = nullptr;
  const Servable<Tensor, float> model("first", [&seen](const Rows<Tensor>& rows) {
    seen = rows.block()->data();
    Rows<float> out;
    for (std::size_t i = 0; i < rows.size(); ++i) out.push_back(*rows[i].data<float>());
    return out;
  });
  const auto graph = padded(model, {.lengths = {4}, .check = Padding::Check::trust});
  const Tensor block = *counting(12).reshape({3, 4});
  CHECK(graph.serve_rows(*Rows<Tensor>::of_block(block)).all_ok());
  CHECK(seen == block.data());
  CHECK(graph.serve_rows(*Rows<Tensor>::of_block(*counting(9).reshape({3, 3}))).all_ok());
  CHECK(seen != block.data());
}

TEST_CASE("what lies beyond a row is the value given, along any axis and of any strides",
          "[padded]") {
  Tensor seen;
  const Servable<Tensor, float> model("keep", [&seen](const Rows<Tensor>& rows) {
    seen = *rows.block()->owned();
    Rows<float> out;
    for (std::size_t i = 0; i < rows.size(); ++i) out.push_back(0);
    return out;
  });
  Padding options{.lengths = {3, 4}, .value = -1, .check = Padding::Check::trust};
  Tensor row = *counting(4).reshape({2, 2});
  SECTION("the first axis") {
    REQUIRE(padded(model, options).serve(row).has_value());
    CHECK(seen.shape() == Shape{1, 3, 2});
    CHECK(numbers_of(seen) == Floats{1, 2, 3, 4, -1, -1});
  }
  SECTION("the last axis") {
    options.axis = 1;
    REQUIRE(padded(model, options).serve(row).has_value());
    CHECK(seen.shape() == Shape{1, 2, 3});
    CHECK(numbers_of(seen) == Floats{1, 2, -1, 3, 4, -1});
  }
  SECTION("a transposed row") {
    options.axis = 1;
    const std::vector<float> numbers{1, 2, 3, 4};
    const std::vector<std::int64_t> strides{1, 2};
    row = *Tensor::view(numbers, {2, 2}, strides);
    REQUIRE(padded(model, options).serve(row).has_value());
    CHECK(numbers_of(seen) == Floats{1, 3, -1, 2, 4, -1});
  }
  SECTION("an axis in the middle") {
    options.axis = 1;
    const std::vector<float> numbers{1, 2, 3, 4, 5, 6, 7, 8};
    const std::vector<std::int64_t> strides{1, 4, 2};
    row = *Tensor::view(numbers, {2, 2, 2}, strides);
    REQUIRE(padded(model, options).serve(row).has_value());
    CHECK(seen.shape() == Shape{1, 2, 3, 2});
    CHECK(numbers_of(seen) == Floats{1, 3, 5, 7, -1, -1, 2, 4, 6, 8, -1, -1});
  }
  SECTION("rows without elements") {
    options.axis = 1;
    REQUIRE(padded(model, options).serve(*Tensor::zeros(galley::f32, {0, 2})).has_value());
    CHECK(seen.shape() == Shape{1, 0, 3});
  }
}

TEST_CASE("the value is one of the rows' type, or the row is refused", "[padded]") {
  const auto filled = [](galley::DType dtype, double value) {
    Tensor seen;
    const Servable<Tensor, float> model("keep", [&seen](const Tensor& row) {
      seen = *row.owned();
      return 0.0F;
    });
    const auto graph =
        padded(model, {.lengths = {2}, .value = value, .check = Padding::Check::trust});
    const Result<float> answer = graph.serve(*Tensor::zeros(dtype, {1}));
    if (!answer.has_value()) {
      CHECK(answer.status() == Status::failed_precondition);
      return std::string(to_string(dtype)) + " refused";
    }
    return galley::detail::number_text(galley::detail::number_at(
        dtype, static_cast<const std::byte*>(seen.data()) + galley::size_of(dtype)));
  };
  struct Case {
    galley::DType dtype;
    double value;
    std::string seen;
  };
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<Case> cases{{galley::f32, 0.5, "0.5"},
                                {galley::f64, -1e300, "-1e+300"},
                                {galley::f16, -0.25, "-0.25"},
                                {galley::f16, 65504, "65504"},
                                {galley::f16, 65519, "65504"},
                                {galley::f16, 65520, "inf"},
                                {galley::f16, 2049, "2048"},
                                {galley::f16, 2051, "2052"},
                                {galley::f16, 6e-8, "5.96046448e-08"},
                                {galley::f16, 1e-9, "0"},
                                {galley::f16, -inf, "-inf"},
                                {galley::f16, 1e300, "inf"},
                                {galley::f16, 6.1e-5, "6.09755516e-05"},
                                {galley::bf16, 1.5, "1.5"},
                                {galley::bf16, 257, "256"},
                                {galley::bf16, 3.3e38, "3.29648543e+38"},
                                {galley::bf16, -inf, "-inf"},
                                {galley::i8, -128, "-128"},
                                {galley::i8, 128, "int8 refused"},
                                {galley::i8, 0.5, "int8 refused"},
                                {galley::i16, -32768, "-32768"},
                                {galley::i32, 2147483647, "2.14748365e+09"},
                                {galley::i32, 2147483648.0, "int32 refused"},
                                {galley::i64, -9.2233720368547758e18, "-9.22337204e+18"},
                                {galley::i64, 9.2233720368547758e18, "int64 refused"},
                                {galley::u8, 255, "255"},
                                {galley::u8, -1, "uint8 refused"},
                                {galley::i32, inf, "int32 refused"},
                                {galley::boolean, 1, "1"},
                                {galley::boolean, 2, "bool refused"}};
  for (const Case& one : cases) {
    CAPTURE(std::string(to_string(one.dtype)), one.value);
    CHECK(filled(one.dtype, one.value) == one.seen);
  }
}

TEST_CASE("a row that cannot be padded fails alone, saying what was wanted", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const auto graph = padded_sum(log, paddings());
  const auto elsewhere = *Tensor::adopt(static_cast<void*>(log.get()), galley::f32, {4}, {},
                                        galley::Device("cuda", 0), {});
  const Rows<Tensor> rows{counting(3),
                          counting(17),
                          Tensor(),
                          *Tensor::zeros(galley::f32, {0}),
                          *Tensor::zeros(galley::f32, {}),
                          *Tensor::zeros(galley::f32, {1, 1, 1, 1, 1, 1, 1, 1}),
                          elsewhere,
                          counting(4)};
  const Outcomes<float> outcomes = graph.serve_rows(rows);
  REQUIRE(outcomes.size() == rows.size());
  CHECK(*outcomes[0] == 6);
  CHECK(*outcomes[7] == 10);
  for (std::size_t i = 1; i < 7; ++i) {
    CAPTURE(i);
    REQUIRE(outcomes[i].status() == Status::invalid_argument);
    has(outcomes[i].error().detail,
        "padded(sum): expected rank 1 to 7 in host memory, 1 to 16 along axis 0, got " +
            to_string(rows[i]));
  }
  CHECK(log->shapes == Shapes{{2, 4}});
  CHECK(graph.serve(counting(17)).status() == Status::invalid_argument);
}

TEST_CASE("rows of other types and shapes go in blocks of their own", "[padded]") {
  std::vector<std::string> blocks;
  const Servable<Tensor, float> model("count", [&blocks](const Rows<Tensor>& rows) {
    blocks.push_back(to_string(*rows.block()));
    Rows<float> out;
    for (std::size_t i = 0; i < rows.size(); ++i) out.push_back(0);
    return out;
  });
  const auto graph = padded(model, {.lengths = {4, 8}, .check = Padding::Check::trust});
  const Rows<Tensor> rows{counting(3), *Tensor::zeros(galley::i64, {3}),
                          *Tensor::zeros(galley::f32, {3, 2}), counting(4), counting(5)};
  CHECK(graph.serve_rows(rows).all_ok());
  CHECK(blocks == std::vector<std::string>{"float32 [2, 4]", "int64 [1, 4]", "float32 [1, 4, 2]",
                                           "float32 [1, 8]"});
}

TEST_CASE("rows that the model refuses, and those that padding refuses, keep their places",
          "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const auto graph = padded_sum(log, paddings());
  const Rows<Tensor> rows{row_of({-5}), counting(20), counting(6), row_of({-1, -2, -3, -4, -5}),
                          counting(2)};
  const Outcomes<float> outcomes = graph.serve_rows(rows);
  REQUIRE(outcomes.size() == 5);
  for (const std::size_t i : {0U, 1U, 3U}) CHECK(outcomes[i].status() == Status::invalid_argument);
  has(outcomes[0].error().detail, "below zero");
  CHECK(*outcomes[2] == 21);
  CHECK(*outcomes[4] == 3);
}

TEST_CASE("a mask says which elements are the row's own", "[padded]") {
  const auto graph = padded(support::masked_mean(), paddings());
  REQUIRE(why(graph.prepare()) == "");
  const Outcomes<float> outcomes =
      graph.serve_rows(Rows<Tensor>{counting(3), counting(15), row_of({4}), counting(4)});
  REQUIRE(outcomes.all_ok());
  CHECK(*outcomes[0] == 2);
  CHECK(*outcomes[1] == 8);
  CHECK(*outcomes[2] == 4);
  CHECK(*outcomes[3] == 2.5F);
}

TEST_CASE("a mask has a name of its own, and the shape of the axis", "[padded]") {
  std::string seen;
  const Servable<NamedTensors, float> model("look", [&seen](const NamedTensors& row) {
    for (const auto& named : row) seen += named.name + " " + to_string(named.tensor) + "; ";
    return 0.0F;
  });
  Padding options{
      .lengths = {4}, .axis = 1, .input = "tokens", .mask = "real", .check = Padding::Check::trust};
  const auto graph = padded(model, options);
  CHECK(graph.serve(*Tensor::zeros(galley::i64, {2, 3})).has_value());
  CHECK(seen == "tokens int64 [2, 4]; real bool [4]; ");
  options.mask = "tokens";
  has(why(padded(model, options).check()), "options.mask");
}

TEST_CASE("answers that are as long as the rows are cut back", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  Padding options = paddings();
  options.output_axis = 0;
  const auto graph = padded(support::doubling(log), options);
  REQUIRE(why(graph.prepare()) == "");
  const Rows<Tensor> rows{counting(3), counting(8), counting(40), counting(4)};
  const Outcomes<Tensor> outcomes = graph.serve_rows(rows);
  CHECK(numbers_of(*outcomes[0]) == Floats{3, 5, 7});
  CHECK((*outcomes[1]).shape() == Shape{8});
  CHECK(outcomes[2].status() == Status::invalid_argument);
  CHECK(numbers_of(*outcomes[3]) == Floats{3, 5, 7, 9});
}

TEST_CASE("an answer along an inner axis is cut back, and one of another length is an error",
          "[padded]") {
  const Servable<Tensor, Tensor> model("turn", [](const Tensor& row) -> Result<Tensor> {
    // [2, L] for [L, 2]; for rows that begin with 9, one too long.
    const std::int64_t length = row.shape()[0] + (numbers_of(row)[0] == 9 ? 1 : 0);
    Tensor out = *Tensor::zeros(galley::f32, {2, length});
    for (std::int64_t i = 0; i < row.shape()[0]; ++i) {
      out.mutable_data<float>()[i] = row.row(static_cast<std::size_t>(i)).data<float>()[0];
      out.mutable_data<float>()[length + i] = row.row(static_cast<std::size_t>(i)).data<float>()[1];
    }
    return out.as_read_only();
  });
  const auto graph =
      padded(model, {.lengths = {4}, .output_axis = 1, .check = Padding::Check::trust});
  const Rows<Tensor> rows{*counting(6).reshape({3, 2}), *counting(4, 9).reshape({2, 2})};
  const Outcomes<Tensor> outcomes = graph.serve_rows(rows);
  CHECK((*outcomes[0]).shape() == Shape{2, 3});
  CHECK(numbers_of(*outcomes[0]) == Floats{1, 3, 5, 2, 4, 6});
  CHECK(outcomes[1].status() == Status::internal);
  has(outcomes[1].error().detail, "turn: an answer: expected 4 along axis 1");
}

TEST_CASE("what was padded is counted", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const auto graph = padded_sum(log, paddings());
  CHECK(
      graph.serve_rows(Rows<Tensor>{counting(3), counting(4), counting(6), counting(99)}).size() ==
      4);
  CHECK(graph.serve(counting(1)).has_value());
  const galley::PaddingStatistics seen = padding_of(graph);
  CHECK(seen.rows == 4);
  CHECK(seen.elements == 4 + 4 + 8 + 4);
  CHECK(seen.filling == 1 + 2 + 3);
  CHECK(seen.filling_share() == Approx(0.3));
  REQUIRE(seen.lengths.size() == 3);
  CHECK(seen.lengths[0].length == 4);
  CHECK(seen.lengths[0].calls == 2);
  CHECK(seen.lengths[0].rows == 3);
  CHECK(seen.lengths[1].rows == 1);
  CHECK(seen.lengths[2].calls == 0);
  int other = 0;
  CHECK(graph.control("", other).status() == Status::unimplemented);
  CHECK(galley::PaddingStatistics().filling_share() == 0);
}

TEST_CASE("a padded servable describes itself", "[padded]") {
  Padding options = paddings();
  options.mask = "real";
  const galley::Description d = padded(support::masked_mean(), options).describe();
  CHECK(d.kind == "padded");
  CHECK(d.name == "padded(mean)");
  CHECK(d.input == galley::type_name<Tensor>());
  CHECK(d.traits.mixed_shapes);
  REQUIRE(d.children.size() == 1);
  CHECK(d.children[0].name == "mean");
  const std::vector<std::pair<std::string, std::string>> expected{
      {"axis", "0"},    {"lengths", "4, 8, 16"}, {"value", "0"},
      {"mask", "real"}, {"check", "samples"},    {"merge", "when_cheaper"}};
  CHECK(d.options == expected);
}

TEST_CASE("keys and contexts go along with their rows", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const auto graph = padded_sum(log, paddings());
  const std::vector<Key> keys{70, 20, 130};
  CHECK(graph
            .serve_rows(Rows<Tensor>{counting(7), counting(2), counting(8)}, {.request_id = 5},
                        {.keys = keys})
            .all_ok());
  CHECK(log->keys == std::vector<std::vector<Key>>{{70, 130}, {20}});
  CHECK(log->requests == std::vector<std::vector<std::uint64_t>>{{5, 5}, {5}});
}

TEST_CASE("one row allocates its block, and nothing where memory is lent", "[padded]") {
  const Servable<Tensor, float> model("first", [](const Rows<Tensor>& rows) {
    Rows<float> out;
    for (std::size_t i = 0; i < rows.size(); ++i) out.push_back(*rows[i].data<float>());
    return out;
  });
  const auto graph = padded(model, paddings());
  REQUIRE(why(graph.prepare()) == "");
  const Tensor row = counting(7);
  REQUIRE(graph.serve(row).has_value());  // the first of its size is new to the costs
  std::array<std::byte, 4096> memory;
  const support::AllocationCount heap;
  CHECK(graph.serve(row).has_value());
  const std::size_t of_block = heap.so_far();
  std::pmr::monotonic_buffer_resource lent(memory.data(), memory.size());
  CHECK(graph.serve(row, {}, {.workspace = &lent}).has_value());
  CHECK(of_block <= 1);
  CHECK(heap.so_far() == of_block);
}
