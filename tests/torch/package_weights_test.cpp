// Replacing a package's weights where they are.
#include <galley/torch/weights.hpp>

#include "models.hpp"
#include <support/has.hpp>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <support/catch.hpp>

using galley::NamedTensor;
using galley::PackageOptions;
using galley::ReplaceWeights;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::Tensor;
using galley::WeightReplacement;

namespace {

std::string exported(const std::string& file) {
  return std::string(GALLEY_TEST_PACKAGES) + "/" + file;
}

galley::Result<Servable<Tensor, Tensor>> replaceable(const std::string& file,
                                                     PackageOptions options = {}) {
  options.replacement = WeightReplacement::in_place;
  return galley::torch_package(exported(file), std::move(options));
}

at::Tensor inputs(std::int64_t rows) {
  return models::sines({rows, 16}, 0.37, 1);
}

/// Weights for the package "wide", and what they answer.
struct Weights {
  explicit Weights(double phase)
      : first(models::sines({24, 16}, 0.21, phase)),
        first_bias(models::sines({24}, 0.5, phase)),
        second(models::sines({12, 24}, 0.13, phase)),
        second_bias(models::sines({12}, 0.7, phase)) {}

  std::vector<NamedTensor> named() const {
    return {{"1.weight", *galley::from_torch(first)},
            {"1.bias", *galley::from_torch(first_bias)},
            {"3.weight", *galley::from_torch(second)},
            {"3.bias", *galley::from_torch(second_bias)}};
  }
  at::Tensor answer(const at::Tensor& x) const {
    return at::linear(at::tanh(at::linear(at::tanh(x), first, first_bias)), second, second_bias);
  }

  at::Tensor first, first_bias, second, second_bias;
};

bool close(const at::Tensor& a, const at::Tensor& b) {
  return at::allclose(a, b, 1e-4, 1e-5);
}

/// What is answered to these rows in one request; nothing where one fails.
at::Tensor answer_of(const Servable<Tensor, Tensor>& served, const at::Tensor& x) {
  const galley::Outcomes<Tensor> got = served.serve_rows(models::rows(x));
  return got.all_ok() ? models::torch_of(got) : at::empty({0, 12});
}

bool answers(const Servable<Tensor, Tensor>& served, const at::Tensor& x,
             const at::Tensor& wanted) {
  const at::Tensor got = answer_of(served, x);
  return got.sizes() == wanted.sizes() && close(got, wanted);
}

}  // namespace

TEST_CASE("a package's weights are replaced in place, time and again", "[torch]") {
  const auto served = replaceable("wide.pt2");
  REQUIRE(served.has_value());
  const at::Tensor x = inputs(6);  // more rows than one call takes
  for (const double phase : {1.0, 2.0, 3.0}) {
    const Weights weights(phase);
    ReplaceWeights replace{.weights = weights.named()};
    REQUIRE_FALSE(answers(*served, x, weights.answer(x)));
    REQUIRE(served->control("", replace).has_value());
    CHECK(replace.report.fitting.size() == 4);
    CHECK(replace.report.all_fit());
    CHECK(answers(*served, x, weights.answer(x)));
    CHECK(answers(*served, inputs(1), weights.answer(inputs(1))));
  }
}

TEST_CASE("weights that do not fit a package leave those it has", "[torch]") {
  const auto served = replaceable("wide.pt2");
  REQUIRE(served.has_value());
  const at::Tensor x = inputs(3);
  const Weights weights(1);
  ReplaceWeights replace{.weights = weights.named()};
  REQUIRE(served->control("", replace).has_value());

  const Weights others(2);
  ReplaceWeights wrong{.weights = others.named()};
  wrong.weights[1].tensor = *Tensor::zeros(galley::f32, galley::Shape{25});
  const auto mismatched = served->control("", wrong);
  CHECK(mismatched.status() == Status::failed_precondition);
  support::has(mismatched.error().detail, "\"1.bias\": expected float32 [24], got float32 [25]");

  wrong.weights = others.named();
  wrong.weights.pop_back();
  const auto missing = served->control("", wrong);
  CHECK(missing.status() == Status::failed_precondition);
  support::has(missing.error().detail, "missing \"3.bias\"");
  CHECK(answers(*served, x, weights.answer(x)));

  wrong.options.fit = galley::WeightFit::partial;
  REQUIRE(served->control("", wrong).has_value());
  CHECK(wrong.report.missing == std::vector<std::string>{"3.bias"});
  Weights mixed(2);
  mixed.second_bias = weights.second_bias;
  CHECK(answers(*served, x, mixed.answer(x)));
}

TEST_CASE("a package whose code has weights in it does not have them replaced", "[torch]") {
  const auto served = replaceable("first.pt2");
  CHECK(served.status() == Status::failed_precondition);
  support::has(served.error().detail, "\"3.bias\" are part of its code");
  const auto none = replaceable("parts.pt2");
  CHECK(none.status() == Status::failed_precondition);
}

TEST_CASE("weights are replaced only where that was asked for, and of one form", "[torch]") {
  const auto served = galley::torch_package(exported("wide.pt2"));
  REQUIRE(served.has_value());
  ReplaceWeights replace{.weights = Weights(1).named()};
  const auto refused = served->control("", replace);
  CHECK(refused.status() == Status::unimplemented);
  support::has(refused.error().detail, "publish a new servable to a slot");
  CHECK(replace.report.fitting.empty());

  PackageOptions options;
  options.forms.packages = {exported("wide.pt2")};
  const auto beside = replaceable("wide.pt2", options);
  CHECK(beside.status() == Status::invalid_argument);
  support::has(beside.error().detail, "would keep their weights");
}

TEST_CASE("while weights are replaced each batch is of the old or the new ones", "[torch]") {
  const auto served = replaceable("wide.pt2");
  REQUIRE(served.has_value());
  const at::Tensor x = inputs(9);  // three calls of the package
  const Weights even(1), odd(2);
  const at::Tensor of_even = even.answer(x), of_odd = odd.answer(x);
  ReplaceWeights replace{.weights = even.named()};
  REQUIRE(served->control("", replace).has_value());

  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0}, calls{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, servable = *served] {
      while (!stop) {
        const at::Tensor got = answer_of(servable, x);
        const bool is_whole = got.sizes() == of_even.sizes();
        if (!is_whole || !(close(got, of_even) || close(got, of_odd))) ++wrong;
        ++calls;
      }
    });
  }
  for (int n = 0; n < 20; ++n) {
    const int before = calls;
    while (calls < before + 3) std::this_thread::yield();
    ReplaceWeights next{.weights = (n % 2 == 0 ? odd : even).named()};
    CHECK(served->control("", next).has_value());
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(answers(*served, x, of_even));
}
