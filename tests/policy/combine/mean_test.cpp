#include <galley/policy/combine/mean.hpp>
#include <galley/policy/combine/weighted_mean.hpp>
#include <galley/testing/contracts/combiner.hpp>

#include <support/votes.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::BatchVotes;
using galley::Error;
using galley::Mean;
using galley::Result;
using galley::Rows;
using galley::Status;
using galley::Tensor;
using galley::WeightedMean;
using support::combined;

namespace {

constexpr auto no = std::nullopt;
using Floats = std::vector<float>;

Tensor tensor(std::vector<float> numbers, const galley::Shape& shape) {
  return *Tensor::from(std::move(numbers), shape);
}

}  // namespace

TEST_CASE("a mean is of those that answered, whatever holds the numbers", "[mean]") {
  CHECK(combined<double>(Mean{}, {1.0, 2.0, 6.0}) == Result<double>(3.0));
  CHECK(combined<float>(Mean{}, {no, 2.0F, 4.0F}) == Result<float>(3.0F));
  CHECK(combined<Floats>(Mean{}, {Floats{1, 2}, no, Floats{3, 6}}) == Result<Floats>(Floats{2, 4}));
  using Pair = std::array<double, 2>;
  CHECK(combined<Pair>(Mean{}, {Pair{1, 2}, Pair{3, 6}}) == Result<Pair>(Pair{2, 4}));
  const auto both = combined<Tensor>(Mean{}, {tensor({1, 2}, {2, 1}), tensor({3, 6}, {2, 1})});
  CHECK(*both == tensor({2, 4}, {2, 1}));
}

TEST_CASE("a NaN makes the mean of its place a NaN", "[mean]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto mean = combined<Floats>(Mean{}, {Floats{nan, 2}, Floats{3, 6}});
  CHECK(std::isnan((*mean)[0]));
  CHECK((*mean)[1] == 4);
}

TEST_CASE("votes that do not fit together are an error that says which", "[mean]") {
  CHECK(combined<double>(Mean{}, {no, no}).error() ==
        Error(Status::internal, "mean: no member has answered"));
  CHECK(combined<Floats>(Mean{}, {Floats{1}, Floats{1, 2}}).error() ==
        Error(Status::internal,
              "mean: member 1 answered 2 numbers, expected 1 numbers as the first did"));
  CHECK(combined<Tensor>(Mean{}, {tensor({1}, {1}), no, tensor({1, 2}, {2})}).error() ==
        Error(Status::internal,
              "mean: member 2 answered float32 [2], expected float32 [1] as the first did"));
  CHECK(combined<Tensor>(Mean{}, {*Tensor::zeros(galley::i64, {2})})
            .error()
            .detail.find("expected float32 or float64 in host memory") != std::string::npos);
  CHECK(combined<Tensor>(Mean{}, {Tensor()}).status() == Status::internal);
}

TEST_CASE("strided tensors are read as what they show", "[mean]") {
  const Tensor wide = tensor({1, 9, 2, 9}, {2, 2});
  const std::vector<std::int64_t> strides{2};
  const Tensor column = *Tensor::adopt(wide.data(), galley::f32, {2}, strides, {}, wide.owner());
  CHECK(*combined<Tensor>(Mean{}, {column, tensor({3, 4}, {2})}) == tensor({2, 3}, {2}));
}

TEST_CASE("blocks are combined at once, and ragged rows are not", "[mean]") {
  const Rows<Tensor> a = *Rows<Tensor>::of_block(tensor({1, 2, 3, 4}, {2, 2}));
  const Rows<Tensor> b = *Rows<Tensor>::of_block(tensor({3, 4, 5, 8}, {2, 2}));
  const Rows<Tensor> ragged{tensor({1, 2}, {2}), tensor({1, 2}, {2})};
  const Rows<Tensor> scalars = *Rows<Tensor>::of_block(tensor({5, 7}, {2}));
  const auto of = [](std::vector<const Rows<Tensor>*> members) {
    return Mean{}.combine_rows(BatchVotes<Tensor>{members, 2, nullptr});
  };
  REQUIRE(of({&a, nullptr, &b}).has_value());
  CHECK(*of({&a, nullptr, &b})->block() == tensor({2, 3, 4, 6}, {2, 2}));
  CHECK(*of({&scalars, &scalars})->block() == tensor({5, 7}, {2}));
  CHECK_FALSE(of({&a, &ragged}).has_value());
  CHECK_FALSE(of({&a, &scalars}).has_value());
}

TEST_CASE("weights count in proportion among those that answered", "[weighted_mean]") {
  const WeightedMean quarter{{1, 3}};
  CHECK(combined<double>(quarter, {0.0, 4.0}) == Result<double>(3.0));
  CHECK(combined<double>(quarter, {no, 4.0}) == Result<double>(4.0));
  CHECK(*combined<Tensor>(quarter, {tensor({0, 4}, {2}), tensor({4, 8}, {2})}) ==
        tensor({3, 7}, {2}));
  CHECK(combined<double>(WeightedMean{{0, 1}}, {2.0, no}).status() == Status::internal);
}

TEST_CASE("weights that cannot be are refused", "[weighted_mean]") {
  const auto why = [](std::vector<double> weights) {
    const Result<void> fits = WeightedMean{std::move(weights)}.check(2);
    return fits.has_value() ? std::string("ok") : fits.error().detail;
  };
  CHECK(why({1, 0}) == "ok");
  CHECK(why({1}) == "weighted_mean: weights: expected one for each of 2 members, got 1");
  CHECK(why({1, -0.5}) ==
        "weighted_mean: weights: expected finite numbers of at least 0, got -0.5");
  CHECK(why({0, 0}) == "weighted_mean: weights: expected a finite sum above 0");
  CHECK(why({1, std::numeric_limits<double>::quiet_NaN()}) != "ok");
  CHECK(why({1, std::numeric_limits<double>::infinity()}) != "ok");
  CHECK(WeightedMean{{0.5, 2}}.options()[0].second == "0.5, 2");
}

TEST_CASE("means keep the contract of combiners, batches to the bit", "[mean][weighted_mean]") {
  const std::vector<double> numbers{0.1, -3.7, 1e9, 2.0 / 3};
  const std::vector<Tensor> tensors{tensor({0.1F, 7}, {2}), tensor({1.0F / 3, -2}, {2})};
  const std::vector<Floats> vectors{{0.1F, 7}, {1.0F / 3, -2}};
  CHECK(galley::check_combiner(Mean{}, 3, numbers).empty());
  CHECK(galley::check_combiner(Mean{}, 4, tensors).empty());
  CHECK(galley::check_combiner(Mean{}, 2, vectors).empty());
  CHECK(galley::check_combiner(WeightedMean{{0.2, 0.3, 0.7}}, 3, numbers).empty());
  CHECK(galley::check_combiner(WeightedMean{{0.2, 0.3, 0.7}}, 3, tensors).empty());
  CHECK(galley::check_combiner(WeightedMean{{0.2, 0.3}}, 3, numbers).front().obligation ==
        "it can combine that many members");
}
