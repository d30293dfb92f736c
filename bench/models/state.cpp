#include <galley/compose/with_state.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/torch/script.hpp>
#include <galley/torch/tensor.hpp>

#include <support/allocations.hpp>
#include <support/models.hpp>
#include <support/timing.hpp>

#include <malloc.h>
#include <models/cases.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace bench {

namespace {

using Model = galley::Servable<galley::NamedTensors, galley::NamedTensors>;
using Rows = galley::Rows<galley::NamedTensors>;

constexpr std::int64_t wide = 128;
constexpr std::size_t streams = 64;

/// A GRU cell: x [n, features], h [n, units] -> y [n, 10], next [n, units].
std::string gru_file(std::int64_t features, std::int64_t units) {
  torch::manual_seed(1);
  torch::jit::Module module("gru");
  const auto add = [&module](const char* name, at::IntArrayRef shape) {
    module.register_parameter(name, torch::randn(shape) * 0.1, false);
  };
  add("w", {3 * units, features});
  add("u", {3 * units, units});
  add("b", {3 * units});
  add("c", {3 * units});
  add("out", {10, units});
  module.define(R"(
def forward(self, x: Tensor, h: Tensor) -> Dict[str, Tensor]:
    next = torch.gru_cell(x, h, self.w, self.u, self.b, self.c)
    return {"y": torch.linear(next, self.out), "next": next}
)");
  module.eval();
  std::ostringstream file;
  module.save(file);
  return file.str();
}

galley::StateOptions state() {
  return {.tensors = {{"h", "next"}}};
}

/// A model that answers at once with `answer`, of which each row is a state: what remains is ours.
/// Where `given` is not null, it keeps there the states that it was given last.
Model echo(galley::Tensor answer, std::shared_ptr<galley::Tensor> given = nullptr) {
  return Model("echo", [answer, given](const Rows& rows) {
    if (given != nullptr) *given = *(*rows.column("h"))->block();
    const auto block = *galley::Rows<galley::Tensor>::of_block(answer.slice(0, rows.size()));
    return *Rows::of_columns({{"y", block}, {"next", block}});
  });
}

/// A state for each stream, no two alike.
galley::Tensor states() {
  const auto count = static_cast<std::int64_t>(streams) * wide;
  return *galley::from_torch(at::sin(at::arange(count)).to(at::kFloat).view({-1, wide}));
}

Rows inputs(std::size_t count, std::int64_t features) {
  const at::Tensor x = at::sin(at::arange(static_cast<std::int64_t>(count) * features))
                           .to(at::kFloat)
                           .view({static_cast<std::int64_t>(count), features});
  return *Rows::of_columns({{"x", *galley::rows_from_torch(x)}});
}

std::vector<galley::Key> keys(std::size_t first, std::size_t count) {
  std::vector<galley::Key> all(count);
  std::iota(all.begin(), all.end(), galley::Key{first});
  return all;
}

/// M6: 64 sequences in one call, or one sequence a call.
void together_case(Report& report, std::int64_t features, std::int64_t units) {
  const std::string file = gru_file(features, units);
  const auto model = galley::torch_script<galley::NamedTensors, galley::NamedTensors>(
      std::as_bytes(std::span(file.data(), file.size())),
      {.name = "gru", .inputs = {{"x", galley::f32, {features}}, {"h", galley::f32, {units}}}});
  report.check(model.has_value(), "the GRU could not be loaded");
  if (!model.has_value()) return;
  const Model together = galley::with_state(*model, state());
  const Model apart = galley::with_state(*model, state());
  report.check(together.prepare().has_value(), "the GRU could not be prepared");
  const c10::InferenceMode guard;
  const Rows all = inputs(streams, features);
  const auto all_keys = keys(0, streams);
  std::vector<Rows> single;
  for (std::size_t i = 0; i < streams; ++i) single.push_back(all.slice(i, 1));
  const auto step_all = [&] { return together.serve_rows(all, {}, {.keys = all_keys}); };
  const auto step_one = [&](std::size_t i) {
    return apart.serve_rows(single[i], {}, {.keys = std::span(all_keys).subspan(i, 1)});
  };
  for (int step = 0; step < 5; ++step) {  // the states go on, so this looks at all steps so far
    const auto outcomes = step_all();
    bool right = outcomes.all_ok();
    for (std::size_t i = 0; i < streams; ++i) {
      const auto one = step_one(i);
      right = right && one.all_ok() &&
              at::allclose(*galley::to_torch(*(*one[0]).find("y")),
                           *galley::to_torch(*(*outcomes[i]).find("y")), 1e-3, 1e-4);
    }
    report.check(right, "sequences together are not what they are apart");
  }
  auto run_together = [&] { static_cast<void>(step_all()); };
  auto run_apart = [&] {
    for (std::size_t i = 0; i < streams; ++i) static_cast<void>(step_one(i));
  };
  const Paired paired = compare(run_apart, run_together, Rounds{.pairs = 100});
  report.add({.id = "M6",
              .name = "GRU of " + std::to_string(units) + " units on " + std::to_string(features) +
                      " numbers, 64 sequences in a call over one in a call (" +
                      std::to_string(static_cast<int>(paired.b.median / 1000)) + " us)",
              .metric = "rows per second ratio",
              .unit = "",
              .goal = Goal::at_least(10)},
             paired.ratio);
}

/// M7: what a step adds to the model's call.
void step_case(Report& report) {
  const Rows all = inputs(streams, 32);
  const auto all_keys = keys(0, streams);
  galley::StateOptions options = state();
  options.tensors.front().initial = *galley::Tensor::zeros(galley::f32, {wide});
  const auto given = std::make_shared<galley::Tensor>();
  const Model watched = galley::with_state(echo(states(), given), options);
  for (int step = 0; step < 2; ++step) {
    const auto outcomes = watched.serve_rows(all, {}, {.keys = all_keys});
    report.check(outcomes.all_ok(), "the echo does not answer");
  }
  report.check(*given == states(), "a step was not given the states of the one before");

  const Model alone = echo(states());
  const Model kept = galley::with_state(echo(states()), options);
  auto run_kept = [&] { static_cast<void>(kept.serve_rows(all, {}, {.keys = all_keys})); };
  auto run_alone = [&] { static_cast<void>(alone.serve_rows(all)); };
  const Paired paired = compare(run_kept, run_alone, Rounds());
  report.add({.id = "M7",
              .name = "a step of 64 sequences of 128 floats: looked up, gathered, scattered",
              .metric = "paired difference",
              .unit = "us",
              .goal = Goal::at_most(5)},
             paired.difference.times(1e-3));
}

std::size_t heap() {
  return mallinfo2().uordblks;
}

/// M8: memory of a sequence, and after many.
void memory_case(Report& report) {
  galley::StateOptions options = state();
  options.tensors.front().initial = *galley::Tensor::zeros(galley::f32, {wide});
  options.max_sequences = 4096;
  const Model kept = galley::with_state(echo(states()), options);
  const Rows row = inputs(1, 32);
  const auto step = [&](galley::Key key) {
    const std::array one{key};
    report.check(kept.serve_rows(row, {}, {.keys = one}).all_ok(), "a step failed");
  };
  constexpr std::size_t many = 4000;
  step(0);
  const std::size_t before = heap();
  for (galley::Key key = 1; key <= many; ++key) step(key);
  const double each = static_cast<double>(heap() - before) / static_cast<double>(many);
  report.add({.id = "M8",
              .name = "one more sequence, beyond its state of " +
                      std::to_string(wide * sizeof(float)) + " bytes",
              .metric = "memory",
              .unit = "B",
              .goal = Goal::at_most(4096)},
             each - static_cast<double>(wide * sizeof(float)));
  const auto end = [&](galley::Key key) {
    galley::EndSequence request{key};
    report.check(kept.control("", request).has_value(), "a sequence could not be ended");
  };
  for (galley::Key key = 0; key <= many; ++key) end(key);
  constexpr galley::Key sequences = 100'000;
  std::size_t at_first = 0;
  for (galley::Key key = 0; key < sequences; ++key) {
    step(key);
    step(key);
    end(key);
    if (key == sequences / 10) at_first = heap();
  }
  report.add({.id = "M8",
              .name = "10^5 sequences started and ended, after the first 10^4",
              .metric = "heap growth",
              .unit = "KB",
              .goal = Goal::at_most(1)},
             (static_cast<double>(heap()) - static_cast<double>(at_first)) / 1024);
}

}  // namespace

void state_cases(Report& report) {
  together_case(report, 8, 64);  // that of examples/gru.cpp
  together_case(report, 32, wide);
  step_case(report);
  memory_case(report);
}

}  // namespace bench
