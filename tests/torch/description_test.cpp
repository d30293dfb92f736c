// ModelDescription: what is known of a model, however it was made.
#include <galley/testing/manual_executor.hpp>
#include <galley/torch/description.hpp>

#include "models.hpp"
#include <support/has.hpp>

#include <torch/nn/module.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::BoundArgument;
using galley::f32;
using galley::FormChoice;
using galley::FormRange;
using galley::ModelDescription;
using galley::ModelFormat;
using galley::NamedTensors;
using galley::Status;
using galley::Tensor;
using support::has;
using namespace std::chrono_literals;

namespace {

template <class Servable>
ModelDescription about(const Servable& served) {
  ModelDescription description;
  REQUIRE(served.control("", description).has_value());
  return description;
}

/// A parameter of six numbers, a buffer of two, and methods with arguments of all kinds.
torch::jit::Module resampler() {
  torch::jit::Module made("Model");
  made.register_parameter("w", models::sines({2, 3}), false);
  made.register_buffer("b", models::sines({2}));
  made.define(R"(
def forward(self, x: Tensor, rate: int = 16000, name: str = "en",
            gain: Optional[float] = None) -> Tensor:
    return torch.linear(x, self.w, self.b) * float(rate)

def sizes(self, xs: List[Tensor], scale: float = 0.5) -> Tuple[Tensor, int]:
    return xs[0] * scale, len(xs)
)");
  return made;
}

galley::Servable<Tensor, Tensor> resampling() {
  return *galley::torch_script(
      models::bytes(resampler()),
      {.name = "voice",
       .inputs = {{.name = "x", .shape = {3}, .range = galley::TensorSpec::Range{0, 1}}},
       .arguments = {{"rate", std::int64_t{8000}}, {"gain", {}}},
       .forms = {.tried = {}}});
}

struct Scaled : torch::nn::Module {
  Scaled() {
    scale = register_parameter("scale", at::ones({3}));
    offset = register_buffer("offset", at::ones({1}, at::kFloat));
  }
  at::Tensor forward(const at::Tensor& x) { return x * scale + offset; }
  at::Tensor scale, offset;
};

std::string line_of(const std::string& page, const std::string& label) {
  const std::size_t at = page.find("\n" + label);
  if (at == page.npos) return "no line " + label;
  return page.substr(at + 1, page.find('\n', at + 1) - at - 1);
}

}  // namespace

TEST_CASE("a TorchScript model's methods, arguments and tensors are told", "[torch]") {
  const ModelDescription d = about(resampling());
  CHECK(d.name == "voice");
  CHECK(d.format == ModelFormat::torch_script);
  CHECK(d.device == galley::Device());
  CHECK(d.libtorch.find('.') != d.libtorch.npos);
  REQUIRE(d.script.has_value());
  CHECK_FALSE(d.package.has_value());
  REQUIRE(d.script->methods.size() == 2);
  CHECK(to_string(d.script->methods[0]) ==
        "forward(x: Tensor, rate: int = 16000, name: str = \"en\", "
        "gain: Optional[float] = None) -> Tensor");
  CHECK(to_string(d.script->methods[1]) ==
        "sizes(xs: List[Tensor], scale: float = 0.5) -> Tuple[Tensor, int]");
  CHECK(d.script->method == "forward");
  REQUIRE(d.script->arguments.size() == 2);
  CHECK(d.script->arguments[0].name == "rate");
  CHECK_FALSE(d.script->is_training);
  REQUIRE(d.signature.inputs.size() == 1);
  CHECK(d.signature.inputs[0].range->max == 1);
  CHECK(d.signature.outputs[0].shape == galley::Shape{2});
  CHECK(d.parameters == galley::TensorCount{1, 6, 24, {"float32"}});
  CHECK(d.buffers == galley::TensorCount{1, 2, 8, {"float32"}});
  CHECK(d.constants == galley::TensorCount{});
  CHECK(d.state.empty());
  CHECK(d.warm_batches == std::vector<std::size_t>{1});
}

