// Models that take and give lists with an element for each row, as detectors of images do.
#include <galley/compose/batched.hpp>
#include <galley/core/future.hpp>
#include <galley/testing/manual_executor.hpp>

#include "models.hpp"
#include <support/has.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::any;
using galley::f32;
using galley::NamedTensors;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::RowsAs;
using galley::ScriptOptions;
using galley::Servable;
using galley::Shape;
using galley::Status;
using galley::Tensor;
using support::has;

namespace {

using Detector = Servable<NamedTensors, NamedTensors>;

/// A box for each pixel above a half, with its value; refuses images that are all below nothing.
constexpr const char* detector = R"(
def detect(self, image: Tensor) -> Dict[str, Tensor]:
    found = torch.nonzero(image[0] > 0.5)
    return {"boxes": torch.cat([found, found + 1], 1).float(),
            "scores": image[0].flatten()[found[:, 0] * image.size(2) + found[:, 1]]}

def forward(self, images: List[Tensor]) -> List[Dict[str, Tensor]]:
    out: List[Dict[str, Tensor]] = []
    for image in images:
        if bool(image.max() >= 0.0):
            out.append(self.detect(image))
    return out
)";

ScriptOptions options(std::vector<galley::TensorSpec> outputs = {}) {
  return {.inputs = {{"images", f32, {1, any, any}}},
          .outputs = std::move(outputs),
          .rows = RowsAs::list,
          .sample_sizes = {5, 6}};
}

template <class In = NamedTensors, class Out = NamedTensors>
Servable<In, Out> served(const std::string& source, ScriptOptions opts = options()) {
  auto made = models::servable<In, Out>(source, std::move(opts));
  INFO((made.has_value() ? "" : made.error().detail));
  REQUIRE(made.has_value());
  return *std::move(made);
}

std::string refusal(const std::string& source, ScriptOptions opts = options()) {
  const auto made = models::servable<NamedTensors, NamedTensors>(source, std::move(opts));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.status() == Status::failed_precondition);
  return made.error().detail;
}

/// A forward of this body.
std::string forward(const std::string& returns, const std::string& body) {
  return "def forward(self, images: List[Tensor]) -> " + returns + ":\n" + body;
}

/// An image with so many pixels above a half, whose values begin with `first`.
Tensor image(std::int64_t height, std::int64_t width, std::int64_t lit, float first = 0.75F) {
  std::vector<float> pixels(static_cast<std::size_t>(height * width), 0.25F);
  for (std::int64_t i = 0; i < lit; ++i) {
    pixels[static_cast<std::size_t>(i)] = first + static_cast<float>(i);
  }
  return *Tensor::copy_of(pixels, Shape{1, height, width});
}

Rows<NamedTensors> images(const std::vector<Tensor>& all) {
  Rows<NamedTensors> rows;
  for (const Tensor& one : all) rows.push_back(NamedTensors{{"images", one}});
  return rows;
}

std::int64_t boxes_in(const NamedTensors& row) {
  CHECK(row.find("boxes")->shape()[1] == 4);
  CHECK(row.find("scores")->shape()[0] == row.find("boxes")->shape()[0]);
  return row.find("boxes")->shape()[0];
}

}  // namespace

TEST_CASE("each row of a detector has its own number of boxes", "[torch]") {
  const Detector model = served(detector);
  const auto signature = *model.describe().signature;
  CHECK(galley::to_string(signature) ==
        "(images: float32 [1, ?, ?] on cpu) -> (boxes: float32 [?, 4], scores: float32 [?])");
  const auto answers =
      model.serve_rows(images({image(4, 4, 3), image(4, 4, 0), image(4, 4, 1, 9)}));
  REQUIRE(answers.all_ok());
  CHECK(boxes_in(*answers[0]) == 3);
  CHECK(boxes_in(*answers[1]) == 0);
  CHECK(boxes_in(*answers[2]) == 1);
  CHECK(*(*answers[2]).find("scores") == models::row({9}));
  CHECK(*(*answers[0]).find("scores") == models::row({0.75, 1.75, 2.75}));
}

