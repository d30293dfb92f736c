// What is served is what the bare module answers in the same form, bit for bit: for every element
// type, form and method, in a batch and alone. Conversions are refused.
#include "models.hpp"
#include <support/has.hpp>

#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/passes/frozen_graph_optimizations.h>

#include <cstdint>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::DType;
using galley::Rows;
using galley::ScriptForm;
using galley::ScriptOptions;
using galley::Status;
using galley::Tensor;

namespace {

constexpr std::int64_t width = 6;

std::vector<DType> every_dtype() {
  std::vector<DType> all;
  for (int i = 0; i <= static_cast<int>(DType::boolean); ++i) all.push_back(static_cast<DType>(i));
  return all;
}

/// Small values, some of them negative where there are such.
at::Tensor values(DType dtype, at::IntArrayRef shape, double step = 0.37) {
  const at::Tensor waves = models::sines(shape, step, 1.0);
  if (dtype == DType::boolean) return waves > 0;
  if (galley::is_floating(dtype)) return waves.to(galley::to_torch(dtype));
  return (waves * 5 + (dtype == DType::u8 ? 6 : 0)).to(galley::to_torch(dtype));
}

/// A module on rows of a dtype: `forward`, and `other`, which is another method.
struct Subject {
  std::string what;
  DType dtype = galley::f32;
  torch::jit::Module module;
};

torch::jit::Module of_bodies(const std::string& forward, const std::string& other,
                             const models::Parts& parts = {}) {
  torch::jit::Module made = models::module(
      "def forward(self, x: Tensor) -> Tensor:\n    return " + forward + "\n", parts);
  made.define("def other(self, x: Tensor) -> Tensor:\n    return " + other + "\n");
  return made;
}

/// Whether this LibTorch multiplies matrices of the dtype.
bool multiplies(const at::Tensor& matrix) {
  try {
    at::mm(matrix, matrix);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

std::vector<Subject> subjects() {
  std::vector<Subject> all;
  for (const DType dtype : every_dtype()) {
    if (dtype == DType::boolean) {
      all.push_back({"logic", dtype, of_bodies("x.logical_not()", "x.logical_xor(x.flip(1))")});
      continue;
    }
    all.push_back({"elements", dtype, of_bodies("x * 3 + 1", "x - x * x")});
    const at::Tensor w = values(dtype, {width, width}, 1.7);
    if (!multiplies(w)) continue;
    all.push_back({"matrix", dtype, of_bodies("x.mm(self.w) + 1", "x.mm(self.w.t())", {{"w", w}})});
    if (!galley::is_floating(dtype)) continue;
    all.push_back(
        {"layers", dtype,
         of_bodies("torch.linear(torch.relu(torch.linear(x, self.w, self.b)), self.w)",
                   "torch.linear(x, self.w)", {{"w", w}, {"b", values(dtype, {width}, 0.9)}})});
  }
  return all;
}

/// As LibTorch makes the form.
torch::jit::Module in_form(const torch::jit::Module& module, const std::string& form,
                           const std::string& method) {
  if (form == "as saved") return module;
  torch::jit::Module made("none");
  if (method == "forward") {
    made = torch::jit::freeze(module);
  } else {
    made = torch::jit::freeze_module(module, {method});
    auto graph = made.get_method(method).graph();
    torch::jit::OptimizeFrozenGraph(graph);
  }
  if (form == "frozen") return made;
  return torch::jit::optimize_for_inference(
      made, method == "forward" ? std::vector<std::string>() : std::vector{method});
}

ScriptOptions options_for(const Subject& subject, const std::string& form,
                          const std::string& method) {
  ScriptOptions options{.method = method, .inputs = {{"x", subject.dtype, {width}}}};
  options.freeze = form == "as saved" ? galley::Freeze::no : galley::Freeze::yes;
  options.optimize = form == "optimized" ? galley::Optimize::for_inference : galley::Optimize::no;
  options.forms = {.tried = {}};
  if (subject.dtype == DType::f16 || subject.dtype == DType::bf16) options.tolerance = {0.1, 0.1};
  return options;
}

galley::Servable<Tensor, Tensor> served(const Subject& subject, ScriptOptions options) {
  auto made = galley::torch_script(models::bytes(subject.module), std::move(options));
  INFO((made.has_value() ? "" : made.error().detail));
  REQUIRE(made.has_value());
  return *std::move(made);
}

at::Tensor answer_of(torch::jit::Module& bare, const std::string& method, const at::Tensor& x) {
  const c10::InferenceMode inference;
  return bare.get_method(method)({x}).toTensor();
}

bool is_same(const at::Tensor& got, const at::Tensor& wanted) {
  return got.sizes() == wanted.sizes() && got.dtype() == wanted.dtype() && at::equal(got, wanted);
}

/// A batch, each of its rows alone as part of it, and one in memory of its own.
void check_same(const galley::Servable<Tensor, Tensor>& model, torch::jit::Module bare,
                const std::string& method, const at::Tensor& x) {
  const Rows<Tensor> rows = models::rows(x);
  const auto batch = model.serve_rows(rows);
  REQUIRE(batch.all_ok());
  CHECK(is_same(models::torch_of(batch), answer_of(bare, method, x)));
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    const at::Tensor wanted = answer_of(bare, method, x.narrow(0, i, 1).clone())[0];
    const Tensor row = rows[static_cast<std::size_t>(i)];
    CHECK(is_same(models::torch_of(*model.serve(row)), wanted));
    CHECK(is_same(models::torch_of(*model.serve(*galley::from_torch(x[i].clone()))), wanted));
  }
}

}  // namespace

TEST_CASE("every dtype, form and method is answered bit for bit as by the bare module", "[torch]") {
  for (const Subject& subject : subjects()) {
    for (const char* form : {"as saved", "frozen", "optimized"}) {
      for (const char* method : {"forward", "other"}) {
        CAPTURE(subject.what, galley::to_string(subject.dtype), form, method);
        const auto model = served(subject, options_for(subject, form, method));
        const torch::jit::Module bare = in_form(subject.module, form, method);
        check_same(model, bare, method, values(subject.dtype, {5, width}));
      }
    }
  }
}

TEST_CASE("a form that is pinned is answered bit for bit as by the bare module in it", "[torch]") {
  for (const Subject& subject : subjects()) {
    for (const char* form : {"frozen", "optimized"}) {
      CAPTURE(subject.what, galley::to_string(subject.dtype), form);
      ScriptOptions options = options_for(subject, "as saved", "forward");
      options.forms = {.pinned = form};
      const auto model = served(subject, options);
      REQUIRE(model.prepare().has_value());
      check_same(model, in_form(subject.module, form, "forward"), "forward",
                 values(subject.dtype, {4, width}));
    }
  }
}

TEST_CASE("images with their channels last are answered bit for bit as by the bare module",
          "[torch]") {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    CAPTURE(galley::to_string(dtype));
    const at::Tensor weight = values(dtype, {5, 3, 3, 3}, 1.7);
    const char* const source =
        "def forward(self, x: Tensor) -> Tensor:\n    return torch.conv2d(x, self.w).relu()\n";
    ScriptOptions options{.inputs = {{"x", dtype, {3, 6, 6}}},
                          .forms = {.pinned = "channels last"},
                          .tolerance = {0.1, 0.1}};
    const auto model = *models::servable(source, options, {{"w", weight}});
    const auto prepared = model.prepare();
    INFO((prepared.has_value() ? "" : prepared.error().detail));
    REQUIRE(prepared.has_value());
    const auto last = at::MemoryFormat::ChannelsLast;
    torch::jit::Module bare =
        torch::jit::freeze(models::module(source, {{"w", weight.contiguous(last)}}));
    const at::Tensor x = values(dtype, {4, 3, 6, 6});
    const auto answers = model.serve_rows(models::rows(x));
    REQUIRE(answers.all_ok());
    CHECK(is_same(models::torch_of(answers), answer_of(bare, "forward", x.contiguous(last))));
  }
}

