// What is refused: compositions that cannot be, and models that padding is not safe for.
#include <galley/compose/map.hpp>
#include <galley/compose/padded.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/has.hpp>
#include <support/padding.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::ManualExecutor;
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
using support::padding_of;
using support::paddings;
using support::row_of;
using support::why;

using Floats = std::vector<float>;
using Shapes = std::vector<Shape>;

TEST_CASE("an axis of answers that are not tensors is refused", "[padded]") {
  Padding options = paddings();
  options.output_axis = 0;
  has(why(padded(support::masked_mean(), options).check()), "options.output_axis");
}

TEST_CASE("options that contradict each other, or the servable, are refused", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const auto refused = [&](auto change, galley::NodeTraits traits = {}) {
    Padding options = paddings();
    change(options);
    const auto graph = padded(support::summing(log, traits), options);
    CHECK(graph.check().status() == Status::failed_precondition);
    CHECK(graph.prepare().status() == Status::failed_precondition);
    CHECK(graph.serve(counting(2)).status() == Status::failed_precondition);
    return why(graph.check());
  };
  const auto as_it_is = [](Padding&) {};
  has(refused([](Padding& o) { o.lengths.clear(); }), "options.lengths: expected 1 to 64");
  has(refused([](Padding& o) { o.lengths = std::vector<std::size_t>(65, 1); }), "got 65");
  has(refused([](Padding& o) { o.lengths = {4, 4}; }), "ascending lengths from 1, got 4 after 4");
  has(refused([](Padding& o) { o.lengths = {0, 4}; }), "got 0 after 0");
  has(refused([](Padding& o) { o.axis = 7; }), "options.axis: expected at most 6, got 7");
  has(refused([](Padding& o) { o.samples = {}; }), "options.samples");
  has(refused(as_it_is, {.stateful = true}), "earlier ones");
  has(refused(as_it_is, {.row_independent = false}), "neighbours");
  has(refused(as_it_is, {.deterministic = false}), "vouch");
  has(refused(as_it_is, {.versioned = true}), "slot(padded(...))");
  CHECK(log->shapes.empty());
  Padding trusted{.lengths = {4}, .check = Padding::Check::trust};
  CHECK(padded(support::summing(log, {.deterministic = false}), trusted).check().has_value());
}

TEST_CASE("rows are refused until the samples were checked", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const auto graph = padded(support::summing(log), paddings());
  CHECK(graph.check().has_value());
  const Outcomes<float> outcomes = graph.serve_rows(Rows<Tensor>{counting(2), counting(3)});
  REQUIRE(outcomes.size() == 2);
  CHECK(outcomes[1].status() == Status::failed_precondition);
  has(outcomes[0].error().detail, "prepare");
  CHECK(log->shapes.empty());
  CHECK(graph.prepare().has_value());
  CHECK(*graph.serve(counting(3)) == 6);
}

TEST_CASE("each sample is run as it is, and filled up to each length it fits", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  const ManualExecutor executor;
  const auto graph = padded(support::summing(log), paddings());
  CHECK(graph.prepare(executor).has_value());
  CHECK(log->shapes == Shapes{{1, 2}, {1, 4}, {1, 7}, {1, 13}, {2, 4}, {3, 8}, {4, 16}});
  CHECK(padding_of(graph).rows == 0);
}

TEST_CASE("a model that padding changes is refused, saying where", "[padded]") {
  const auto mean = padded(support::plain_mean(), paddings());
  CHECK(mean.prepare().status() == Status::failed_precondition);
  has(why(mean.prepare()),
      "padded(mean): not safe to pad: sample 0 filled up from 2 to 4: got another answer");
  CHECK(mean.serve(counting(2)).status() == Status::failed_precondition);

  // The second number of an answer depends on the last of the row.
  const Servable<Tensor, Tensor> model("last", [](const Tensor& row) {
    const Floats numbers = numbers_of(row);
    return row_of({numbers.front(), numbers.back()});
  });
  has(why(padded(model, paddings()).prepare()),
      "sample 0 filled up from 2 to 4: element [1] is 0, unpadded 2");

  // Without an output axis, answers as long as the row.
  const auto log = std::make_shared<BlockLog>();
  has(why(padded(support::doubling(log), paddings()).prepare()),
      "got float32 [4], unpadded float32 [2]");

  Padding trusted = paddings();
  trusted.check = Padding::Check::trust;
  CHECK(*padded(support::plain_mean(), trusted).serve(row_of({4})) == 1);
}

