// TorchScript as it is found: any method, arguments that are no tensors, and answers within
// answers.
#include <galley/compose/batched.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/testing/manual_executor.hpp>

#include "models.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <support/catch.hpp>

using galley::any;
using galley::BoundArgument;
using galley::f32;
using galley::f64;
using galley::i64;
using galley::NamedTensors;
using galley::Outcomes;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::Tensor;

namespace {

template <class T>
Tensor scalar(T value) {
  return *Tensor::copy_of(std::vector<T>{value}, {});
}

std::string names_of(const NamedTensors& answer) {
  std::string all;
  for (const auto& part : answer) all += part.name + " ";
  return all;
}

template <class In = NamedTensors, class Out = Tensor>
Servable<In, Out> loaded(const std::string& source, galley::ScriptOptions options) {
  auto served = models::servable<In, Out>(source, std::move(options));
  INFO((served.has_value() ? "" : served.error().detail));
  REQUIRE(served.has_value());
  return *std::move(served);
}

std::string refusal(const std::string& source, galley::ScriptOptions options) {
  const auto served = models::servable<NamedTensors, Tensor>(source, std::move(options));
  REQUIRE_FALSE(served.has_value());
  CHECK(served.status() == Status::failed_precondition);
  return served.error().detail;
}

/// The rows' rate decides what is answered.
const char* const by_rate =
    "def forward(self, x: Tensor, rate: int) -> Tensor:\n"
    "    return x * rate\n";

NamedTensors at_rate(float value, std::int64_t rate) {
  return {{"x", models::row({value})}, {"rate", scalar(rate)}};
}

galley::ScriptOptions with_rate() {
  return {.inputs = {{"x", f32, {1}}, {"rate", i64, {}, {}, {}, galley::TensorSpec::Range{1, 9}}}};
}

}  // namespace

TEST_CASE("any method of a model can be served, in every form", "[torch]") {
  const std::string source =
      "def forward(self, x: Tensor) -> Tensor:\n    return x + 1\n"
      "def embed(self, x: Tensor) -> Tensor:\n    return torch.linear(x, self.w) * 2\n";
  const auto freeze = GENERATE(galley::Freeze::yes, galley::Freeze::no);
  const auto optimize = GENERATE(galley::Optimize::no, galley::Optimize::for_inference);
  const auto served = models::servable(
      source,
      {.method = "embed", .inputs = {{"x", f32, {2}}}, .freeze = freeze, .optimize = optimize},
      {{"w", at::ones({3, 2})}});
  INFO((served.has_value() ? "" : served.error().detail));
  REQUIRE(served.has_value());
  CHECK(*served->serve(models::row({1, 2})) == models::row({6, 6, 6}));
  const galley::Description description = served->describe();
  CHECK(std::ranges::count(description.options,
                           std::pair<std::string, std::string>("method", "embed")) == 1);
}

TEST_CASE("a model without forward is served by another method", "[torch]") {
  const auto freeze = GENERATE(galley::Freeze::yes, galley::Freeze::no);
  const auto served =
      loaded<Tensor, Tensor>("def other(self, x: Tensor) -> Tensor:\n    return x - 1\n",
                             {.method = "other", .inputs = {{"x", f32, {1}}}, .freeze = freeze});
  CHECK(*served.serve(models::row({1})) == models::row({0}));
}

TEST_CASE("arguments that are no tensors are bound once", "[torch]") {
  const auto served = loaded<Tensor, Tensor>(
      "def forward(self, first: int, x: Tensor, scale: float, negate: bool, mode: str,\n"
      "            offsets: List[int], weights: List[float], flags: List[bool],\n"
      "            names: List[str], rest: Optional[int], kept: int = 5) -> Tensor:\n"
      "    y = x * scale + first + offsets[0] + offsets[1] + weights[0] + kept\n"
      "    if negate:\n        y = -y\n"
      "    if mode == 'double':\n        y = y * 2\n"
      "    if flags[1]:\n        y = y + len(names[0])\n"
      "    if rest is not None:\n        y = y + rest\n"
      "    return y\n",
      {.inputs = {{"x", f32, {1}}},
       .arguments = {{"first", 1},
                     {"scale", 0.5},
                     {"negate", true},
                     {"mode", "double"},
                     {"offsets", std::vector<std::int64_t>{10, 20}},
                     {"weights", std::vector<double>{0.25}},
                     {"flags", std::vector<bool>{false, true}},
                     {"names", std::vector<std::string>{"four"}},
                     {"rest", std::monostate()}}});
  // -(2 * 0.5 + 1 + 30 + 0.25 + 5) * 2 + 4
  CHECK(*served.serve(models::row({2})) == models::row({-70.5F}));
}

TEST_CASE("rows with values of their own are computed apart and come back in order", "[torch]") {
  const auto served = loaded(by_rate, with_rate());
  CHECK(*served.serve(at_rate(2, 3)) == models::row({6}));
  const Rows<NamedTensors> rows{at_rate(1, 8), at_rate(2, 3), at_rate(3, 8), at_rate(4, 5)};
  const Outcomes<Tensor> all = served.serve_rows(rows);
  REQUIRE(all.all_ok());
  for (std::size_t i = 0; i < 4; ++i) {
    CAPTURE(i);
    CHECK(*all[i] == models::row({std::vector<float>{8, 6, 24, 20}[i]}));
  }
}

