// Weights: named tensors in the place of a module's own, all of them or none.
#include <galley/torch/state_dict.hpp>
#include <galley/torch/weights.hpp>

#include "models.hpp"
#include "state_dicts.hpp"
#include <support/has.hpp>

#include <torch/nn.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::compare_weights;
using galley::load_weights;
using galley::NamedTensor;
using galley::Status;
using galley::Tensor;
using galley::WeightConversion;
using galley::WeightFit;
using galley::WeightReport;
using support::has;

namespace {

using Weights = std::vector<NamedTensor>;
using Names = std::vector<std::string>;

/// The module that `state_dicts::written_by_python` is of.
torch::nn::Sequential python_net() {
  torch::nn::Sequential net(torch::nn::Linear(2, 2), torch::nn::BatchNorm1d(2));
  net->eval();
  return net;
}

/// A layer whose weights are known.
torch::nn::Linear linear(double step) {
  torch::nn::Linear layer(3, 2);
  const torch::NoGradGuard guard;
  layer->weight.copy_(models::sines({2, 3}, step));
  layer->bias.copy_(models::sines({2}, step + 1));
  return layer;
}

/// Copies of all that a module has and galley has a form for.
Weights weights_of(const torch::nn::Module& module) {
  Weights all;
  for (const auto& tensors : {module.named_parameters(), module.named_buffers()}) {
    for (const auto& item : tensors) {
      galley::Result<Tensor> copy = galley::from_torch(item.value().detach().clone());
      if (copy.has_value()) all.push_back({item.key(), *std::move(copy)});
    }
  }
  return all;
}

bool has_weights(const torch::nn::Module& module, const Weights& wanted) {
  const Weights got = weights_of(module);
  if (got.size() != wanted.size()) return false;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (got[i].name != wanted[i].name || !(got[i].tensor == wanted[i].tensor)) return false;
  }
  return true;
}

/// What loading is refused with; the module stays as it was.
galley::Error refusal(torch::nn::Module& module, const Weights& weights,
                      galley::WeightOptions options = {}) {
  const Weights before = weights_of(module);
  const auto report = load_weights(module, weights, options);
  REQUIRE_FALSE(report.has_value());
  CHECK(has_weights(module, before));
  return report.error();
}

Tensor tensor_of(const at::Tensor& tensor) {
  return *galley::from_torch(tensor);
}

}  // namespace

TEST_CASE("a module with a state dict of Python's answers as Python's did", "[torch]") {
  const std::string file = state_dicts::written_by_python();
  const Weights dict = *galley::state_dict_from_bytes(std::as_bytes(std::span(file)));
  torch::nn::Sequential net = python_net();
  const auto report = load_weights(*net, dict);
  REQUIRE(report.has_value());
  CHECK(report->all_fit());
  CHECK(report->fitting.size() == 7);
  const torch::NoGradGuard guard;
  const at::Tensor answer = net->forward(torch::tensor({{1.F, 1.F}, {-2.F, 3.F}}));
  const at::Tensor wanted = torch::tensor({{4.249996F, 16.249914F}, {5.249995F, 13.249928F}});
  CHECK(at::allclose(answer, wanted, 1e-5, 1e-6));
  CHECK(net->named_buffers()["1.num_batches_tracked"].item<std::int64_t>() == 7);
}

TEST_CASE("weights of one module make another answer the same, bit for bit", "[torch]") {
  torch::nn::Linear from = linear(1.3);
  torch::nn::Linear to = linear(2.7);
  const at::Tensor batch = models::sines({5, 3});
  CHECK_FALSE(at::equal(to->forward(batch), from->forward(batch)));
  REQUIRE(load_weights(*to, weights_of(*from)).has_value());
  CHECK(at::equal(to->forward(batch), from->forward(batch)));
}

