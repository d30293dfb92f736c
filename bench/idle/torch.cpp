#include <idle/cases.hpp>

#if !GALLEY_BENCH_WITH_TORCH

void bench::torch_cases(Report& report) {
  report.say("I1 and I2 are left out: this build has no LibTorch.");
}

#else

#include <galley/core/servable.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/torch/script.hpp>
#include <galley/torch/tensor.hpp>
#include <galley/torch/threads.hpp>

#include <support/models.hpp>
#include <support/report.hpp>
#include <support/timing.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace bench {

namespace {

using Model = galley::Servable<galley::Tensor, galley::Tensor>;

/// One MLP: the bare call and galley's over the same input, from either memory.
class Contest {
 public:
  explicit Contest(const std::vector<std::int64_t>& widths)
      : file_(mlp_file(widths)),
        bare(file_, Form::galleys),
        plain(file_, Form::plain),
        model(load(file_, widths.front())),
        input(torch::randn({1, widths.front()})),
        rows(*galley::rows_from_torch(input)),
        host_input(input.data_ptr<float>(), input.data_ptr<float>() + widths.front()),
        row_shape{widths.front()},
        host_output(static_cast<std::size_t>(widths.back())) {}

  /// From a LibTorch-owned [1, n]; the answer is looked at and dropped.
  auto bare_call(Bare& of) {
    return [this, &of] {
      const c10::InferenceMode guard;
      const at::Tensor output = of(input);
      const void* data = output.data_ptr();
      do_not_optimise(data);
    };
  }
  auto galley_call() {
    return [this] {
      const c10::InferenceMode guard;
      const galley::Outcomes<galley::Tensor> output = model.serve_rows(rows);
      const void* data = output.all_ok() ? output.survivors().block()->data() : nullptr;
      do_not_optimise(data);
    };
  }

  /// From a host buffer into a host buffer.
  auto bare_host_call() {
    return [this] {
      const c10::InferenceMode guard;
      const auto size = static_cast<std::int64_t>(host_input.size());
      const at::Tensor output = bare(torch::from_blob(host_input.data(), {1, size}, at::kFloat));
      std::memcpy(host_output.data(), output.data_ptr<float>(), host_output.size() * sizeof(float));
      do_not_optimise(host_output);
    };
  }
  auto galley_host_call() {
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
    const std::size_t size = host_output.size();
    const at::Tensor kept = bare(input);
    const std::vector<float> wanted(kept.data_ptr<float>(), kept.data_ptr<float>() + size);
    const galley::Outcomes<galley::Tensor> outcomes = model.serve_rows(rows);
    const bool block = outcomes.all_ok() && outcomes.size() == 1 &&
                       *outcomes[0] == *galley::Tensor::view(
                                           wanted, galley::Shape{static_cast<std::int64_t>(size)});
    report.check(block, "galley's answer to a LibTorch tensor differs from the bare call's");
    host_output.assign(size, 0);
    galley_host_call()();
    report.check(host_output == wanted, "galley's answer to a host buffer differs");
    host_output.assign(size, 0);
    bare_host_call()();
    report.check(host_output == wanted, "the bare call's answer to a host buffer differs");
  }

 private:
  static Model load(const std::string& file, std::int64_t width) {
    galley::Result<Model> model = galley::torch_script(
        std::as_bytes(std::span(file)),
        {.name = "mlp", .inputs = {{"x", galley::f32, {width}}}, .forms = {.tried = {}}});
    if (!model.has_value()) return Model::broken("mlp", model.error());
    static_cast<void>(model->prepare());
    return *std::move(model);
  }

  std::string file_;

 public:
  Bare bare;
  Bare plain;
  Model model;
  at::Tensor input;
  galley::Rows<galley::Tensor> rows;
  std::vector<float> host_input;
  galley::Shape row_shape;
  std::vector<float> host_output;
};

constexpr const char* from_torch = "from a LibTorch-owned [1, n]";
constexpr const char* from_host = "from a host buffer, with from_blob and copy out";

void tiny_cases(Report& report, Contest& mlp) {
  const Rounds rounds{.pairs = 600, .slice = std::chrono::microseconds(200)};
  const auto add = [&](const std::string& name, const Paired& pair) {
    report.add({.id = "I1",
                .name = "MLP 64-64-64, batch of one, " + name,
                .metric = "paired difference",
                .unit = "ns",
                .goal = Goal::at_most(100)},
               pair.difference);
    report.add({.id = "I1", .name = "the bare call, " + name, .metric = "time", .unit = "ns"},
               pair.b);
  };
  add(from_torch, compare(mlp.galley_call(), mlp.bare_call(mlp.bare), rounds));
  add(from_host, compare(mlp.galley_host_call(), mlp.bare_host_call(), rounds));
  report.add({.id = "I1",
              .name = "the same against a frozen module as LibTorch loads it by default",
              .metric = "paired difference",
              .unit = "ns"},
             compare(mlp.galley_call(), mlp.bare_call(mlp.plain), rounds).difference);
  allocation_case(report, std::string("I1: MLP 64-64-64 ") + from_torch, mlp.galley_call());
  allocation_case(report, std::string("I1: MLP 64-64-64 ") + from_host, mlp.galley_host_call());
}

void larger_cases(Report& report, Contest& mlp) {
  // One call a slice: each side finds the caches as the other left them, and the memory's speed,
  // which this model lives by, has no time to change between the two.
  const Rounds rounds{.pairs = 8000, .slice = std::chrono::microseconds(1)};
  const auto add = [&](const std::string& name, const Paired& pair) {
    report.add({.id = "I2",
                .name = "MLP 784-1024-1024-10, batch of one, " + name,
                .metric = "ratio",
                .unit = "",
                .goal = Goal::at_most(1.01)},
               pair.ratio);
    report.add({.id = "I2", .name = "the bare call, " + name, .metric = "time", .unit = "us"},
               pair.b.times(1e-3));
  };
  add(from_torch, compare(mlp.galley_call(), mlp.bare_call(mlp.bare), rounds));
  add(from_host, compare(mlp.galley_host_call(), mlp.bare_host_call(), rounds));
  allocation_case(report, std::string("I2: MLP 784-1024-1024-10 ") + from_torch, mlp.galley_call());
  allocation_case(report, std::string("I2: MLP 784-1024-1024-10 ") + from_host,
                  mlp.galley_host_call());
}

}  // namespace

void torch_cases(Report& report) {
  const galley::Result<void> prepared = galley::prepare_thread();
  report.check(prepared.has_value(), "this thread could not be prepared");
  Contest tiny({64, 64, 64});
  Contest larger({784, 1024, 1024, 10});
  for (Contest* mlp : {&tiny, &larger}) {
    if (const galley::Result<void> loaded = mlp->model.check(); !loaded.has_value()) {
      return report.check(false, galley::to_string(loaded.error()));
    }
    mlp->check(report);
  }
  tiny_cases(report, tiny);
  larger_cases(report, larger);
}

}  // namespace bench

#endif