TEST_CASE("rows of a list need not share a shape, and are answered in their order", "[torch]") {
  const Detector model = served(detector);
  const std::vector<Tensor> all = {image(4, 4, 2), image(2, 9, 5), image(4, 4, 1), image(3, 3, 9)};
  const auto answers = model.serve_rows(images(all));
  REQUIRE(answers.all_ok());
  const std::vector<std::int64_t> lit = {2, 5, 1, 9};
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(boxes_in(*answers[i]) == lit[i]);
    const Result<NamedTensors> alone = model.serve(NamedTensors{{"images", all[i]}});
    REQUIRE(alone.has_value());
    CHECK(*alone->find("boxes") == *(*answers[i]).find("boxes"));
    CHECK(*alone->find("scores") == *(*answers[i]).find("scores"));
  }
}

TEST_CASE("where a list comes back too short, only the rows to blame fail", "[torch]") {
  const Detector model = served(detector);
  const auto answers = model.serve_rows(
      images({image(4, 4, 2), *Tensor::copy_of(std::vector<float>(16, -1), Shape{1, 4, 4}),
              image(4, 4, 1)}));
  CHECK(boxes_in(*answers[0]) == 2);
  CHECK(answers[1].error().status == Status::internal);
  has(answers[1].error().detail, "gives a list of 0 for 1 rows, expected an element for each");
  CHECK(boxes_in(*answers[2]) == 1);
}

TEST_CASE("rows of several callers share a list", "[torch]") {
  const galley::ManualExecutor executor;
  const auto model = galley::batched(executor, served(detector));
  std::vector<std::future<Result<NamedTensors>>> answers;
  for (const std::int64_t lit : {3, 0, 2}) {
    answers.push_back(galley::submit_future(model, NamedTensors{{"images", image(4, 4, lit)}}));
  }
  executor.run_all();
  CHECK(boxes_in(*answers[0].get()) == 3);
  CHECK(boxes_in(*answers[1].get()) == 0);
  CHECK(boxes_in(*answers[2].get()) == 2);
  galley::BatchStatistics statistics;
  REQUIRE(model.control("", statistics).has_value());
  CHECK(statistics.batches == 1);
}

TEST_CASE("a row's answer is a tuple, with names of its own or none, or a tensor", "[torch]") {
  const std::string pairs = forward(
      "List[Tuple[Tensor, Tensor]]",
      "    return [(image.flatten()[image.flatten() > 0.5], image.sum()) for image in images]\n");
  const auto numbered = served(pairs);
  CHECK(*numbered.serve(NamedTensors{{"images", image(2, 2, 1)}})->find("1") ==
        *Tensor::copy_of({1.5F}, Shape{}));
  const auto named = served(pairs, options({{"lit", f32, {any}}, {"sum", f32, {}}}));
  CHECK(named.serve(NamedTensors{{"images", image(2, 2, 3)}})->find("lit")->shape() == Shape{3});

  const auto only = served<Tensor, Tensor>(
      forward("List[Tensor]", "    return [image[image > 0.5] for image in images]\n"));
  const Outcomes<Tensor> answers =
      only.serve_rows(Rows<Tensor>{image(2, 2, 2), image(3, 2, 1), image(2, 2, 0)});
  REQUIRE(answers.all_ok());
  CHECK(*answers[0] == models::row({0.75, 1.75}));
  CHECK(*answers[1] == models::row({0.75}));
  CHECK((*answers[2]).numel() == 0);
}

TEST_CASE("losses that are none may stand before the detections", "[torch]") {
  const Detector model =
      served(forward("Tuple[Dict[str, Tensor], List[Dict[str, Tensor]]]",
                     "    losses: Dict[str, Tensor] = {}\n"
                     "    return losses, [{\"lit\": image[image > 0.5]} for image in images]\n"));
  const auto answers = model.serve_rows(images({image(2, 2, 1), image(2, 2, 3)}));
  CHECK((*answers[0]).find("lit")->shape() == Shape{1});
  CHECK((*answers[1]).find("lit")->shape() == Shape{3});
}

