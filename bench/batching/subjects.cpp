#include <galley/torch/script.hpp>
#include <galley/torch/tensor.hpp>

#include <batching/cases.hpp>

#include <span>
#include <utility>

namespace bench {

namespace {

Subject subject(Report& report, std::string name, std::string file, galley::Shape row,
                std::vector<std::int64_t> image) {
  galley::Result<Model> model = galley::torch_script(std::as_bytes(std::span(file)),
                                                     {.name = name,
                                                      .inputs = {{"x", galley::f32, row}},
                                                      // The baselines' form: forms have a bench of
                                                      // their own.
                                                      .forms = {.tried = {}},
                                                      .warm_batches = {1, 2, 4, 8, 16, 32, 64}});
  report.check(model.has_value(), name + " could not be loaded");
  if (!model.has_value()) model = Model::broken(name, model.error());
  image.insert(image.begin(), 1);
  at::Tensor input = torch::randn(image);
  const galley::Rows<galley::Tensor> rows = *galley::rows_from_torch(input);
  Subject made{
      .name = std::move(name),
      .file = file,
      .row = row,
      .served = *std::move(model),
      .bare = std::make_unique<Bare>(file, Form::galleys),
      .image = input,
      .sample = *galley::Tensor::copy_of(
          std::span(input.data_ptr<float>(), static_cast<std::size_t>(input.numel())), row),
      .answer = {}};
  const c10::InferenceMode guard;
  const at::Tensor output = (*made.bare)(input).contiguous();
  made.answer = *galley::Tensor::copy_of(
      std::span(output.data_ptr<float>(), static_cast<std::size_t>(output.numel())),
      {output.size(1)});
  return made;
}

}  // namespace

at::Tensor Subject::inputs(std::int64_t rows) const {
  std::vector<std::int64_t> repeats(static_cast<std::size_t>(image.dim()), 1);
  repeats.front() = rows;
  return image.repeat(repeats);
}

std::vector<Subject> subjects(Report& report) {
  std::vector<Subject> all;
  all.push_back(subject(report, "MLP 64-64-64", mlp_file({64, 64, 64}), {64}, {64}));
  all.push_back(subject(report, "MLP 784-512-512-10", mlp_file({784, 512, 512, 10}), {784}, {784}));
  all.push_back(subject(report, "CNN 1x28x28", cnn_file(), {1, 28, 28}, {1, 28, 28}));
  return all;
}

}  // namespace bench