TEST_CASE("a module goes on learning with the weights it was given", "[torch]") {
  torch::nn::Linear layer = linear(2.7);
  const at::Tensor parameter = layer->weight;
  const Weights given = weights_of(*linear(1.3));
  const Weights kept = weights_of(*linear(1.3));
  REQUIRE(load_weights(*layer, given).has_value());
  CHECK(parameter.is_same(layer->weight));
  CHECK((layer->weight.requires_grad() && layer->bias.requires_grad()));
  layer->forward(models::sines({5, 3})).sum().backward();
  {
    const torch::NoGradGuard guard;
    layer->weight.sub_(layer->weight.grad());
  }
  CHECK_FALSE(has_weights(*layer, kept));
  CHECK(given[0].tensor == kept[0].tensor);
}

TEST_CASE("a module made in InferenceMode takes weights, in it and outside", "[torch]") {
  const Weights given = weights_of(*linear(1.3));
  const auto made = [] {
    const c10::InferenceMode inference;
    return torch::nn::Linear(3, 2);
  };
  torch::nn::Linear outside = made();
  REQUIRE(outside->weight.is_inference());
  CHECK(load_weights(*outside, given).has_value());
  CHECK(has_weights(*outside, given));
  torch::nn::Linear ordinary = linear(2.7);
  {
    const c10::InferenceMode inference;
    torch::nn::Linear inside = made();
    CHECK(load_weights(*inside, given).has_value());
    CHECK(load_weights(*ordinary, given).has_value());
  }
  CHECK(has_weights(*ordinary, given));
}

TEST_CASE("nothing is changed unless every name fits, and the error names them", "[torch]") {
  torch::nn::Linear layer = linear(2.7);
  const Weights good = weights_of(*linear(1.3));
  SECTION("missing") {
    has(refusal(*layer, {good[0]}).detail, "1 fit; missing \"bias\"");
    has(refusal(*layer, {}).detail, "0 fit; missing \"weight\", \"bias\"");
  }
  SECTION("unexpected") {
    Weights more = good;
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) more.push_back({name, Tensor()});
    const galley::Error error = refusal(*layer, more);
    CHECK(error.status == Status::failed_precondition);
    has(error.detail, "2 fit; unexpected \"a\", \"b\", \"c\", \"d\" and 2 more");
  }
  SECTION("of another shape or dtype") {
    const Weights bad{{"weight", tensor_of(at::ones({3, 2}))},
                      {"bias", tensor_of(at::ones({2}, at::kDouble))}};
    has(refusal(*layer, bad).detail,
        "0 fit; mismatched \"weight\": expected float32 [2, 3], got float32 [3, 2], \"bias\": "
        "expected float32 [2], got float64 [2]");
    has(refusal(*layer, {good[0], {"bias", Tensor()}}).detail, "got an undefined tensor");
    has(refusal(*layer, {good[0], {"bias", tensor_of(at::ones({1}))}}).detail, "got float32 [1]");
  }
  SECTION("twice") {
    const galley::Error error = refusal(*layer, {good[0], good[1], good[0]});
    CHECK(error.status == Status::invalid_argument);
    has(error.detail, "two of the name \"weight\"");
  }
}

TEST_CASE("a report says how weights fit and changes nothing", "[torch]") {
  torch::nn::Sequential net = python_net();
  const Weights before = weights_of(*net);
  const Weights weights{{"other", tensor_of(at::ones({1}))},
                        {"1.weight", tensor_of(at::ones({3}))},
                        {"0.weight", tensor_of(at::ones({2, 2}))},
                        {"1.num_batches_tracked", tensor_of(at::ones({}, at::kLong))}};
  const WeightReport report = *compare_weights(*net, weights);
  CHECK_FALSE(report.all_fit());
  CHECK(report.fitting == Names{"0.weight", "1.num_batches_tracked"});
  CHECK(report.missing == Names{"0.bias", "1.bias", "1.running_mean", "1.running_var"});
  CHECK(report.unexpected == Names{"other"});
  REQUIRE(report.mismatched.size() == 1);
  const WeightReport::Mismatch wanted{"1.weight", "float32 [3]", "float32 [2]"};
  CHECK((report.mismatched[0] == wanted));
  CHECK(has_weights(*net, before));
}

