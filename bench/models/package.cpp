#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/torch/package.hpp>
#include <galley/torch/tensor.hpp>

#include <support/allocations.hpp>
#include <support/timing.hpp>

#include <ATen/ATen.h>
#include <models/cases.hpp>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#if __has_include(<torch/csrc/inductor/aoti_package/model_package_loader.h>)
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

namespace bench {

namespace {

using Served = galley::Servable<galley::Tensor, galley::Tensor>;

constexpr const char* file = "build/bench/mlp.pt2";
constexpr std::size_t runners = 1;
constexpr std::int64_t width = 64;

using Loader = torch::inductor::AOTIModelPackageLoader;

/// The weights made in the mode they are used in, as galley has them made, which alone is faster.
std::unique_ptr<Loader> loaded_as_galley_does() {
  const c10::InferenceMode guard;
  return std::make_unique<Loader>(file, "model", false, runners);
}

/// The bare call and galley's over the same input, from either memory.
struct Contest {
  std::unique_ptr<Loader> loader = loaded_as_galley_does();
  std::unique_ptr<Loader> plain = std::make_unique<Loader>(file, "model", false, runners);
  Served model;
  std::vector<at::Tensor> inputs{at::sin(at::arange(width).to(at::kFloat)).view({1, width})};
  galley::Rows<galley::Tensor> rows = *galley::rows_from_torch(inputs.front());
  std::vector<float> host_input = std::vector<float>(inputs.front().data_ptr<float>(),
                                                     inputs.front().data_ptr<float>() + width);
  std::vector<float> host_output = std::vector<float>(width);
  galley::Shape row_shape{width};

  auto bare(Loader& of) {
    return [this, &of] {
      const c10::InferenceMode guard;
      const std::vector<at::Tensor> outputs = of.run(inputs);
      const void* data = outputs.front().data_ptr();
      do_not_optimise(data);
    };
  }
  auto galleys() {
    return [this] {
      const c10::InferenceMode guard;
      const galley::Outcomes<galley::Tensor> output = model.serve_rows(rows);
      const void* data = output.all_ok() ? output.survivors().block()->data() : nullptr;
      do_not_optimise(data);
    };
  }
  auto bare_from_host() {
    return [this] {
      const c10::InferenceMode guard;
      const auto outputs = loader->run({at::from_blob(host_input.data(), {1, width}, at::kFloat)});
      std::memcpy(host_output.data(), outputs.front().data_ptr<float>(), width * sizeof(float));
      do_not_optimise(host_output);
    };
  }
  auto galleys_from_host() {
    return [this] {
      const c10::InferenceMode guard;
      const galley::Result<galley::Tensor> row = galley::Tensor::view(host_input, row_shape);
      const galley::Result<galley::Tensor> output = model.serve(*row);
      if (!output.has_value()) return;
      static_cast<void>(output->copy_into(std::as_writable_bytes(std::span(host_output))));
      do_not_optimise(host_output);
    };
  }

  /// That all four calls give the same numbers, bit for bit.
  void check(Report& report) {
    const c10::InferenceMode guard;
    const at::Tensor kept = loader->run(inputs).front();
    const std::vector<float> wanted(kept.data_ptr<float>(), kept.data_ptr<float>() + width);
    const galley::Outcomes<galley::Tensor> outcomes = model.serve_rows(rows);
    const bool same = outcomes.all_ok() && outcomes.size() == 1 &&
                      *outcomes[0] == *galley::Tensor::view(wanted, row_shape);
    report.check(same, "galley's answer to a LibTorch tensor differs from the bare call's");
    galleys_from_host()();
    report.check(host_output == wanted, "galley's answer to a host buffer differs");
    host_output.assign(width, 0);
    bare_from_host()();
    report.check(host_output == wanted, "the bare call's answer to a host buffer differs");
  }
};

}  // namespace

void package_cases(Report& report) {
  // Idempotent, and says what is missing where it cannot.
  if (std::system("python3 examples/export_model.py mlp build/bench/mlp") != 0) {
    return report.say("M5 is left out: no package could be exported.");
  }
  galley::Result<Served> model = galley::torch_package(file, {.runners = runners});
  if (!model.has_value()) return report.check(false, galley::to_string(model.error()));
  report.check(model->prepare().has_value(), "the package could not be prepared");
  Contest mlp{.model = *std::move(model)};
  mlp.check(report);
  const Rounds rounds{.pairs = 600, .slice = std::chrono::microseconds(200)};
  const auto add = [&](const std::string& name, const Paired& pair) {
    report.add({.id = "M5",
                .name = "package of an MLP 64-64-64, batch of one, " + name,
                .metric = "paired difference",
                .unit = "ns",
                .goal = Goal::at_most(120)},
               pair.difference);
    report.add({.id = "M5", .name = "loader.run alone, " + name, .metric = "time", .unit = "ns"},
               pair.b);
  };
  add("from a LibTorch-owned [1, n]", compare(mlp.galleys(), mlp.bare(*mlp.loader), rounds));
  add("from a host buffer, with from_blob and copy out",
      compare(mlp.galleys_from_host(), mlp.bare_from_host(), rounds));
  report.add({.id = "M5",
              .name = "the same against a package as LibTorch loads it by default",
              .metric = "paired difference",
              .unit = "ns"},
             compare(mlp.galleys(), mlp.bare(*mlp.plain), rounds).difference);
  constexpr std::size_t calls = 1000;
  report.add({.id = "M5",
              .name = "a package's call, from a LibTorch-owned [1, n]; LibTorch's are apart",
              .metric = "allocations per call",
              .unit = "",
              .goal = Goal::at_most(0)},
             static_cast<double>(count_allocations(mlp.galleys(), calls).by_program) / calls);
}

}  // namespace bench

#else

void bench::package_cases(Report& report) {
  report.say("M5 is left out: this LibTorch has no loader of packages.");
}

#endif
