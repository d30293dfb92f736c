// The forms of a model: equal, measured, pinned, saved.
#include <galley/testing/manual_executor.hpp>

#include "models.hpp"

#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::f32;
using galley::FormProfile;
using galley::Servable;
using galley::SetFormProfile;
using galley::Status;
using galley::Tensor;
using namespace std::chrono_literals;

namespace {

using Model = Servable<Tensor, Tensor>;

Model cnn(galley::FormOptions forms = {}) {
  auto served =
      galley::torch_script(models::bytes(models::cnn()),
                           {.inputs = {{"pixels", f32, {1, 8, 8}}}, .forms = std::move(forms)});
  INFO((served.has_value() ? "" : served.error().detail));
  REQUIRE(served.has_value());
  return *std::move(served);
}

std::string says(const Model& model, const std::string& what) {
  for (const auto& [name, text] : model.describe().options) {
    if (name == what) return text;
  }
  return "nothing";
}

FormProfile profile_of(const Model& model) {
  FormProfile profile;
  REQUIRE(model.control("", profile).has_value());
  return profile;
}

bool answers_like_the_module(const Model& model, std::int64_t rows) {
  const at::Tensor batch = models::sines({rows, 1, 8, 8}, 0.9, 1.0);
  return at::allclose(models::torch_of(model.serve_rows(models::rows(batch))),
                      models::bare(models::cnn(), batch), 1e-4, 1e-5);
}

galley::BatchCost cost(std::size_t rows, galley::Duration time) {
  return {.rows = rows, .mean = time, .p95 = time, .seen = 20, .last = time};
}

/// A profile in which each form has a cost for one row and for eight.
FormProfile made_up(
    std::initializer_list<std::tuple<std::string, galley::Duration, galley::Duration>> forms) {
  FormProfile profile;
  for (const auto& [name, one, eight] : forms) {
    profile.forms.push_back({name, "", {cost(1, one), cost(8, eight)}});
  }
  return profile;
}

}  // namespace

TEST_CASE("whatever forms are fastest, a model answers like the module at every size", "[torch]") {
  const Model model = cnn({.sizes = {1, 2, 8}});
  CHECK(says(model, "runs") == "frozen until prepared");
  CHECK(says(model, "form optimized") == "not tried yet");
  CHECK(answers_like_the_module(model, 3));
  REQUIRE(model.prepare().has_value());
  for (const std::int64_t rows : {1, 2, 3, 8, 9, 40}) {
    CAPTURE(rows);
    CHECK(answers_like_the_module(model, rows));
  }
  const FormProfile profile = profile_of(model);
  REQUIRE(profile.forms.size() == 5);
  CHECK(profile.forms[0].name == "frozen");
  CHECK(profile.forms[3].name == "optimized, channels last");
  CHECK(profile.forms[4].name == "convolutions");
  for (const FormProfile::Form& form : profile.forms) {
    CAPTURE(form.name);
    CHECK(form.refused.empty());
    REQUIRE(form.costs.size() == 3);
    CHECK(form.costs[2].rows == 8);
  }
  CHECK(says(model, "form frozen").find("8: ") != std::string::npos);
  CHECK(says(model, "runs").find(" from 1 row") != std::string::npos);
}

TEST_CASE("a profile takes the place of timing, and says which form runs what", "[torch]") {
  const Model model = cnn();
  SetFormProfile set{made_up({{"frozen", 100us, 800us},
                              {"channels last", 90us, 900us},
                              {"optimized", 200us, 300us},
                              {"a form of another version", 1us, 1us}})};
  REQUIRE(model.control("", set).has_value());
  CHECK(says(model, "runs") ==
        "channels last from 1 row, frozen from 2 rows, optimized from 3 rows");
  const std::string before = says(model, "runs");
  REQUIRE(model.prepare().has_value());  // measures nothing
  CHECK(says(model, "runs") == before);
  for (const std::int64_t rows : {1, 2, 3, 20}) CHECK(answers_like_the_module(model, rows));

  const Model again = cnn();
  SetFormProfile same{profile_of(model)};
  REQUIRE(again.control("", same).has_value());
  CHECK(says(again, "runs") == before);
}

TEST_CASE("another profile is taken later, also of forms that were let go", "[torch]") {
  const Model model = cnn();
  SetFormProfile plain{made_up({{"frozen", 1us, 8us}, {"optimized", 2us, 16us}})};
  REQUIRE(model.control("", plain).has_value());
  CHECK(says(model, "runs") == "frozen from 1 row");
  SetFormProfile packed{made_up({{"frozen", 2us, 16us}, {"optimized", 1us, 8us}})};
  REQUIRE(model.control("", packed).has_value());
  CHECK(says(model, "runs") == "optimized from 1 row");
  CHECK(answers_like_the_module(model, 5));
}