TEST_CASE("a list of rows may be answered by one tensor, and a tensor by a list", "[torch]") {
  const auto sums = served<Tensor, Tensor>(
      forward("Tensor", "    return torch.stack([image.sum() for image in images])\n"));
  const Outcomes<Tensor> answers = sums.serve_rows(Rows<Tensor>{image(2, 2, 0), image(3, 2, 0)});
  CHECK(*(*answers[0]).data<float>() == 1);
  CHECK(*(*answers[1]).data<float>() == 1.5);

  const auto lists = served<Tensor, Tensor>(
      "def forward(self, images: Tensor) -> List[Tensor]:\n"
      "    return [image[image > 0.5] for image in images.unbind(0)]\n");
  CHECK(*lists.serve(image(2, 2, 2)) == models::row({0.75, 1.75}));
}

TEST_CASE("answers of a row own their memory alone", "[torch]") {
  const auto same = served<Tensor, Tensor>(forward("List[Tensor]", "    return images\n"));
  Tensor answer;
  {
    const Tensor given = image(2, 2, 1);
    answer = *same.serve(given);
    CHECK(answer == given);
    CHECK(answer.data() != given.data());
  }
  CHECK(*answer.data<float>() == 0.75);
}

TEST_CASE("lists whose rows are not apart, or not one for each row, are refused", "[torch]") {
  has(refusal(forward("List[Tensor]", "    return images[1:]\n")),
      "gives a list of 3 for 4 rows, expected an element for each");
  has(refusal(forward("List[Tensor]", "    return [images[0] for image in images]\n")),
      "its rows depend on each other: output \"0\" has ");
  has(refusal(forward("List[Tensor]", "    return images[::-1]\n")),
      "its rows depend on each other");
  has(refusal(forward("List[Tensor]",
                      "    return [image.flatten()[:len(images)] for image in images]\n")),
      "its rows depend on each other: output \"0\" is [1] alone and [4] among 4 rows");
  has(refusal(forward("List[int]", "    return [1 for image in images]\n")), "gives Int");
  has(refusal(forward("List[Tensor]", "    return [torch.rand([2]) for image in images]\n")),
      "equal rows give different answers");
  has(refusal(detector, options({{"boxes", galley::i64, {any, 4}}, {"scores", f32, {any}}})),
      "output \"boxes\": expected int64 [?, 4], got float32");
  has(refusal(detector, options({{"masks", f32, {any}}})), "gives no \"masks\"");
}

TEST_CASE("without the option a list's elements are inputs of their own", "[torch]") {
  ScriptOptions plain = options();
  plain.rows = RowsAs::batch;
  has(refusal(detector, plain), "is a list of tensors: declare its elements as inputs");
}

TEST_CASE("every form of a model that gives lists answers alike", "[torch]") {
  ScriptOptions opts = options();
  opts.inputs = {{"images", f32, {1, 4, 4}}};
  opts.forms.sizes = {1, 3};
  const Detector model = served(detector, opts);
  REQUIRE(model.prepare().has_value());
  galley::ModelDescription about;
  REQUIRE(model.control("", about).has_value());
  CHECK(about.script->rows == RowsAs::list);
  CHECK(about.forms[1].name == "optimized");
  CHECK(about.forms[1].refused.empty());
  has(to_string(about), "forward, frozen, rows as lists");
  CHECK(boxes_in(*model.serve(NamedTensors{{"images", image(4, 4, 7)}})) == 7);
}

TEST_CASE("a model of several outputs that was saved in training mode and answers alike is served",
          "[torch]") {
  torch::jit::Module made = models::module(
      "def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:\n    return x + 1, x * 2\n");
  made.register_attribute("training", c10::BoolType::get(), true);
  const auto model = galley::torch_script<Tensor, NamedTensors>(models::bytes(made),
                                                                {.inputs = {{"x", f32, {2}}}});
  INFO((model.has_value() ? "" : model.error().detail));
  REQUIRE(model.has_value());
  CHECK(*model->serve(models::row({1, 2}))->find("1") == models::row({2, 4}));
}
