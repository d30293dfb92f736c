// Forms in lower precision: within the error that is allowed them, else not used.
#include "models.hpp"
#include <support/has.hpp>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::f32;
using galley::FormProfile;
using galley::i64;
using galley::NamedTensors;
using galley::Reduction;
using galley::Rows;
using galley::Servable;
using galley::SetFormProfile;
using galley::Status;
using galley::Tensor;
using namespace std::chrono_literals;

namespace {

constexpr galley::Tolerance allowed{.absolute = 0.03, .relative = 0.03};

/// Whether this LibTorch computes so at all: Debian's has neither.
bool can_compute(Reduction reduction) {
  if (reduction == Reduction::int8_dynamic) {
    return at::globalContext().qEngine() != at::QEngine::NoQEngine;
  }
  const auto dtype = reduction == Reduction::bfloat16 ? at::kBFloat16 : at::kHalf;
  try {
    at::linear(at::ones({1, 2}, dtype), at::ones({2, 2}, dtype));
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

galley::FormOptions forms_of(std::vector<Reduction> tried, std::string pinned = {}) {
  return {.tried = {},
          .reduced = {.tried = std::move(tried), .error = allowed},
          .pinned = std::move(pinned),
          .sizes = {1, 8}};
}

template <class In = Tensor, class Out = Tensor>
Servable<In, Out> loaded(const torch::jit::Module& module, galley::ScriptOptions options) {
  auto served = galley::torch_script<In, Out>(models::bytes(module), std::move(options));
  INFO((served.has_value() ? "" : served.error().detail));
  REQUIRE(served.has_value());
  return *std::move(served);
}

Servable<Tensor, Tensor> mlp(galley::FormOptions forms) {
  return loaded(models::mlp(32), {.inputs = {{"x", f32, {32}}}, .forms = std::move(forms)});
}

template <class Model>
std::string says(const Model& model, const std::string& what) {
  for (const auto& [name, text] : model.describe().options) {
    if (name == what) return text;
  }
  return "nothing";
}

bool is_near(const at::Tensor& got, const at::Tensor& wanted) {
  return got.sizes() == wanted.sizes() && got.dtype() == wanted.dtype() &&
         at::allclose(got, wanted, allowed.relative, allowed.absolute);
}

/// Prepares a model that is pinned to a form, or sees that it says why it cannot be.
template <class Model>
bool is_prepared(const Model& model, Reduction reduction) {
  const auto prepared = model.prepare();
  INFO((prepared.has_value() ? "" : prepared.error().detail));
  if (can_compute(reduction)) {
    REQUIRE(prepared.has_value());
    return true;
  }
  REQUIRE(prepared.status() == Status::failed_precondition);
  support::has(prepared.error().detail, "cannot be used: ");
  support::has(prepared.error().detail, "LibTorch");
  WARN("this LibTorch computes no " << to_string(reduction)
                                    << ": that it says so is what is tested");
  return false;
}

/// The model with one form, which must be allowed.
template <class In = Tensor, class Out = Tensor>
Servable<In, Out> pinned(const std::string& source, Reduction reduction,
                         galley::ScriptOptions options, const models::Parts& parts = {}) {
  options.forms = forms_of({reduction}, to_string(reduction));
  return loaded<In, Out>(models::module(source, parts), std::move(options));
}

std::string refusal(const Servable<Tensor, Tensor>& model) {
  const auto prepared = model.prepare();
  REQUIRE(prepared.status() == Status::failed_precondition);
  return prepared.error().detail;
}

}  // namespace

TEST_CASE("reduced forms answer within the error that is allowed, in the model's dtype",
          "[torch]") {
  for (const Reduction reduction :
       {Reduction::bfloat16, Reduction::float16, Reduction::int8_dynamic}) {
    CAPTURE(to_string(reduction));
    const auto model = mlp(forms_of({reduction}, to_string(reduction)));
    if (!is_prepared(model, reduction)) continue;
    CHECK(says(model, "runs") == to_string(reduction));
    for (const std::int64_t rows : {1, 3, 8, 70}) {
      CAPTURE(rows);
      const at::Tensor x = models::sines({rows, 32}, 0.37, 1.0);
      const at::Tensor wanted = models::bare(models::mlp(32), x);
      const auto answers = model.serve_rows(models::rows(x));
      REQUIRE(answers.all_ok());
      CHECK(is_near(models::torch_of(answers), wanted));
      CHECK_FALSE(at::equal(models::torch_of(answers), wanted));  // it is what it says
      CHECK(is_near(models::torch_of(*model.serve(models::rows(x)[0])), wanted[0]));
    }
  }
}

TEST_CASE("16-bit forms come in both layouts of images", "[torch]") {
  for (const Reduction reduction : {Reduction::bfloat16, Reduction::float16}) {
    for (const char* layout : {"", ", channels last"}) {
      const std::string name = to_string(reduction) + std::string(layout);
      CAPTURE(name);
      const auto model = loaded(models::cnn(), {.inputs = {{"pixels", f32, {1, 8, 8}}},
                                                .forms = forms_of({reduction}, name)});
      if (!is_prepared(model, reduction)) continue;
      const at::Tensor x = models::sines({5, 1, 8, 8}, 0.9, 1.0);
      const auto answers = model.serve_rows(models::rows(x));
      REQUIRE(answers.all_ok());
      CHECK(is_near(models::torch_of(answers), models::bare(models::cnn(), x)));
    }
  }
  const auto no_images = mlp(forms_of({Reduction::bfloat16}, "bf16, channels last"));
  support::has(refusal(no_images), "has no weights of images");
}

TEST_CASE("reduced forms are measured, saved and chosen like the others", "[torch]") {
  galley::FormOptions forms =
      forms_of({Reduction::bfloat16, Reduction::int8_dynamic, Reduction::bfloat16});
  forms.tried = {galley::ScriptForm::optimized};
  const auto model = mlp(forms);
  CHECK(says(model, "form bf16") == "not tried yet");
  REQUIRE(model.prepare().has_value());
  FormProfile profile;
  REQUIRE(model.control("", profile).has_value());
  REQUIRE(profile.forms.size() == 5);
  CHECK(profile.forms[1].name == "optimized");
  CHECK(profile.forms[2].name == "bf16");
  CHECK(profile.forms[2].refused.empty());
  CHECK(profile.forms[2].costs.size() == 2);
  CHECK(profile.forms[3].name == "bf16, channels last");
  support::has(profile.forms[3].refused, "has no weights of images");
  CHECK(profile.forms[4].name == "int8 dynamic");
  CHECK(profile.forms[4].refused.empty() == can_compute(Reduction::int8_dynamic));

  for (auto& form : profile.forms) {  // what another machine may have measured
    const galley::Duration time = form.name == "bf16" ? 1us : 10us;
    form.costs = {{.rows = 1, .mean = time, .p95 = time, .seen = 20, .last = time}};
  }
  const auto again = mlp(forms);
  SetFormProfile set{profile};
  REQUIRE(again.control("", set).has_value());
  CHECK(says(again, "runs") == "bf16 from 1 row");
  const at::Tensor x = models::sines({4, 32}, 0.37, 1.0);
  CHECK(is_near(models::torch_of(again.serve_rows(models::rows(x))),
                models::bare(models::mlp(32), x)));
}

TEST_CASE("a form further away than allowed is never used, and it is said", "[torch]") {
  for (const Reduction reduction : {Reduction::bfloat16, Reduction::int8_dynamic}) {
    CAPTURE(to_string(reduction));
    galley::FormOptions forms = forms_of({reduction});
    forms.reduced.error = {.absolute = 1e-7, .relative = 0};
    const auto model = mlp(forms);
    REQUIRE(model.prepare().has_value());
    const std::string why = says(model, std::string("form ") + to_string(reduction));
    INFO(why);
    CHECK(why.starts_with(can_compute(reduction) ? "refused: output \"0\" has "
                                                 : "refused: the model does not allow"));
    CHECK(says(model, "runs").find(to_string(reduction)) == std::string::npos);
    const at::Tensor x = models::sines({8, 32}, 0.37, 1.0);
    CHECK(at::equal(models::torch_of(model.serve_rows(models::rows(x))),
                    models::bare(models::mlp(32), x)));
  }
}

TEST_CASE("without an error that is allowed no lower precision is tried", "[torch]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  for (const galley::Tolerance error :
       {galley::Tolerance{0, 0}, galley::Tolerance{-1, 2}, galley::Tolerance{nan, 1},
        galley::Tolerance{infinite, 0}}) {
    galley::FormOptions forms = forms_of({Reduction::int8_dynamic});
    forms.reduced.error = error;
    const auto served = galley::torch_script(models::bytes(models::mlp(4)),
                                             {.inputs = {{"x", f32, {4}}}, .forms = forms});
    REQUIRE(served.status() == Status::failed_precondition);
    support::has(served.error().detail,
                 "options.forms.reduced: expected an error that int8 dynamic may have");
  }
}

TEST_CASE("the model itself keeps its precision while others are tried", "[torch]") {
  const auto model = mlp(forms_of({Reduction::bfloat16, Reduction::int8_dynamic}));
  REQUIRE(model.prepare().has_value());
  FormProfile profile;
  REQUIRE(model.control("", profile).has_value());
  for (auto& form : profile.forms) {
    const galley::Duration time = form.name == "frozen" ? 1us : 10us;
    form.costs = {{.rows = 1, .mean = time, .p95 = time, .seen = 20, .last = time}};
  }
  SetFormProfile set{profile};
  REQUIRE(model.control("", set).has_value());
  const at::Tensor x = models::sines({3, 32}, 0.37, 1.0);
  CHECK(at::equal(models::torch_of(model.serve_rows(models::rows(x))),
                  models::bare(models::mlp(32), x)));
}

TEST_CASE("a file that was frozen when it was saved has reduced forms too", "[torch]") {
  const torch::jit::Module frozen = torch::jit::freeze(models::mlp(16));
  for (const Reduction reduction : {Reduction::bfloat16, Reduction::int8_dynamic}) {
    CAPTURE(to_string(reduction));
    const auto model = loaded(frozen, {.inputs = {{"x", f32, {16}}},
                                       .forms = forms_of({reduction}, to_string(reduction))});
    const at::Tensor x = models::sines({3, 16}, 0.37, 1.0);
    const at::Tensor wanted = models::bare(models::mlp(16), x);
    CHECK(at::equal(models::torch_of(model.serve_rows(models::rows(x))), wanted));
    if (!is_prepared(model, reduction)) continue;
    const at::Tensor got = models::torch_of(model.serve_rows(models::rows(x)));
    CHECK(is_near(got, wanted));
    CHECK_FALSE(at::equal(got, wanted));
  }
}

TEST_CASE("a pinned reduced form is one form for all sizes, bit for bit the same", "[torch]") {
  for (const Reduction reduction : {Reduction::bfloat16, Reduction::int8_dynamic}) {
    CAPTURE(to_string(reduction));
    const auto one = mlp(forms_of({reduction}, to_string(reduction)));
    const auto other = mlp(forms_of({reduction}, to_string(reduction)));
    if (!is_prepared(one, reduction)) continue;
    REQUIRE(other.prepare().has_value());
    FormProfile profile;
    REQUIRE(one.control("", profile).has_value());
    for (const FormProfile::Form& form : profile.forms) CHECK(form.costs.empty());
    for (const std::int64_t rows : {1, 2, 31, 64}) {
      const Rows<Tensor> x = models::rows(models::sines({rows, 32}, 0.41, 1.0));
      CHECK(at::equal(models::torch_of(one.serve_rows(x)), models::torch_of(other.serve_rows(x))));
    }
  }
}

TEST_CASE("threads call a reduced form at the same time", "[torch]") {
  for (const Reduction reduction : {Reduction::bfloat16, Reduction::int8_dynamic}) {
    CAPTURE(to_string(reduction));
    const auto model = mlp(forms_of({reduction}, to_string(reduction)));
    if (!is_prepared(model, reduction)) continue;
    const Rows<Tensor> rows = models::rows(models::sines({8, 32}, 0.37, 1.0));
    const at::Tensor wanted = models::torch_of(model.serve_rows(rows));
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int call = 0; call < 100; ++call) {
          const auto answers = model.serve_rows(rows);
          const bool right = answers.all_ok() && at::equal(models::torch_of(answers), wanted);
          if (!right) ++wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
  }
}

TEST_CASE("8-bit rows are answered bit for bit the same among whatever others", "[torch]") {
  const auto model = mlp(forms_of({Reduction::int8_dynamic}, "int8 dynamic"));
  if (!is_prepared(model, Reduction::int8_dynamic)) return;
  const at::Tensor x = models::sines({7, 32}, 0.37, 1.0);
  at::Tensor others = x.clone();
  others[1] *= 1e6;  // takes the precision of all where a batch has one scale
  others[2] *= 1e-6;
  others[3].zero_();
  others[4][5] = std::numeric_limits<float>::quiet_NaN();
  others[5][6] = std::numeric_limits<float>::infinity();
  others[6].abs_();
  const at::Tensor among = models::torch_of(model.serve_rows(models::rows(others)));
  for (std::int64_t row = 0; row < 7; ++row) {
    CAPTURE(row);
    const Tensor alone = *model.serve(models::rows(others)[static_cast<std::size_t>(row)]);
    CHECK(at::allclose(models::torch_of(alone), among[row], 0, 0, /*equal_nan=*/true));
  }
  const at::Tensor more = models::torch_of(model.serve_rows(models::rows(others.repeat({10, 1}))));
  CHECK(at::allclose(more, among.repeat({10, 1}), 0, 0, /*equal_nan=*/true));
  const at::Tensor wanted = models::bare(models::mlp(32), others);
  CHECK(is_near(among[0], wanted[0]));
  CHECK(is_near(among[1] / 1e6, wanted[1] / 1e6));
  CHECK(is_near(among[2], wanted[2]));
  CHECK(is_near(among[3], wanted[3]));
  CHECK(among[4].isnan().all().item<bool>());
  CHECK_FALSE(among[5].isfinite().any().item<bool>());
}

TEST_CASE("linear layers compute on 8 bits however a file says them", "[torch]") {
  const models::Parts parts{{"w", models::sines({24, 16}, 1.7)},
                            {"t", models::sines({16, 24}, 1.3)},
                            {"b", models::sines({24}, 0.3)}};
  for (const char* body : {
           "torch.linear(x, self.w)",
           "torch.linear(x, self.w, self.b)",
           "torch.addmm(self.b, x, self.t)",
           "torch.mm(x, self.t)",
           "torch.matmul(x, self.t) + self.b",
           "torch.linear(torch.sigmoid(x), self.w, self.b)",
           "torch.linear(torch.stack([x, x * 2], 1), self.w, self.b).flatten(1)",
       }) {
    CAPTURE(body);
    const std::string source =
        std::string("def forward(self, x: Tensor) -> Tensor:\n    return ") + body + "\n";
    const auto model =
        pinned(source, Reduction::int8_dynamic, {.inputs = {{"x", f32, {16}}}}, parts);
    if (!is_prepared(model, Reduction::int8_dynamic)) continue;
    const at::Tensor x = models::sines({9, 16}, 0.37, 1.0);
    const at::Tensor wanted = models::bare(models::module(source, parts), x);
    const at::Tensor got = models::torch_of(model.serve_rows(models::rows(x)));
    CHECK(is_near(got, wanted));
    CHECK_FALSE(at::equal(got, wanted));
  }
}

TEST_CASE("a model without layers to reduce is refused as such", "[torch]") {
  if (!can_compute(Reduction::int8_dynamic)) {
    WARN("this LibTorch computes no int8: what has no such layers is not told apart");
    return;
  }
  for (const char* body : {"x * 2", "torch.addmm(x, x, self.square, beta=2)",
                           "torch.linear(x, self.square * x.sum())"}) {
    CAPTURE(body);
    const std::string source =
        std::string("def forward(self, x: Tensor) -> Tensor:\n    return ") + body + "\n";
    auto forms = forms_of({Reduction::int8_dynamic});
    const auto served =
        models::servable(source, {.inputs = {{"x", f32, {4}}}, .forms = forms, .tolerance = {9, 9}},
                         {{"square", models::sines({4, 4})}});
    REQUIRE(served.has_value());
    REQUIRE(served->prepare().has_value());
    CHECK(says(*served, "form int8 dynamic") ==
          "refused: the model has no linear layers with constant weights of float32");
  }
}

TEST_CASE("integers and their weights stay what they are in lower precision", "[torch]") {
  // 257 and more is no bfloat16.
  const auto model = pinned<NamedTensors, NamedTensors>(
      "def forward(self, x: Tensor, ids: Tensor) -> Dict[str, Tensor]:\n"
      "    rows = torch.embedding(self.table, ids)\n"
      "    return {'sums': x + rows.sum(1), 'ids': ids + self.offset}\n",
      Reduction::bfloat16,
      {.inputs = {{"x", f32, {8}},
                  {.name = "ids", .dtype = i64, .shape = {3}, .range = {{0, 399}}}}},
      {{"table", models::sines({400, 8})}, {"offset", at::full({3}, 100001, at::kLong)}});
  REQUIRE(model.prepare().has_value());
  const at::Tensor x = models::sines({1, 8}, 0.7, 1.0);
  const at::Tensor ids = at::tensor({257, 398, 301}, at::kLong).view({1, 3});
  const auto answer =
      model.serve(NamedTensors{{"x", models::rows(x)[0]}, {"ids", models::rows(ids)[0]}});
  REQUIRE(answer.has_value());
  CHECK(at::equal(models::torch_of(*answer->find("ids")), ids[0] + 100001));
  const at::Tensor sums = x[0] + at::embedding(models::sines({400, 8}), ids)[0].sum(0);
  CHECK(is_near(models::torch_of(*answer->find("sums")), sums));
}

TEST_CASE("an argument that is a number is not rounded with the tensors", "[torch]") {
  const auto model = pinned<NamedTensors, Tensor>(
      "def forward(self, x: Tensor, rate: float) -> Tensor:\n"
      "    return x if rate > 1.001 else -x\n",
      Reduction::bfloat16, {.inputs = {{"x", f32, {2}}, {"rate", galley::f64, {}}}});
  REQUIRE(model.prepare().has_value());
  const auto at_rate = [&model](double rate) {
    return *model.serve(NamedTensors{{"x", models::row({1, 2})},
                                     {"rate", *Tensor::copy_of(std::vector<double>{rate}, {})}});
  };
  CHECK(at_rate(1.002) == models::row({1, 2}));
  CHECK(at_rate(1.0005) == models::row({-1, -2}));
}

TEST_CASE("a model that asks for a dtype is refused where that does not go with lower precision",
          "[torch]") {
  const models::Parts parts{{"w", models::sines({4, 4})}};
  const auto converts = pinned(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.linear(x.float(), self.w)\n",
      Reduction::bfloat16, {.inputs = {{"x", f32, {4}}}}, parts);
  support::has(refusal(converts), "the form bf16 cannot be used: LibTorch: ");
  const auto asks = pinned(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.linear(x, self.w) + (1.0 if x.dtype == 6 else 0.0)\n",
      Reduction::bfloat16, {.inputs = {{"x", f32, {4}}}}, parts);
  support::has(refusal(asks), "the form bf16 cannot be used: output \"0\" has ");
}

TEST_CASE("any method has reduced forms", "[torch]") {
  torch::jit::Module module = models::mlp(16);
  module.define(
      "def halves(self, x: Tensor) -> Tensor:\n    return torch.linear(x, self.w0, self.b0) / 2\n");
  for (const Reduction reduction : {Reduction::bfloat16, Reduction::int8_dynamic}) {
    const auto model = loaded(module, {.method = "halves",
                                       .inputs = {{"x", f32, {16}}},
                                       .forms = forms_of({reduction}, to_string(reduction))});
    if (!is_prepared(model, reduction)) continue;
    const at::Tensor x = models::sines({4, 16}, 0.37, 1.0);
    const at::Tensor wanted =
        at::linear(x, models::sines({16, 16}, 1.7), models::sines({16}, 0.3)) / 2;
    CHECK(is_near(models::torch_of(model.serve_rows(models::rows(x))), wanted));
  }
}
