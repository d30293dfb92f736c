// What is wrong with a row, a model or a file, and what LibTorch servables answer to it.
#include "models.hpp"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include <support/catch.hpp>

using galley::f32;
using galley::NamedTensors;
using galley::Outcomes;
using galley::Rows;
using galley::Status;
using galley::Tensor;

namespace {

const char* const add_one = "def forward(self, x: Tensor) -> Tensor:\n    return x + 1\n";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool is_for_people(const std::string& text) {
  return !text.empty() && !contains(text, "\n") && !contains(text, "Traceback") &&
         !contains(text, "0x") && !contains(text, ".cpp");
}

/// What loading this model is refused with.
galley::Error refusal(const std::string& source, galley::ScriptOptions options,
                      const models::Parts& parts = {}) {
  const auto served = models::servable(source, std::move(options), parts);
  REQUIRE_FALSE(served.has_value());
  INFO(served.error().detail);
  CHECK(is_for_people(served.error().detail));
  return served.error();
}

galley::ScriptOptions of_two() {
  return {.inputs = {{"x", f32, {2}}}};
}

/// A file of these bytes, removed at the end.
struct File {
  explicit File(const std::string& content)
      : path((std::filesystem::temp_directory_path() / "galley_bad_input_test.pt").string()) {
    std::ofstream(path, std::ios::binary) << content;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { std::filesystem::remove(path); }
  std::string path;
};

galley::Error load_error(const std::string& path) {
  const auto served = galley::torch_script(path, of_two());
  REQUIRE_FALSE(served.has_value());
  INFO(served.error().detail);
  CHECK(is_for_people(served.error().detail));
  CHECK(contains(served.error().detail, path));
  return served.error();
}

std::string model_file() {
  std::ostringstream out;
  models::mlp(32).save(out);
  return out.str();
}

}  // namespace

TEST_CASE("bad rows fail alone and their neighbours are answered", "[torch]") {
  const auto served =
      *models::servable(add_one, {.name = "adder",
                                  .inputs = {{.name = "x",
                                              .dtype = f32,
                                              .shape = {2},
                                              .values = galley::TensorSpec::Values::finite}}});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float somewhere[2] = {};  // never read
  const Tensor elsewhere = *Tensor::adopt(static_cast<const void*>(somewhere), f32, {2}, {},
                                          galley::Device("cuda", 0), galley::Owner());
  const Rows<Tensor> rows{models::row({1, 2}),
                          *Tensor::copy_of({1.F, 2.F}, {1, 2}),  // rank
                          models::row({1, 2, 3}),                // shape
                          models::row({3, 4}),
                          *Tensor::copy_of({1.0, 2.0}, {2}),  // dtype
                          Tensor(),                           // undefined
                          models::row({nan, 0}),              // NaN
                          elsewhere,                          // device
                          models::row({5, 6})};
  const Outcomes<Tensor> all = served.serve_rows(rows);
  REQUIRE(all.size() == rows.size());
  CHECK(*all[0] == models::row({2, 3}));
  CHECK(*all[3] == models::row({4, 5}));
  CHECK(*all[8] == models::row({6, 7}));
  const std::vector<std::pair<std::size_t, std::string>> wanted{
      {1, "expected float32 [2] on cpu, got float32 [1, 2]"},
      {2, "got float32 [3]"},
      {4, "got float64 [2]"},
      {5, "got an undefined tensor"},
      {6, "expected finite values, got nan at element 0"},
      {7, "got float32 [2] on cuda:0"}};
  for (const auto& [row, text] : wanted) {
    REQUIRE(all[row].status() == Status::invalid_argument);
    INFO(all[row].error().detail);
    CHECK(contains(all[row].error().detail, "adder: input \"x\""));
    CHECK(contains(all[row].error().detail, text));
    const auto alone = served.serve(rows[row]);
    CHECK(alone.status() == Status::invalid_argument);
    CHECK(alone.error() == all[row].error());
  }
}

TEST_CASE("a block of the wrong form fails row by row", "[torch]") {
  const auto served = *models::servable(add_one, of_two());
  const Outcomes<Tensor> all = served.serve_rows(models::rows(at::ones({3, 4})));
  REQUIRE(all.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(all[i].status() == Status::invalid_argument);
}

TEST_CASE("zero rows have zero outcomes", "[torch]") {
  const auto served = *models::servable(add_one, of_two());
  CHECK(served.serve_rows(Rows<Tensor>()).size() == 0);
  CHECK(served.serve_rows(models::rows(at::ones({0, 2}))).size() == 0);
}

TEST_CASE("NaN passes where the signature does not forbid it", "[torch]") {
  const auto served = *models::servable(add_one, of_two());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor answer = *served.serve(models::row({nan, 1}));
  CHECK(std::isnan(answer.data<float>()[0]));
  CHECK(answer.data<float>()[1] == 2.F);
}

TEST_CASE("rows that make the model throw fail alone", "[torch]") {
  const auto served = *models::servable(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    assert bool(x.max() < 100), 'too hot to serve'\n"
      "    return x + 1\n",
      of_two());
  at::Tensor batch = at::zeros({16, 2});
  batch[3][0] = 1000.F;
  batch[11][1] = 1000.F;
  const Outcomes<Tensor> all = served.serve_rows(models::rows(batch));
  REQUIRE(all.size() == 16);
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 3 || i == 11) {
      REQUIRE(all[i].status() == Status::internal);
      INFO(all[i].error().detail);
      CHECK(contains(all[i].error().detail, "too hot to serve"));
      CHECK(is_for_people(all[i].error().detail));
    } else {
      CHECK(*all[i] == models::row({1, 1}));
    }
  }
}