TEST_CASE("tensors that share memory are counted once, and each dtype is named", "[torch]") {
  torch::jit::Module made("Model");
  const at::Tensor table = models::sines({4, 2});
  made.register_parameter("in_table", table, false);
  made.register_parameter("out_table", table, false);
  made.register_buffer("ids", at::arange(3, at::kLong));
  made.register_buffer("half", at::ones({2}, at::kHalf));
  made.register_buffer("empty", at::empty({0}));
  made.define("def forward(self, x: Tensor) -> Tensor:\n    return x + 1\n");
  const ModelDescription d =
      about(*galley::torch_script(models::bytes(made), {.inputs = {{"x", f32, {2}}}}));
  CHECK(d.parameters == galley::TensorCount{1, 8, 32, {"float32"}});
  CHECK(d.buffers == galley::TensorCount{2, 5, 28, {"int64", "float16"}});
}

TEST_CASE("the weights of a model that was frozen before it was saved are constants", "[torch]") {
  const ModelDescription d = about(*galley::torch_script(
      models::bytes(torch::jit::freeze(models::mlp(4))), {.inputs = {{"x", f32, {4}}}}));
  CHECK(d.parameters.tensors == 0);
  CHECK(d.buffers.tensors == 0);
  CHECK(d.constants == galley::TensorCount{4, 40, 160, {"float32"}});
  const std::string page = to_string(d);
  CHECK(line_of(page, "constants") == "constants   4 tensors of 40 elements, 160 bytes, float32");
  CHECK(line_of(page, "parameters") == "no line parameters");
}

TEST_CASE("which form runs is told from the first row on, and why", "[torch]") {
  const auto model =
      *galley::torch_script(models::bytes(models::cnn()), {.inputs = {{"pixels", f32, {1, 8, 8}}}});
  ModelDescription d = about(model);
  CHECK(d.choice == FormChoice::unprepared);
  REQUIRE(d.forms.size() >= 4);
  CHECK(d.forms[0].name == "frozen");
  CHECK((d.runs == std::vector<FormRange>{{1, "frozen"}}));

  const auto cost = [](std::size_t rows, galley::Duration time) {
    return galley::BatchCost{.rows = rows, .mean = time, .p95 = time, .seen = 20, .last = time};
  };
  galley::SetFormProfile set{{{{"frozen", "", {cost(1, 100us), cost(8, 800us)}},
                               {"optimized", "", {cost(1, 200us), cost(8, 300us)}},
                               {"channels last", "the model has no images", {}}}}};
  REQUIRE(model.control("", set).has_value());
  d = about(model);
  CHECK(d.choice == FormChoice::measured);
  CHECK((d.runs == std::vector<FormRange>{{1, "frozen"}, {3, "optimized"}}));
  const auto refused =
      std::ranges::find(d.forms, "channels last", &galley::FormProfile::Form::name);
  REQUIRE(refused != d.forms.end());
  CHECK(refused->refused == "the model has no images");
  galley::FormProfile profile;
  REQUIRE(model.control("", profile).has_value());
  CHECK((d.forms == profile.forms));
  const std::string page = to_string(d);
  CAPTURE(page);
  has(page, "forms       us by rows                        1        8\n");
  has(page, "            frozen                        100.0    800.0\n");
  has(page, "            channels last             refused: the model has no images\n");
  has(page, "            optimized, channels last  not timed\n");
  has(page, "runs        frozen from 1 row, optimized from 3 rows\n");

  const auto pinned = *galley::torch_script(
      models::bytes(models::cnn()),
      {.inputs = {{"pixels", f32, {1, 8, 8}}}, .forms = {.pinned = "optimized"}});
  REQUIRE(pinned.prepare().has_value());
  d = about(pinned);
  CHECK(d.choice == FormChoice::pinned);
  CHECK((d.runs == std::vector<FormRange>{{1, "optimized"}}));
}

TEST_CASE("a C++ module's parameters and buffers are told apart; a function has none", "[torch]") {
  const auto module = std::make_shared<Scaled>();
  module->eval();
  const auto served = galley::torch_module("scaled", module, {.inputs = {{"x", f32, {3}}}});
  REQUIRE(served.has_value());
  ModelDescription d = about(*served);
  CHECK(d.name == "scaled");
  CHECK(d.format == ModelFormat::module);
  CHECK(d.parameters == galley::TensorCount{1, 3, 12, {"float32"}});
  CHECK(d.buffers == galley::TensorCount{1, 1, 4, {"float32"}});
  CHECK(d.forms.empty());
  CHECK(d.runs.empty());

  const auto twice = galley::torch_function("twice", [](const at::Tensor& x) { return x * 2; },
                                            {.inputs = {{"x", f32, {3}}}});
  d = about(*twice);
  CHECK(d.format == ModelFormat::function);
  CHECK(d.parameters == galley::TensorCount{});
  CHECK_FALSE(d.script.has_value());
}