TEST_CASE("what a profile refuses is not tried, and costs that cannot be are refused", "[torch]") {
  const Model model = cnn();
  SetFormProfile set{made_up({{"frozen", 2us, 16us}, {"optimized", 1us, 8us}})};
  set.profile.forms[1].refused = "not on this machine";
  REQUIRE(model.control("", set).has_value());
  CHECK(says(model, "runs") == "frozen from 1 row");
  CHECK(says(model, "form optimized").starts_with("refused: not on this machine"));

  SetFormProfile wrong{made_up({{"frozen", 2us, 16us}})};
  wrong.profile.forms[0].costs[1].rows = 1;
  CHECK(model.control("", wrong).status() == Status::invalid_argument);
  CHECK(says(model, "runs") == "frozen from 1 row");
}

TEST_CASE("one form may be pinned for all sizes, and is not timed", "[torch]") {
  for (const char* form :
       {"frozen", "optimized", "channels last", "optimized, channels last", "convolutions"}) {
    CAPTURE(form);
    const Model model = cnn({.pinned = form});
    REQUIRE(model.prepare().has_value());
    CHECK(says(model, "runs") == form);
    for (const FormProfile::Form& one : profile_of(model).forms) CHECK(one.costs.empty());
    for (const std::int64_t rows : {1, 7}) CHECK(answers_like_the_module(model, rows));
  }
}

TEST_CASE("a form that is pinned and is not there is an error of prepare", "[torch]") {
  const auto unknown = cnn({.pinned = "unrolled"}).prepare();
  CHECK(unknown.status() == Status::failed_precondition);
  CHECK(unknown.error().detail.find(
            "there is no form \"unrolled\" (there are frozen, optimized, ") != std::string::npos);

  const auto mlp =
      *galley::torch_script(models::bytes(models::mlp(4)),
                            {.inputs = {{"x", f32, {4}}}, .forms = {.pinned = "channels last"}});
  const auto no_images = mlp.prepare();
  CHECK(no_images.status() == Status::failed_precondition);
  CHECK(no_images.error().detail.find("has no weights of images") != std::string::npos);
}

TEST_CASE("a form that answers otherwise is never used, and it is said", "[torch]") {
  // Looks at how its input lies in memory.
  const auto served = models::servable(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return torch.conv2d(x, self.w).flatten(1) + float(x.stride(1))\n",
      {.inputs = {{"x", f32, {3, 2, 2}}}, .forms = {.sizes = {1, 4}}},
      {{"w", at::ones({3, 3, 2, 2})}});
  REQUIRE(served.has_value());
  REQUIRE(served->prepare().has_value());
  CHECK(says(*served, "form channels last").starts_with("refused: output \"0\" has "));
  CHECK(says(*served, "form optimized, channels last").starts_with("refused: output \"0\" has "));
  CHECK(says(*served, "runs").find("channels last") == std::string::npos);
  CHECK(*served->serve(*Tensor::zeros(f32, {3, 2, 2})) == models::row({4, 4, 4}));
}

TEST_CASE("images come back contiguous from a form that lays them out otherwise", "[torch]") {
  const auto served = models::servable(
      "def forward(self, x: Tensor) -> Tensor:\n    return torch.conv2d(x, self.w)\n",
      {.inputs = {{"x", f32, {3, 4, 4}}}, .forms = {.pinned = "channels last"}},
      {{"w", models::sines({5, 3, 3, 3})}});
  REQUIRE(served.has_value());
  REQUIRE(served->prepare().has_value());
  const at::Tensor batch = models::sines({2, 3, 4, 4}, 0.9, 1.0);
  const auto outcomes = served->serve_rows(models::rows(batch));
  REQUIRE(outcomes.all_ok());
  CHECK(outcomes.survivors().dense()->is_contiguous());
  CHECK(at::allclose(models::torch_of(outcomes), at::conv2d(batch, models::sines({5, 3, 3, 3})),
                     1e-4, 1e-5));
}

TEST_CASE("a row with a NaN changes nothing for its neighbours, whatever the form", "[torch]") {
  const at::Tensor batch = models::sines({3, 1, 8, 8}, 0.9, 1.0);
  at::Tensor spoilt = batch.clone();
  spoilt[1][0][2][3] = std::nan("");
  const at::Tensor wanted = models::bare(models::cnn(), batch);
  for (const char* form : {"optimized", "convolutions"}) {
    CAPTURE(form);
    const Model model = cnn({.pinned = form});
    REQUIRE(model.prepare().has_value());
    const at::Tensor got = models::torch_of(model.serve_rows(models::rows(spoilt)));
    for (const std::int64_t row : {0, 2}) CHECK(at::allclose(got[row], wanted[row], 1e-4, 1e-5));
  }
}

TEST_CASE("a model without convolutions has no form of them", "[torch]") {
  const auto mlp = *galley::torch_script(models::bytes(models::mlp(4)),
                                         {.inputs = {{"x", f32, {4}}}, .forms = {.sizes = {1}}});
  REQUIRE(mlp.prepare().has_value());
  CHECK(says(mlp, "form convolutions").find("finds no convolution") != std::string::npos);
}

TEST_CASE("a model of which no form is tried says nothing of forms", "[torch]") {
  const Model model = cnn({.tried = {}});
  REQUIRE(model.prepare().has_value());
  CHECK(says(model, "runs") == "nothing");
  CHECK(answers_like_the_module(model, 2));
}