TEST_CASE("in part, what fits is loaded and the rest told, if anything fits", "[torch]") {
  torch::nn::Linear layer = linear(2.7);
  const Weights good = weights_of(*linear(1.3));
  const Weights before = weights_of(*layer);
  const auto report =
      load_weights(*layer, Weights{good[0], {"bias", tensor_of(at::ones({5}))}, {"more", {}}},
                   {.fit = WeightFit::partial});
  REQUIRE(report.has_value());
  CHECK(report->fitting == Names{"weight"});
  CHECK(report->unexpected == Names{"more"});
  CHECK(report->mismatched.size() == 1);
  CHECK(has_weights(*layer, {good[0], before[1]}));
  const galley::Error error =
      refusal(*layer, {{"net.weight", good[0].tensor}}, {.fit = WeightFit::partial});
  CHECK(error.status == Status::failed_precondition);
}

TEST_CASE("a dtype is converted only where that is asked for", "[torch]") {
  for (const at::ScalarType type : {at::kDouble, at::kHalf, at::kBFloat16}) {
    torch::nn::Linear layer = linear(2.7);
    const at::Tensor weight = models::sines({2, 3}).to(type);
    const Weights other{{"weight", tensor_of(weight)},
                        {"bias", tensor_of(models::sines({2}).to(type))}};
    refusal(*layer, other);
    refusal(*layer, other, {.fit = WeightFit::partial});
    REQUIRE(load_weights(*layer, other, {.conversion = WeightConversion::floating}).has_value());
    CHECK(layer->weight.scalar_type() == at::kFloat);
    CHECK(at::equal(layer->weight.detach(), weight.to(at::kFloat)));
  }
  torch::nn::Linear layer = linear(2.7);
  Weights integers = weights_of(*layer);
  integers[1].tensor = tensor_of(at::ones({2}, at::kInt));
  refusal(*layer, integers, {.conversion = WeightConversion::floating});
  torch::nn::Sequential net = python_net();
  Weights counts = weights_of(*net);
  counts.back().tensor = tensor_of(at::ones({}, at::kFloat));
  REQUIRE(counts.back().name == "1.num_batches_tracked");
  refusal(*net, counts, {.conversion = WeightConversion::floating});
}

TEST_CASE("buffers of every dtype are loaded", "[torch]") {
  const auto make = [](double value) {
    torch::nn::Module module;
    for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kChar,
                                      at::kShort, at::kInt, at::kLong, at::kByte, at::kBool}) {
      module.register_buffer(c10::toString(type), at::full({2, 1}, value).to(type));
    }
    return module;
  };
  torch::nn::Module module = make(0);
  const Weights given = weights_of(make(1));
  CHECK(load_weights(module, given)->fitting.size() == 10);
  CHECK(has_weights(module, given));
  module.register_buffer("complex", at::zeros({2}, at::kComplexFloat));
  has(refusal(module, given).detail, "missing \"complex\"");
  Weights more = given;
  more.push_back({"complex", tensor_of(at::zeros({2}))});
  has(refusal(module, more).detail, "got float32 [2]");
}

TEST_CASE("weights with strides, and scalars, are loaded by their elements", "[torch]") {
  torch::nn::Module module;
  module.register_buffer("m", at::zeros({3, 2}));
  module.register_buffer("t", at::zeros({2, 3}).t());
  const at::Tensor values = models::sines({2, 3});
  REQUIRE(load_weights(module, Weights{{"m", tensor_of(values.t())},
                                       {"t", tensor_of(values.t().contiguous())}})
              .has_value());
  CHECK(at::equal(module.named_buffers()["m"], values.t()));
  CHECK(at::equal(module.named_buffers()["t"], values.t()));
}

