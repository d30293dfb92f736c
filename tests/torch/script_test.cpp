// torch_script: what a TorchScript model answers as a servable.
#include "models.hpp"

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <thread>

#include <support/catch.hpp>

using galley::any;
using galley::f32;
using galley::NamedTensors;
using galley::Outcomes;
using galley::Rows;
using galley::ScriptOptions;
using galley::Status;
using galley::Tensor;

namespace {

bool close(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && at::allclose(a, b, 1e-4, 1e-5);
}

const char* const add_one = "def forward(self, x: Tensor) -> Tensor:\n    return x + 1\n";

}  // namespace

TEST_CASE("a script answers like the bare module at every batch size", "[torch]") {
  const torch::jit::Module mlp = models::mlp(64);
  const torch::jit::Module cnn = models::cnn();
  const auto served_mlp = *galley::torch_script(models::bytes(mlp), {.inputs = {{"x", f32, {64}}}});
  const auto served_cnn =
      *galley::torch_script(models::bytes(cnn), {.inputs = {{"pixels", f32, {1, 8, 8}}}});
  for (std::int64_t n = 1; n <= 33; ++n) {
    const at::Tensor x = models::sines({n, 64}, 0.37, 1);
    const auto answers = served_mlp.serve_rows(models::rows(x));
    REQUIRE(answers.all_ok());
    CHECK(close(models::torch_of(answers), models::bare(mlp, x)));

    const at::Tensor pixels = models::sines({n, 1, 8, 8}, 0.41, 1);
    const auto labels = served_cnn.serve_rows(models::rows(pixels));
    REQUIRE(labels.all_ok());
    CHECK(close(models::torch_of(labels), models::bare(cnn, pixels)));
  }
}

TEST_CASE("one row is answered from whatever memory it lies in", "[torch]") {
  const torch::jit::Module mlp = models::mlp(16);
  const auto served = *galley::torch_script(models::bytes(mlp), {.inputs = {{"x", f32, {16}}}});
  const at::Tensor x = models::sines({3, 16}, 0.37, 1);
  const at::Tensor wanted = models::bare(mlp, x);
  const Rows<Tensor> rows = models::rows(x);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto at_row = static_cast<std::int64_t>(i);
    CHECK(close(models::torch_of(*served.serve(rows[i])), wanted[at_row]));  // part of a block
    const Tensor own = *models::rows(x.narrow(0, at_row, 1).clone())[0].contiguous();
    CHECK(close(models::torch_of(*served.serve(own)), wanted[at_row]));  // a block of one
    const Tensor copy = *Tensor::copy_of(*own.span<float>(), {16});
    CHECK(close(models::torch_of(*served.serve(copy)), wanted[at_row]));  // ours
    const at::Tensor column = x[at_row].view({16, 1}).expand({16, 2}).contiguous().select(1, 0);
    REQUIRE_FALSE(column.is_contiguous());
    CHECK(close(models::torch_of(*served.serve(*galley::from_torch(column))), wanted[at_row]));
  }
}

TEST_CASE("a batch is answered in whatever form its rows come", "[torch]") {
  const torch::jit::Module mlp = models::mlp(16);
  const auto served = *galley::torch_script(models::bytes(mlp), {.inputs = {{"x", f32, {16}}}});
  const at::Tensor x = models::sines({7, 16}, 0.37, 1);
  const at::Tensor wanted = models::bare(mlp, x);
  const Rows<Tensor> block = models::rows(x);

  Rows<Tensor> ragged;
  for (std::size_t i = 0; i < 7; ++i) ragged.push_back(block[i]);
  CHECK(close(models::torch_of(served.serve_rows(ragged)), wanted));

  const std::vector<Tensor> list(ragged.ragged().begin(), ragged.ragged().end());
  CHECK(close(models::torch_of(served.serve_rows(std::span<const Tensor>(list))), wanted));

  CHECK(close(models::torch_of(served.serve_rows(block.slice(2, 3))), wanted.narrow(0, 2, 3)));

  const Rows<Tensor> strided = models::rows(x.t().contiguous().t());
  CHECK(close(models::torch_of(served.serve_rows(strided)), wanted));

  CHECK(served.serve_rows(Rows<Tensor>()).size() == 0);
}