TEST_CASE("a model that refuses a sample, padded or not, is refused", "[padded]") {
  const Servable<Tensor, float> short_only("short", [](const Tensor& row) -> Result<float> {
    if (row.shape()[0] > 8) return galley::Error(Status::invalid_argument, "too long");
    return 1.0F;
  });
  Padding options = paddings();
  has(why(padded(short_only, options).prepare()),
      "sample 3, unpadded: invalid_argument: short: too long");
  options.samples = {counting(2)};
  has(why(padded(short_only, options).prepare()),
      "sample 0 filled up from 2 to 16: invalid_argument: short: too long");
  options.samples = {counting(2), counting(20)};
  has(why(padded(short_only, options).prepare()), "samples, row 1: expected rank");
  options.samples = {counting(4)};
  has(why(padded(short_only, options).prepare()), "options.samples: expected one shorter than 4");
}

TEST_CASE("answers may lie apart by the tolerance, and not by more", "[padded]") {
  for (const galley::DType dtype :
       {galley::f32, galley::f64, galley::f16, galley::bf16, galley::i32}) {
    CAPTURE(std::string(to_string(dtype)));
    const auto off_by = [&](double by, galley::Tolerance tolerance) {
      const Servable<Tensor, Tensor> model("off", [=](const Tensor& row) -> Result<Tensor> {
        Tensor out = *Tensor::zeros(dtype, {2});
        const double value = row.shape()[0] > 4 ? 100 + by : 100;
        const auto bytes = galley::detail::element_of(dtype, value);
        std::memcpy(static_cast<std::byte*>(out.mutable_data()) + galley::size_of(dtype),
                    bytes->data(), galley::size_of(dtype));
        return out;
      });
      Padding options = paddings();
      options.samples = {counting(2)};
      options.tolerance = tolerance;
      return why(padded(model, options).prepare());
    };
    CHECK(off_by(0, {}) == "");
    has(off_by(1, {}), "element [1] is 101, unpadded 100");
    const bool floating = galley::is_floating(dtype);
    CHECK((off_by(1, {.absolute = 1.5}) == "") == floating);
    CHECK((off_by(1, {.relative = 0.02}) == "") == floating);
    CHECK(off_by(1, {.relative = 0.005}) != "");
  }
}

TEST_CASE("answers of other types are compared by == or by a function given", "[padded]") {
  const Servable<Tensor, NamedTensors> named("named", [](const Tensor& row) {
    return NamedTensors{{"sum", row_of({numbers_of(row)[0]})},
                        {"count", row_of({static_cast<float>(row.shape()[0])})}};
  });
  has(why(padded(named, paddings()).prepare()), "\"count\": element [0] is 4, unpadded 2");

  struct Opaque {
    float first;
    std::int64_t length;
  };
  const Servable<Tensor, Opaque> opaque("opaque", [](const Tensor& row) {
    return Opaque{numbers_of(row)[0], row.shape()[0]};
  });
  const auto first = [](const Opaque& a, const Opaque& b) { return a.first == b.first; };
  CHECK(why(padded(opaque, paddings(), first).prepare()) == "");
  const auto both = [](const Opaque& a, const Opaque& b) { return a.length == b.length; };
  has(why(padded(opaque, paddings(), both).prepare()), "another answer");
  const auto throws = [](const Opaque&, const Opaque&) -> bool { throw std::runtime_error("no"); };
  has(why(padded(opaque, paddings(), throws).prepare()), "comparing it threw: no");
}

TEST_CASE("borrowed samples are kept", "[padded]") {
  const auto log = std::make_shared<BlockLog>();
  Padding options{.lengths = {4}};
  std::vector<float> numbers{1, 2, 3};
  options.samples = {*Tensor::view(numbers, {3})};
  const auto graph = padded(support::summing(log), options);
  numbers.assign(3, -100);
  CHECK(why(graph.prepare()) == "");
}

TEST_CASE("an infinite answer is near no other", "[padded]") {
  const auto model = galley::map("log", [](const Tensor& row) {
    float zeros = 0;
    for (const float number : numbers_of(row)) zeros += number == 0 ? 1.0F : 0.0F;
    const float infinity = std::numeric_limits<float>::infinity();
    return row_of({zeros == 0 ? infinity : 0});
  });
  has(why(padded(model, paddings()).prepare()), "inf");
}