TEST_CASE("names that share a tensor need not come twice, and not differ", "[torch]") {
  torch::nn::Module module;
  const at::Tensor shared = module.register_parameter("embedding", at::zeros({2, 2}));
  module.register_parameter("head", shared);
  const Tensor some = tensor_of(at::full({2, 2}, 3.F));
  const auto report = load_weights(module, Weights{{"head", some}});
  REQUIRE(report.has_value());
  CHECK(report->all_fit());
  CHECK(at::equal(shared.detach(), at::full({2, 2}, 3.F)));
  CHECK(load_weights(module, Weights{{"head", some}, {"embedding", some}}).has_value());
  has(refusal(module, {{"head", tensor_of(at::ones({2, 2}))}, {"embedding", some}}).detail,
      "expected those of \"embedding\", whose tensor it is, got other values");
}

TEST_CASE("a module without parameters takes no weights", "[torch]") {
  torch::nn::ReLU relu;
  CHECK(load_weights(*relu, {})->all_fit());
  has(refusal(*relu, {{"weight", Tensor()}}).detail, "unexpected \"weight\"");
}

TEST_CASE("a TorchScript file's code is served with other weights", "[torch]") {
  const auto file = models::bytes(models::mlp(4));
  const models::Parts others{{"w0", models::sines({4, 4}, 0.9)},
                             {"b0", models::sines({4}, 2.3)},
                             {"w1", models::sines({4, 4}, 1.1)},
                             {"b1", models::sines({4}, 3.1)}};
  Weights weights;
  for (const auto& [name, tensor] : others) weights.push_back({name, tensor_of(tensor)});
  torch::jit::Module bare = models::mlp(4);
  for (const auto& [name, tensor] : others) bare.setattr(name, tensor);
  const at::Tensor batch = models::sines({5, 4}, 0.4);

  for (const galley::Freeze freeze : {galley::Freeze::yes, galley::Freeze::no}) {
    const galley::ScriptOptions options{.inputs = {{"x", galley::f32, {4}}}, .freeze = freeze};
    galley::ScriptOptions with = options;
    with.weights = weights;
    const auto served = galley::torch_script(file, with);
    REQUIRE(served.has_value());
    CHECK(at::equal(models::torch_of(served->serve_rows(models::rows(batch))),
                    models::bare(bare, batch)));
    const auto plain = galley::torch_script(file, options);
    CHECK(at::equal(models::torch_of(plain->serve_rows(models::rows(batch))),
                    models::bare(models::mlp(4), batch)));
  }
}

TEST_CASE("weights that do not fit a TorchScript file refuse it", "[torch]") {
  const auto file = models::bytes(models::mlp(4));
  galley::ScriptOptions options{.inputs = {{"x", galley::f32, {4}}}};
  options.weights = Weights{{"b0", tensor_of(at::ones({4}))}};
  const auto refused = galley::torch_script(file, options);
  CHECK(refused.status() == Status::failed_precondition);
  has(refused.error().detail, "1 fit; missing \"w0\", \"w1\", \"b1\"");
  options.weights = Weights();
  CHECK(galley::torch_script(file, options).status() == Status::failed_precondition);

  options.weights = Weights{{"b0", tensor_of(at::ones({4}))}};
  options.weight_options = {.fit = WeightFit::partial};
  const auto part = galley::torch_script(file, options);
  REQUIRE(part.has_value());
  torch::jit::Module bare = models::mlp(4);
  bare.setattr("b0", at::ones({4}));
  const at::Tensor batch = models::sines({5, 4}, 0.4);
  CHECK(at::equal(models::torch_of(part->serve_rows(models::rows(batch))),
                  models::bare(bare, batch)));
  std::string told;
  for (const auto& [name, value] : part->describe().options) {
    if (name == "weights") told = value;
  }
  has(told, "1 fit; missing \"w0\", \"w1\", \"b1\"");

  const auto frozen = models::bytes(torch::jit::freeze(models::mlp(4)));
  has(galley::torch_script(frozen, options).error().detail, "0 fit; unexpected \"b0\"");
}