TEST_CASE("rows that make the model give another number of outputs fail alone", "[torch]") {
  const auto served = *models::servable(
      "def forward(self, x: Tensor) -> List[Tensor]:\n"
      "    if bool(x.max() < 100):\n"
      "        return [x + 1]\n"
      "    return [x, x]\n",
      of_two());
  at::Tensor batch = at::zeros({4, 2});
  batch[2][0] = 1000.F;
  const Outcomes<Tensor> all = served.serve_rows(models::rows(batch));
  REQUIRE(all.size() == 4);
  REQUIRE(all[2].status() == Status::internal);
  CHECK(contains(all[2].error().detail, "gave 2 outputs, expected 1"));
  for (const std::size_t i : {0U, 1U, 3U}) CHECK(*all[i] == models::row({1, 1}));
}

TEST_CASE("rows that make the model lose rows fail alone", "[torch]") {
  const auto served = *models::servable(
      "def forward(self, x: Tensor) -> Tensor:\n    return x[x[:, 0] < 100]\n", of_two());
  at::Tensor batch = at::zeros({5, 2});
  batch[1][0] = 1000.F;
  const Outcomes<Tensor> all = served.serve_rows(models::rows(batch));
  REQUIRE(all.size() == 5);
  REQUIRE(all[1].status() == Status::internal);
  CHECK(contains(all[1].error().detail, "output \"0\": expected 1 row, got 0"));
  for (const std::size_t i : {0U, 2U, 3U, 4U}) CHECK(*all[i] == models::row({0, 0}));
}

TEST_CASE("files that hold no model are refused by what is wrong with them", "[torch]") {
  SECTION("missing") {
    CHECK(load_error("/nowhere/at/all.pt").status == Status::not_found);
  }
  SECTION("a directory") {
    const galley::Error error = load_error(std::filesystem::temp_directory_path().string());
    CHECK(error.status == Status::data_loss);
    CHECK(contains(error.detail, "directory"));
  }
  SECTION("a text file") {
    CHECK(load_error(File("this is no model\n").path).status == Status::data_loss);
  }
  SECTION("an empty file") {
    CHECK(load_error(File("").path).status == Status::data_loss);
  }
  SECTION("truncated") {
    const std::string whole = model_file();
    for (const double part : {0.2, 0.5, 0.9, 0.99}) {
      const auto kept = static_cast<std::size_t>(part * static_cast<double>(whole.size()));
      CHECK(load_error(File(whole.substr(0, kept)).path).status == Status::data_loss);
    }
  }
  SECTION("its directory of files overwritten") {
    std::string whole = model_file();
    for (std::size_t i = whole.size() - 400; i < whole.size(); ++i) whole[i] = 'x';
    CHECK(load_error(File(whole).path).status == Status::data_loss);
  }
  SECTION("bytes in memory") {
    const std::string whole = model_file();
    const auto bytes = std::as_bytes(std::span(whole));
    CHECK(galley::torch_script(bytes.first(100), of_two()).status() == Status::data_loss);
    CHECK(galley::torch_script(bytes.first(0), of_two()).status() == Status::data_loss);
  }
}