TEST_CASE("rows of another dtype are refused with both dtypes named, and never converted",
          "[torch]") {
  for (const DType wanted : every_dtype()) {
    const Subject subject{"same", wanted, of_bodies("x.clone()", "x.clone()")};
    const auto model = served(subject, options_for(subject, "frozen", "forward"));
    const Tensor right = models::rows(values(wanted, {1, width}))[0];
    for (const DType given : every_dtype()) {
      CAPTURE(galley::to_string(wanted), galley::to_string(given));
      const at::Tensor x = values(given, {2, width});
      const auto alone = model.serve(models::rows(x)[0]);
      REQUIRE(alone.has_value() == (given == wanted));
      if (given == wanted) continue;
      CHECK(alone.status() == Status::invalid_argument);
      const std::string one(galley::to_string(wanted));
      const std::string other(galley::to_string(given));
      support::has(alone.error().detail, "expected " + one + " [6] on cpu, got " + other + " [6]");
      const auto block = model.serve_rows(models::rows(x));
      CHECK(block[0].status() == Status::invalid_argument);
      CHECK(block[1].status() == Status::invalid_argument);
      const auto among = model.serve_rows(Rows<Tensor>{models::rows(x)[0], right});
      CHECK(among[0].status() == Status::invalid_argument);
      REQUIRE(among[1].has_value());
      CHECK(is_same(models::torch_of(*among[1]), values(wanted, {1, width})[0]));
    }
  }
}
