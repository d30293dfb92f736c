// A package is answered bit for bit as by LibTorch's own loader, for every element type; as a form
// of a module, its outputs are found by their names.
#include "models.hpp"
#include <support/has.hpp>

#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::NamedTensors;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::Tensor;
using galley::TensorSpec;

namespace {

std::string exported(const std::string& file) {
  return std::string(GALLEY_TEST_PACKAGES) + "/" + file;
}

/// A batch of what package_models.py's `types` takes, in order.
std::vector<at::Tensor> types(std::int64_t rows) {
  const at::Tensor waves = models::sines({rows, 4}, 0.37, 1.0);
  const at::Tensor counts = (waves * 20 + 21).to(at::kLong);
  std::vector<at::Tensor> batch;
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16})
    batch.push_back(waves.to(dtype));
  for (const auto dtype : {at::kLong, at::kInt, at::kShort, at::kChar, at::kByte}) {
    batch.push_back(counts.to(dtype));
  }
  batch.push_back(waves > 0);
  return batch;
}

Rows<NamedTensors> rows_of(const std::vector<at::Tensor>& batch,
                           const std::vector<TensorSpec>& specs) {
  Rows<NamedTensors> rows;
  for (std::int64_t i = 0; i < batch.front().size(0); ++i) {
    NamedTensors row;
    for (std::size_t k = 0; k < specs.size(); ++k) {
      row.set(specs[k].name, *galley::from_torch(batch[k][i]));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

template <class In = NamedTensors, class Out = NamedTensors>
Servable<In, Out> script(galley::ScriptOptions options, const std::string& file) {
  auto served = galley::torch_script<In, Out>(exported(file), std::move(options));
  INFO((served.has_value() ? "" : served.error().detail));
  REQUIRE(served.has_value());
  return *std::move(served);
}

const std::vector<TensorSpec> inputs_of_parts{
    {"weights", galley::f64, {4}},
    {"flags", galley::boolean, {4}},
    {.name = "ids", .dtype = galley::i64, .shape = {galley::any}, .range = {{0, 9}}}};

}  // namespace

TEST_CASE("every dtype of a package is answered bit for bit as by the bare package", "[torch]") {
  const auto served = *galley::torch_package<NamedTensors, NamedTensors>(exported("types.pt2"));
  const galley::Signature signature = *served.describe().signature;
  REQUIRE(signature.inputs.size() == 9);
  const c10::InferenceMode inference;
  torch::inductor::AOTIModelPackageLoader bare(exported("types.pt2"));
  for (const std::int64_t count : {1, 2, 7}) {
    const std::vector<at::Tensor> batch = types(count);
    const std::vector<at::Tensor> wanted = bare.run(batch);
    const auto answers = served.serve_rows(rows_of(batch, signature.inputs));
    REQUIRE(answers.all_ok());
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      const TensorSpec& output = signature.outputs[k];
      CAPTURE(count, output.name);
      CHECK(output.dtype == signature.inputs[k].dtype);
      for (std::int64_t i = 0; i < count; ++i) {
        const NamedTensors answer = *answers[static_cast<std::size_t>(i)];
        const at::Tensor got = models::torch_of(*answer.find(output.name));
        CHECK(got.dtype() == wanted[k].dtype());
        CHECK(at::equal(got, wanted[k][i]));
      }
    }
  }
}

TEST_CASE("a package refuses rows of another dtype and names both", "[torch]") {
  const auto served = *galley::torch_package<NamedTensors, NamedTensors>(exported("types.pt2"));
  const galley::Signature signature = *served.describe().signature;
  for (std::size_t k = 0; k < signature.inputs.size(); ++k) {
    const TensorSpec& input = signature.inputs[k];
    CAPTURE(input.name);
    std::vector<at::Tensor> batch = types(1);
    batch[k] = batch[k].to(k == 0 ? at::kDouble : at::kFloat);
    const auto refused = served.serve(rows_of(batch, signature.inputs)[0]);
    REQUIRE(refused.status() == Status::invalid_argument);
    support::has(refused.error().detail, "input \"" + input.name + "\": expected ");
    support::has(refused.error().detail, std::string(galley::to_string(input.dtype)) + " [4]");
    support::has(refused.error().detail, k == 0 ? "got float64 [4]" : "got float32 [4]");
  }
}

TEST_CASE("a package's outputs are a module's of the same names, in whatever order", "[torch]") {
  // As the module's dict is asked for, which is not the order of the package.
  const std::vector<TensorSpec> outputs{{"half", galley::bf16, {4}},
                                        {"ids", galley::i64, {galley::any}},
                                        {"scores", galley::f64, {4}}};
  const auto served =
      script({.inputs = inputs_of_parts,
              .outputs = outputs,
              .forms = {.packages = {exported("parts.pt2")}, .pinned = "package parts.pt2"}},
             "parts.pt");
  const auto prepared = served.prepare();
  INFO((prepared.has_value() ? "" : prepared.error().detail));
  REQUIRE(prepared.has_value());
  const std::vector<at::Tensor> batch{models::sines({3, 4}, 0.3).to(at::kDouble),
                                      models::sines({3, 4}, 1.3) > 0,
                                      at::arange(18).remainder(10).view({3, 6})};
  const auto answers = served.serve_rows(rows_of(batch, inputs_of_parts));
  REQUIRE(answers.all_ok());
  const c10::InferenceMode inference;
  torch::inductor::AOTIModelPackageLoader bare(exported("parts.pt2"));
  const std::vector<at::Tensor> wanted = bare.run(batch);  // scores, ids, half
  for (std::int64_t i = 0; i < 3; ++i) {
    const NamedTensors answer = *answers[static_cast<std::size_t>(i)];
    CHECK(at::equal(models::torch_of(*answer.find("scores")), wanted[0][i]));
    CHECK(at::equal(models::torch_of(*answer.find("ids")), wanted[1][i]));
    CHECK(at::equal(models::torch_of(*answer.find("half")), wanted[2][i]));
  }
}

TEST_CASE("a package whose outputs have other names than the module's is no form of it",
          "[torch]") {
  const auto served =
      script({.inputs = inputs_of_parts,
              .outputs = {{"scores", galley::f64, {4}}, {"ids", galley::i64, {galley::any}}},
              .forms = {.packages = {exported("parts.pt2")}}},
             "parts.pt");
  REQUIRE(served.prepare().has_value());
  std::string says;
  for (const auto& [name, text] : served.describe().options) {
    if (name == "form package parts.pt2") says = text;
  }
  support::has(says,
               "its outputs are (scores, ids, half), the model's are (scores, "
               "ids): expected the same names");
}

TEST_CASE("the one output of a package is the module's, whatever both call it", "[torch]") {
  const auto package = *galley::torch_package(exported("second.pt2"));
  CHECK(package.describe().signature->outputs[0].name == "logits");
  const auto served = script<Tensor, Tensor>(
      {.inputs = {{"x", galley::f32, {16}}},
       .outputs = {{"scores", galley::f32, {8}}},
       .forms = {.packages = {exported("second.pt2")}, .pinned = "package second.pt2"}},
      "second.pt");
  const auto prepared = served.prepare();
  INFO((prepared.has_value() ? "" : prepared.error().detail));
  CHECK(prepared.has_value());
}

TEST_CASE("a package has no lower precisions but the one it was exported in", "[torch]") {
  const auto refused = galley::torch_package(
      exported("first.pt2"),
      {.forms = {.tried = {},
                 .reduced = {.tried = {galley::Reduction::bfloat16}, .error = {0.1, 0.1}}}});
  REQUIRE(refused.status() == Status::failed_precondition);
  support::has(refused.error().detail, "options.forms.reduced: a package's precision is what");
}