TEST_CASE("rows of unequal shape run in groups and come back in order", "[torch]") {
  const auto mean = *models::servable(
      "def forward(self, x: Tensor) -> Tensor:\n    return x.mean(1, keepdim=True)\n",
      {.inputs = {{"x", f32, {any}}}});
  const Rows<Tensor> rows{models::row({1, 2, 3}), models::row({4, 6}), models::row({7, 8, 9}),
                          models::row({5}),       models::row({0, 2}), models::row({3, 3, 3})};
  const Outcomes<Tensor> means = mean.serve_rows(rows);
  const std::vector<float> wanted{2, 5, 8, 5, 1, 3};
  REQUIRE(means.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    REQUIRE(means[i].has_value());
    CHECK((*means[i]).data<float>()[0] == wanted[i]);
  }
}

TEST_CASE("the extents of outputs that follow free inputs are free", "[torch]") {
  const auto served = *models::servable<Tensor, NamedTensors>(
      "def forward(self, x: Tensor):\n    return x * 2, x.sum(1, keepdim=True)\n",
      {.inputs = {{"x", f32, {any}}}});
  const galley::Signature signature = *served.describe().signature;
  REQUIRE(signature.outputs.size() == 2);
  CHECK(signature.outputs[0].shape == galley::Shape{any});
  CHECK(signature.outputs[1].shape == galley::Shape{1});
}

TEST_CASE("answers share memory with nobody", "[torch]") {
  const ScriptOptions pair{.inputs = {{"x", f32, {2}}}};
  const at::Tensor x = at::ones({1, 2});
  SECTION("not with an input") {
    const auto same =
        *models::servable("def forward(self, x: Tensor) -> Tensor:\n    return x\n", pair);
    const Tensor answer = *same.serve(models::rows(x)[0]);
    CHECK(answer.data() != x.data_ptr());
    Tensor borrowed;
    {
      const std::vector<float> gone{3, 4};
      borrowed = *same.serve(*Tensor::view(gone, {2}));
    }
    CHECK(borrowed == models::row({3, 4}));
    CHECK(borrowed.is_owned());
  }
  SECTION("not with a parameter") {
    const auto constant = *models::servable(
        "def forward(self, x: Tensor) -> Tensor:\n    return self.bias.expand(x.size(0), 2)\n",
        pair, {{"bias", at::ones({2})}});
    Tensor answer = *constant.serve(models::rows(x)[0]);
    (*answer.mutable_span<float>())[0] = 99;
    CHECK(*constant.serve(models::rows(x)[0]) == models::row({1, 1}));
  }
  SECTION("not with each other") {
    const auto halves = *models::servable<Tensor, NamedTensors>(
        "def forward(self, x: Tensor):\n    y = x + 1\n    return y, y\n", pair);
    const NamedTensors answer = *halves.serve(models::rows(x)[0]);
    CHECK(answer.find("0")->data() != answer.find("1")->data());
  }
}

TEST_CASE("a model that writes to its input leaves the caller's row as it was", "[torch]") {
  const auto served =
      *models::servable("def forward(self, x: Tensor) -> Tensor:\n    return x.add_(1)\n",
                        {.inputs = {{"x", f32, {2}}}});
  const Tensor row = models::row({1, 2});
  CHECK(*served.serve(row) == models::row({2, 3}));
  CHECK(row == models::row({1, 2}));
}