TEST_CASE("batch normalisation left in training mode is refused", "[torch]") {
  const std::string source =
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.batch_norm(x, self.weight, self.bias, self.mean, self.var, self.training,\n"
      "                            0.1, 1e-5, False)\n";
  torch::jit::Module norm("Norm");
  norm.register_attribute("training", c10::BoolType::get(), true);
  norm.register_parameter("weight", at::ones({2}), false);
  norm.register_parameter("bias", at::zeros({2}), false);
  norm.register_buffer("mean", at::zeros({2}));
  norm.register_buffer("var", at::ones({2}));
  norm.define(source);

  const auto refused = galley::torch_script(models::bytes(norm), of_two());
  REQUIRE(refused.status() == Status::failed_precondition);
  INFO(refused.error().detail);
  CHECK(contains(refused.error().detail, "training mode"));
  CHECK(contains(refused.error().detail, "eval()"));
  CHECK(is_for_people(refused.error().detail));

  norm.eval();
  const auto served = galley::torch_script(models::bytes(norm), of_two());
  REQUIRE(served.has_value());
  CHECK((*served->serve(models::row({2, 4}))).data<float>()[1] == Approx(4).epsilon(1e-4));
}

TEST_CASE("a module saved in training mode that does not care is served", "[torch]") {
  torch::jit::Module adder = models::module(add_one);
  adder.register_attribute("training", c10::BoolType::get(), true);
  CHECK(galley::torch_script(models::bytes(adder), of_two()).has_value());
}

TEST_CASE("a model whose rows depend on each other is refused", "[torch]") {
  const galley::Error error =
      refusal("def forward(self, x: Tensor) -> Tensor:\n    return x - x.mean(0, keepdim=True)\n",
              of_two());
  CHECK(error.status == Status::failed_precondition);
  CHECK(contains(error.detail, "rows depend on each other"));
  CHECK(contains(error.detail, "alone"));
}

TEST_CASE("a model whose rows depend on their order is refused", "[torch]") {
  const galley::Error error =
      refusal("def forward(self, x: Tensor) -> Tensor:\n    return x.cumsum(0)\n", of_two());
  CHECK(contains(error.detail, "rows depend on each other"));
}

TEST_CASE("a model that does not keep the row count is refused", "[torch]") {
  for (const char* answer : {"x.sum(0, keepdim=True)", "x.sum()", "torch.cat([x, x])"}) {
    const galley::Error error =
        refusal(std::string("def forward(self, x: Tensor) -> Tensor:\n    return ") + answer + "\n",
                of_two());
    CHECK(error.status == Status::failed_precondition);
    CHECK(contains(error.detail, "does not keep the row count"));
  }
}

TEST_CASE("a model that changes its own state is refused", "[torch]") {
  for (const galley::Freeze freeze : {galley::Freeze::yes, galley::Freeze::no}) {
    for (const char* change : {"self.count = self.count + 1", "self.count.add_(1)"}) {
      galley::ScriptOptions options = of_two();
      options.freeze = freeze;
      const galley::Error error =
          refusal(std::string("def forward(self, x: Tensor) -> Tensor:\n    ") + change +
                      "\n    return x + 1\n",
                  std::move(options), {{"count", at::zeros({1})}});
      CHECK(error.status == Status::failed_precondition);
      CHECK(contains(error.detail, "changes its own state"));
    }
  }
}

TEST_CASE("a model that gives different answers to equal rows is refused", "[torch]") {
  const galley::Error error = refusal(
      "def forward(self, x: Tensor) -> Tensor:\n    return x + torch.rand_like(x)\n", of_two());
  CHECK(error.status == Status::failed_precondition);
  CHECK(contains(error.detail, "equal rows give different answers"));
}

TEST_CASE("a model that does not fit what is declared is refused", "[torch]") {
  const std::string two = "def forward(self, a: Tensor, b: Tensor) -> Tensor:\n    return a + b\n";
  const auto wanted = [](const galley::Error& error, const std::string& text) {
    INFO(error.detail);
    CHECK(error.status == Status::failed_precondition);
    CHECK(contains(error.detail, text));
  };
  wanted(refusal(add_one, {}), "its inputs are not known");
  wanted(refusal(two, of_two()), "takes 2 tensors (a, b), 1 are declared");
  wanted(refusal(two, {.inputs = {{"a", f32, {2}}, {"b", f32, {2}}}}), "NamedTensors");
  wanted(refusal("def forward(self, x: Tensor):\n    return x + 1, x + 2\n", of_two()),
         "NamedTensors");
  wanted(refusal(add_one, {.inputs = {{"x", f32, {2}}}, .outputs = {{"y", f32, {3}}}}),
         "output \"y\": expected float32 [n, 3], got float32 [4, 2]");
  wanted(refusal(add_one,
                 {.inputs = {{"x", f32, {2}}}, .outputs = {{"y", f32, {2}}, {"z", f32, {2}}}}),
         "gives 1 outputs, 2 are declared");
  wanted(refusal("def forward(self, x: Tensor, rate: int) -> Tensor:\n    return x + rate\n",
                 of_two()),
         "argument \"rate\": expected Tensor, got int");
  wanted(refusal("def other(self, x: Tensor) -> Tensor:\n    return x\n", of_two()), "forward");
  wanted(refusal("def forward(self, x: Tensor) -> int:\n    return 1\n", of_two()),
         "expected a tensor");
  wanted(refusal("def forward(self, x: Tensor) -> Tensor:\n    return torch.linear(x, self.w)\n",
                 {.inputs = {{"x", f32, {3}}}}, {{"w", at::ones({4, 2})}}),
         "failed on sample rows x float32 [4, 3]");
  wanted(refusal(add_one, {.inputs = {{"x", f32, {2}}}, .warm_batches = {1, 0}}), "warm_batches");
  wanted(refusal(add_one, {.inputs = {{"x", f32, {2}}}, .samples = {{models::row({1, 2, 3})}}}),
         "sample row 0");
}

TEST_CASE("a device that LibTorch lacks is refused", "[torch]") {
  galley::ScriptOptions options = of_two();
  options.device = galley::Device("tea");
  const auto served = models::servable(add_one, options);
  REQUIRE_FALSE(served.has_value());
  CHECK(served.status() == Status::unimplemented);
}