TEST_CASE("requests with different values do not share a call, also behind batched", "[torch]") {
  const galley::ManualExecutor executor;
  const auto graph = galley::batched(executor, loaded(by_rate, with_rate()));
  std::vector<std::optional<galley::Result<Tensor>>> heard(6);
  for (std::size_t i = 0; i < 6; ++i) {
    graph.submit(at_rate(static_cast<float>(i), i % 2 == 0 ? 7 : 2), {},
                 [&heard, i](galley::Result<Tensor> answer) { heard[i] = std::move(answer); });
  }
  executor.run_ready();
  for (std::size_t i = 0; i < 6; ++i) {
    REQUIRE(heard[i].has_value());
    REQUIRE(heard[i]->has_value());
    CHECK(**heard[i] == models::row({static_cast<float>(i) * (i % 2 == 0 ? 7.F : 2.F)}));
  }
}

TEST_CASE("text, truth and lists are given with each row too", "[torch]") {
  const auto served = loaded(
      "def forward(self, x: Tensor, mode: str, more: bool, by: float, sizes: List[int]) -> "
      "Tensor:\n"
      "    y = x * by + sum(sizes)\n"
      "    if mode == 'minus':\n        y = -y\n"
      "    if more:\n        y = y + 1000\n"
      "    return y\n",
      {.inputs = {{"x", f32, {1}},
                  {"mode", galley::u8, {any}},
                  {"more", galley::boolean, {}},
                  {"by", f64, {}},
                  {"sizes", i64, {any}}}});
  const auto request = [](float x, const std::string& mode, bool more, double by,
                          const std::vector<std::int64_t>& sizes) {
    const std::vector<std::uint8_t> text(mode.begin(), mode.end());
    Tensor flag = *Tensor::zeros(galley::boolean, {});
    *static_cast<bool*>(flag.mutable_data()) = more;
    return NamedTensors{{"x", models::row({x})},
                        {"mode", *Tensor::copy_of(text, {text.size()})},
                        {"more", flag},
                        {"by", scalar(by)},
                        {"sizes", *Tensor::copy_of(sizes, {sizes.size()})}};
  };
  const Rows<NamedTensors> rows{request(1, "minus", false, 2, {1, 2}),
                                request(1, "plus", true, 2, {}), request(1, "plus", true, 3, {5}),
                                request(2, "minus", false, 2, {1, 2})};
  const Outcomes<Tensor> all = served.serve_rows(rows);
  REQUIRE(all.all_ok());
  CHECK(*all[0] == models::row({-5}));
  CHECK(*all[1] == models::row({1002}));
  CHECK(*all[2] == models::row({1008}));
  CHECK(*all[3] == models::row({-7}));
}

TEST_CASE("tuples, lists and dicts of tensors are put together from inputs by name", "[torch]") {
  const auto served = loaded(
      "def forward(self, pair: Tuple[Tensor, Tensor], all: List[Tensor],\n"
      "            by: Dict[str, Tensor], mask: Optional[Tensor] = None) -> Tensor:\n"
      "    y = pair[0] - pair[1] + all[0] * all[1] + by['left'] / by['right']\n"
      "    return y if mask is None else y * mask\n",
      {.inputs = {{"by.right", f32, {1}, {}, {}, galley::TensorSpec::Range{1, 2}},
                  {"pair.0", f32, {1}},
                  {"pair.1", f32, {1}},
                  {"all.0", f32, {1}},
                  {"all.1", f32, {1}},
                  {"by.left", f32, {1}},
                  {"mask", f32, {1}}}});
  const NamedTensors row{{"pair.0", models::row({9})},  {"pair.1", models::row({4})},
                         {"all.0", models::row({2})},   {"all.1", models::row({3})},
                         {"by.left", models::row({8})}, {"by.right", models::row({2})},
                         {"mask", models::row({10})}};
  CHECK(*served.serve(row) == models::row({150}));
}

TEST_CASE("an argument that may lack is given by name, or not at all", "[torch]") {
  const std::string source =
      "def forward(self, x: Tensor, mask: Optional[Tensor]) -> Tensor:\n"
      "    return x if mask is None else x * mask\n";
  const auto without = loaded<Tensor, Tensor>(source, {.inputs = {{"x", f32, {1}}}});
  CHECK(*without.serve(models::row({3})) == models::row({3}));
  const auto with = loaded(source, {.inputs = {{"x", f32, {1}}, {"mask", f32, {1}}}});
  CHECK(*with.serve({{"x", models::row({3})}, {"mask", models::row({2})}}) == models::row({6}));
}

TEST_CASE("inputs are taken by the method's names, whatever their order", "[torch]") {
  const auto served =
      loaded("def forward(self, a: Tensor, b: Tensor) -> Tensor:\n    return a - b\n",
             {.inputs = {{"b", f32, {1}}, {"a", f32, {1}}}});
  CHECK(*served.serve({{"a", models::row({5})}, {"b", models::row({2})}}) == models::row({3}));
}