TEST_CASE("tuples, lists and dicts become named tensors", "[torch]") {
  const Tensor row = models::row({1, 2});
  const auto names_of = [](const NamedTensors& answer) {
    std::string all;
    for (const auto& part : answer) all += part.name + " ";
    return all;
  };
  const auto serve = [&](const std::string& source, std::vector<galley::TensorSpec> outputs = {}) {
    const auto served = models::servable<Tensor, NamedTensors>(
        source, {.inputs = {{"x", f32, {2}}}, .outputs = std::move(outputs)});
    INFO((served.has_value() ? "" : served.error().detail));
    REQUIRE(served.has_value());
    return *served->serve(row);
  };
  SECTION("a tuple") {
    const NamedTensors answer =
        serve("def forward(self, x: Tensor):\n    return x + 1, x.sum(1, keepdim=True)\n");
    CHECK(names_of(answer) == "0 1 ");
    CHECK(*answer.find("0") == models::row({2, 3}));
    CHECK(*answer.find("1") == models::row({3}));
  }
  SECTION("a tuple with declared names") {
    const NamedTensors answer =
        serve("def forward(self, x: Tensor):\n    return x + 1, x.sum(1, keepdim=True)\n",
              {{"next", f32, {2}}, {"sum", f32, {1}}});
    CHECK(names_of(answer) == "next sum ");
  }
  SECTION("a list") {
    const NamedTensors answer =
        serve("def forward(self, x: Tensor) -> List[Tensor]:\n    return [x + 1, x * 2]\n");
    CHECK(names_of(answer) == "0 1 ");
    CHECK(*answer.find("1") == models::row({2, 4}));
  }
  SECTION("a dict") {
    const std::string source =
        "def forward(self, x: Tensor) -> Dict[str, Tensor]:\n"
        "    return {'double': x * 2, 'more': x + 1}\n";
    CHECK(names_of(serve(source)) == "double more ");
    CHECK(names_of(serve(source, {{"more", f32, {2}}})) == "more ");
    CHECK(*serve(source).find("more") == models::row({2, 3}));
  }
  SECTION("one tensor") {
    CHECK(*serve(add_one).find("0") == models::row({2, 3}));
  }
}

TEST_CASE("named rows feed a model of several inputs by name", "[torch]") {
  const auto served = *models::servable<NamedTensors, Tensor>(
      "def forward(self, a: Tensor, b: Tensor, scale: int = 3) -> Tensor:\n"
      "    return (a - b) * scale\n",
      {.inputs = {{"a", f32, {2}}, {"b", f32, {2}}}});
  const NamedTensors good{{"a", models::row({5, 5})}, {"b", models::row({1, 2})}};
  const NamedTensors turned{{"b", models::row({1, 1})}, {"a", models::row({2, 2})}};
  const NamedTensors more{
      {"a", models::row({3, 3})}, {"b", models::row({0, 0})}, {"note", models::row({9})}};
  const NamedTensors lacking{{"a", models::row({5, 5})}};

  CHECK(*served.serve(good) == models::row({12, 9}));
  const Outcomes<Tensor> all = served.serve_rows(Rows<NamedTensors>{good, turned, lacking, more});
  REQUIRE(all.size() == 4);
  CHECK(*all[0] == models::row({12, 9}));
  CHECK(*all[1] == models::row({3, 3}));
  CHECK(all[2].status() == Status::invalid_argument);
  CHECK(*all[3] == models::row({9, 9}));
}

TEST_CASE("a model in a file serves like one in memory and takes the file's name", "[torch]") {
  const auto path = std::filesystem::temp_directory_path() / "galley_script_test_adder.pt";
  models::module(add_one).save(path.string());
  const auto served = galley::torch_script(path.string(), {.inputs = {{"x", f32, {2}}}});
  std::filesystem::remove(path);
  REQUIRE(served.has_value());
  CHECK(served->name() == "galley_script_test_adder");
  CHECK(*served->serve(models::row({1, 2})) == models::row({2, 3}));
}

TEST_CASE("a model answers under the host's own InferenceMode and without it", "[torch]") {
  const auto served = *models::servable(
      "def forward(self, x: Tensor) -> Tensor:\n    return x + 1\n", {.inputs = {{"x", f32, {2}}}});
  const Tensor outside = *served.serve(models::row({1, 2}));
  const c10::InferenceMode inference;
  CHECK(*served.serve(models::row({1, 2})) == outside);
}