TEST_CASE("how weights that took the place of a file's fitted is told", "[torch]") {
  galley::ScriptOptions options{.inputs = {{"x", f32, {4}}}};
  options.weights = std::vector<galley::NamedTensor>{{"b0", *galley::from_torch(at::ones({4}))}};
  options.weight_options = {.fit = galley::WeightFit::partial};
  const ModelDescription d = about(*galley::torch_script(models::bytes(models::mlp(4)), options));
  REQUIRE(d.weights.has_value());
  CHECK(d.weights->fitting == std::vector<std::string>{"b0"});
  CHECK(d.weights->missing.size() == 3);
  has(line_of(to_string(d), "weights"), "1 fit; missing \"w0\"");
}

TEST_CASE("a page says it all, in columns", "[torch]") {
  const ModelDescription d = about(resampling());
  const std::string page = to_string(d);
  CAPTURE(page);
  CHECK(page.starts_with("voice:      TorchScript, on cpu, with LibTorch " + d.libtorch + "\n"));
  CHECK(line_of(page, "serves") == "serves      forward, frozen");
  CHECK(line_of(page, "bound") == "bound       rate  8000");
  has(page, "\n            gain  None\n");
  CHECK(line_of(page, "inputs") == "inputs      x  float32 [3] on cpu, 0 to 1");
  CHECK(line_of(page, "outputs") == "outputs     0  float32 [2]");
  CHECK(line_of(page, "parameters") == "parameters  1 tensor of 6 elements, 24 bytes, float32");
  CHECK(line_of(page, "state") == "state       none");
  CHECK(line_of(page, "runs") == "runs        frozen");
  CHECK(page.back() == '\n');
}

TEST_CASE("bound values are written as in Python", "[torch]") {
  ModelDescription d = about(resampling());
  d.script->arguments = {{"a", true},
                         {"b", 0.1},
                         {"c", 3.0},
                         {"d", std::string("a \"b\"")},
                         {"e", std::vector<bool>{true, false}},
                         {"f", std::vector<std::string>{"x"}},
                         {"g", std::vector<double>{}}};
  const std::string page = to_string(d);
  CAPTURE(page);
  has(page, "a  True\n            b  0.1\n            c  3.0\n            d  \"a \\\"b\\\"\"\n");
  has(page, "e  [True, False]\n            f  [\"x\"]\n            g  []\n");
}

TEST_CASE("core's description says the same, since it is made of it", "[torch]") {
  const auto served = resampling();
  const ModelDescription d = about(served);
  const galley::Description core = served.describe();
  CHECK(*core.signature == d.signature);
  const auto option = [&core](const std::string& key) {
    for (const auto& [name, value] : core.options) {
      if (name == key) return value;
    }
    return std::string("none");
  };
  CHECK(option("format") == "TorchScript");
  CHECK(option("method") == "forward");
  CHECK(option("parameters") == "8");
  CHECK(option("bytes") == "32");
  CHECK(option("libtorch") == d.libtorch);
  CHECK(option("warm_batches") == "1");
}

TEST_CASE("a TorchScript file is described without being served", "[torch]") {
  const std::string path = "galley_description_test.pt";
  torch::jit::Module made = resampler();
  made.register_attribute("training", c10::BoolType::get(), true);
  made.save(path);
  const auto d = galley::describe_script(path);
  std::remove(path.c_str());
  REQUIRE(d.has_value());
  CHECK(d->name == "galley_description_test");
  CHECK(d->script->methods.size() == 2);
  CHECK(d->script->method.empty());
  CHECK(d->script->is_training);
  CHECK(d->parameters.elements == 6);
  CHECK(d->signature.inputs.empty());
  CHECK(to_string(*d).find("serves") == std::string::npos);
  CHECK(galley::describe_script(path).status() == Status::not_found);
}

TEST_CASE("a servable that is no model does not know the request", "[torch]") {
  ModelDescription d;
  const galley::Servable<int, int> plain("plain", [](int x) { return x; });
  CHECK(plain.control("", d).status() == Status::unimplemented);
}