TEST_CASE("answers within answers are named by the way to them", "[torch]") {
  const std::string source =
      "def forward(self, x: Tensor) -> Tuple[Tensor, Dict[str, Tuple[Tensor, Tensor]]]:\n"
      "    return x + 1, {'b': (x * 2, x * 3), 'a': (x * 4, x * 5)}\n";
  const auto all = loaded<Tensor, NamedTensors>(source, {.inputs = {{"x", f32, {1}}}});
  const NamedTensors answer = *all.serve(models::row({1}));
  CHECK(names_of(answer) == "0 1.b.0 1.b.1 1.a.0 1.a.1 ");
  CHECK(*answer.find("1.b.1") == models::row({3}));
  CHECK(*answer.find("1.a.0") == models::row({4}));
  const auto some = loaded<Tensor, Tensor>(
      source, {.inputs = {{"x", f32, {1}}}, .outputs = {{"1.a.1", f32, {1}}}});
  CHECK(*some.serve(models::row({1})) == models::row({5}));
}

TEST_CASE(
    "a struct of the user's becomes a model's inputs by one function, and its outputs another",
    "[torch]") {
  struct Clip {
    float sample = 0;
    std::int64_t rate = 0;
  };
  struct Found {
    float louder = 0;
    float softer = 0;
  };
  const auto model = loaded<NamedTensors, NamedTensors>(
      "def forward(self, x: Tensor, rate: int) -> Dict[str, Tensor]:\n"
      "    return {'louder': x * rate, 'softer': x / rate}\n",
      with_rate());
  const auto detector =
      galley::map("clip", [](const Clip& clip) { return at_rate(clip.sample, clip.rate); }) |
      model | galley::map("found", [](const NamedTensors& answer) {
        return Found{*answer.find("louder")->data<float>(), *answer.find("softer")->data<float>()};
      });
  const Found found = *detector.serve(Clip{8, 4});
  CHECK(found.louder == 32);
  CHECK(found.softer == 2);
}

TEST_CASE("what a method cannot be given is refused when it is loaded", "[torch]") {
  const auto wanted = [](const std::string& got, const std::string& part) {
    INFO(got);
    CHECK(got.find(part) != std::string::npos);
  };
  const galley::TensorSpec x{"x", f32, {1}};
  wanted(refusal(by_rate, {.inputs = {x}}),
         "forward's argument \"rate\": expected Tensor, got int: bind a value in "
         "options.arguments, or declare it as an input int64 []");
  wanted(refusal(by_rate, {.inputs = {x}, .arguments = {{"rate", 0.5}}}),
         "argument \"rate\": expected int, got float");
  wanted(refusal(by_rate, {.inputs = {x}, .arguments = {{"rate", std::monostate()}}}),
         "argument \"rate\": expected int, got None");
  wanted(refusal(by_rate, {.inputs = {x}, .arguments = {{"rate", 1}, {"rate", 2}}}),
         "argument \"rate\" is bound twice");
  wanted(refusal(by_rate, {.inputs = {x}, .arguments = {{"rate", 1}, {"speed", 2}}}),
         "takes no \"speed\" (it takes x: Tensor, rate: int)");
  wanted(refusal(by_rate, {.inputs = {x, {"rate", f32, {}}}}),
         "argument \"rate\" is int: expected an input int64 [], got float32 []");
  wanted(refusal(by_rate, {.inputs = {x, {"rate", i64, {}}}, .arguments = {{"rate", 1}}}),
         "argument \"rate\" is bound, and declared as an input");
  wanted(refusal(by_rate, {.inputs = {x, {"speed", f32, {1}}}, .arguments = {{"rate", 1}}}),
         "options.inputs: forward takes no \"speed\"");
  wanted(refusal(by_rate, {.method = "backward", .inputs = {x}}), "has no method backward");
  wanted(refusal("def forward(self, x: Tensor, y: Tensor) -> Tensor:\n    return x\n",
                 {.inputs = {x}}),
         "argument \"y\", Tensor: nothing is given for it");
  wanted(refusal("def forward(self, x: Tensor, all: List[Tensor]) -> Tensor:\n    return x\n",
                 {.inputs = {x}}),
         "argument \"all\", List[Tensor]: nothing is given for it");
  wanted(refusal("def forward(self, all: Dict[int, Tensor]) -> Tensor:\n    return all[0]\n",
                 {.inputs = {x}}),
         "argument \"all\": expected Tensor, got Dict[int, Tensor]");
  wanted(refusal("def forward(self, x: Tensor, pair: Tuple[Tensor, Tensor]) -> Tensor:\n"
                 "    return x\n",
                 {.inputs = {x, {"pair.0", f32, {1}}}}),
         "argument \"pair.1\": no input of that name is declared");
  wanted(refusal("def forward(self, x: Tensor) -> Tuple[Tensor, Optional[Tensor]]:\n"
                 "    return x, None\n",
                 {.inputs = {x}}),
         "gives None within its answer, expected tensors");
}