TEST_CASE("all forms of a model answer alike", "[torch]") {
  const torch::jit::Module cnn = models::cnn();
  const at::Tensor pixels = models::sines({5, 1, 8, 8}, 0.41, 1);
  const at::Tensor wanted = models::bare(cnn, pixels);
  for (const galley::Freeze freeze : {galley::Freeze::no, galley::Freeze::yes}) {
    for (const galley::Optimize optimize :
         {galley::Optimize::no, galley::Optimize::for_inference}) {
      for (const galley::Profiling profiling :
           {galley::Profiling::off, galley::Profiling::as_host}) {
        const auto served =
            galley::torch_script(models::bytes(cnn), {.inputs = {{"pixels", f32, {1, 8, 8}}},
                                                      .freeze = freeze,
                                                      .optimize = optimize,
                                                      .profiling = profiling});
        INFO((served.has_value() ? "" : served.error().detail));
        REQUIRE(served.has_value());
        for (int call = 0; call < 3; ++call) {
          CHECK(close(models::torch_of(served->serve_rows(models::rows(pixels))), wanted));
        }
      }
    }
  }
}

TEST_CASE("the signature can be found from sample rows", "[torch]") {
  const auto served = *models::servable(
      "def forward(self, ids: Tensor) -> Tensor:\n    return ids.sum(1)\n",
      {.samples = {{*Tensor::copy_of({3, 1, 4}, {3})}, {*Tensor::copy_of({1, 5}, {2})}}});
  const galley::Signature signature = *served.describe().signature;
  REQUIRE(signature.inputs.size() == 1);
  CHECK(signature.inputs[0].name == "ids");
  CHECK(signature.inputs[0].dtype == galley::i32);
  CHECK(signature.inputs[0].shape == galley::Shape{any});
  CHECK(signature.outputs[0].dtype == galley::i64);
  CHECK(signature.outputs[0].shape == galley::Shape{});
}

TEST_CASE("a servable says what it is made of", "[torch]") {
  const auto served = *galley::torch_script(models::bytes(models::mlp(4)),
                                            {.name = "tiny", .inputs = {{"x", f32, {4}}}});
  const galley::Description d = served.describe();
  CHECK(d.kind == "torch_script");
  CHECK(d.name == "tiny");
  CHECK(galley::to_string(*d.signature) == "(x: float32 [4] on cpu) -> (0: float32 [4])");
  const auto option = [&d](const std::string& key) {
    for (const auto& [name, value] : d.options) {
      if (name == key) return value;
    }
    return std::string("none");
  };
  CHECK(option("parameters") == "40");
  CHECK(option("bytes") == "160");
  CHECK(option("frozen") == "yes");
  CHECK(served.traits() == galley::NodeTraits{});
  CHECK(served.check().has_value());
}

TEST_CASE("several threads call one servable", "[torch]") {
  const torch::jit::Module mlp = models::mlp(32);
  const auto served = *galley::torch_script(models::bytes(mlp), {.inputs = {{"x", f32, {32}}}});
  const at::Tensor x = models::sines({8, 32}, 0.37, 1);
  const at::Tensor wanted = models::bare(mlp, x);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const Rows<Tensor> rows = models::rows(x);
      for (int call = 0; call < 200; ++call) {
        const auto i = static_cast<std::size_t>((call + t) % 8);
        const auto answer = served.serve(rows[i]);
        if (!answer.has_value() ||
            !close(models::torch_of(*answer), wanted[static_cast<std::int64_t>(i)])) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("an answer outlives its servable", "[torch]") {
  Tensor answer;
  {
    const auto served = *models::servable(add_one, {.inputs = {{"x", f32, {2}}}});
    answer = *served.serve(models::row({1, 2}));
  }
  CHECK(answer == models::row({2, 3}));
}
