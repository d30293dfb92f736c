#include <galley/compose/cascade.hpp>
#include <galley/compose/ensemble.hpp>
#include <galley/compose/guard.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/compose/route.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/policy/accept/confident.hpp>
#include <galley/policy/check/finite.hpp>
#include <galley/runtime/thread_pool.hpp>
#include <galley/torch/script.hpp>

#include <support/models.hpp>
#include <support/timing.hpp>

#include <compose/cases.hpp>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace bench {

namespace {

using Model = galley::Servable<galley::Tensor, galley::Tensor>;
using Rows = galley::Rows<galley::Tensor>;

Model mlp(Report& report, const std::string& name) {
  const std::string file = mlp_file({64, 64, 64});
  galley::Result<Model> model = galley::torch_script(
      std::as_bytes(std::span(file)),
      {.name = name, .inputs = {{"x", galley::f32, {64}}}, .forms = {.tried = {}}});
  report.check(model.has_value(), name + " could not be loaded");
  return model.has_value() ? *std::move(model) : Model::broken(name, model.error());
}

Rows thousand_rows() {
  std::mt19937 random(1);
  std::normal_distribution<float> draw;
  std::vector<galley::Tensor> rows;
  for (int i = 0; i < 1000; ++i) {
    std::vector<float> row(64);
    for (float& x : row) x = draw(random);
    if (i % 50 == 7) row[3] = std::nanf("");
    rows.push_back(*galley::Tensor::copy_of(std::span(row), {64}));
  }
  return Rows(std::span<const galley::Tensor>(rows));
}

bool near(const galley::Tensor& a, const galley::Tensor& b) {
  const auto x = a.span<float>();
  const auto y = b.span<float>();
  if (!x.has_value() || !y.has_value() || x->size() != y->size()) return false;
  for (std::size_t i = 0; i < x->size(); ++i) {
    if (!(std::abs((*x)[i] - (*y)[i]) <= 1e-4F + 1e-3F * std::abs((*y)[i]))) return false;
  }
  return true;
}

}  // namespace

void graph_cases(Report& report) {
  const Model members =
      galley::ensemble(galley::SoftVote{}, {mlp(report, "a"), mlp(report, "b"), mlp(report, "c")});
  const Model cascade = galley::cascade({mlp(report, "small"), members}, galley::confident(0.1));
  const auto rule = [](const galley::Tensor& row) -> std::size_t {
    return (*row.span<float>())[0] > 0 ? 0 : 1;
  };
  const Model graph =
      galley::guard(galley::finite(), galley::route(rule, {cascade, mlp(report, "other")}));
  const Rows rows = thousand_rows();
  std::vector<galley::Tensor> singles;
  for (std::size_t i = 0; i < rows.size(); ++i) singles.push_back(rows[i]);
  const galley::Outcomes<galley::Tensor> wanted = graph.serve_rows(rows);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < singles.size(); ++i) {
    const galley::Result<galley::Tensor> alone = graph.serve(singles[i]);
    refused += alone.has_value() ? 0 : 1;
    report.check(alone.has_value() ? wanted[i].has_value() && near(*wanted[i], *alone)
                                   : wanted[i].status() == alone.status(),
                 "a row alone and among others are answered differently");
  }
  report.check(refused == 20, "other rows than the 20 that are no numbers were refused");
  const Paired both = compare(
      [&] {
        std::size_t answered = 0;
        for (const auto& row : singles) answered += graph.serve(row).has_value() ? 1 : 0;
        report.check(answered == singles.size() - refused, "rows alone were answered wrongly");
      },
      [&] {
        const std::size_t answered = graph.serve_rows(rows).survivors().size();
        report.check(answered == rows.size() - refused, "a batch was answered wrongly");
      },
      {.pairs = 40, .slice = std::chrono::milliseconds(10)});
  report.add(
      {.id = "C6",
       .name = "guard, route, cascade, ensemble of MLP 64-64-64: 1000 rows in one batch / one "
               "by one",
       .metric = "throughput ratio",
       .unit = "",
       .goal = Goal::at_least(10)},
      both.ratio);
  report.add({.id = "-", .name = "the same in one batch", .metric = "time per row", .unit = "ns"},
             both.b.times(1e-3));
}

void pipeline_throughput_cases(Report& report) {
  constexpr std::size_t workers = 2;
  constexpr int stages = 3;
  constexpr int rows = 4'000;
  const auto spin = [](int x) {
    auto state = static_cast<std::uint64_t>(x) + 1;
    for (int i = 0; i < 40'000; ++i) state = state * 6364136223846793005U + 1442695040888963407U;
    do_not_optimise(state);
    return x + 1;
  };
  const galley::ThreadPool pool({.workers = workers});
  const auto step = galley::map("stage", spin);
  const auto pipeline = galley::on(pool, step | step | step);
  std::atomic<int> wrong{0};
  const auto galleys = [&] {
    std::latch answered(rows);  // asleep meanwhile: the cores are the workers'
    for (int i = 0; i < rows; ++i) {
      pipeline.submit(i, {}, [&, i](const galley::Result<int>& got) {
        if (!got.has_value() || *got != i + stages) ++wrong;
        answered.count_down();
      });
    }
    answered.wait();
  };
  const auto bare = [&] {
    std::vector<std::thread> threads;
    for (std::size_t w = 0; w < workers; ++w) {
      threads.emplace_back([&] {
        for (int i = 0; i < rows / static_cast<int>(workers); ++i) {
          int x = i;
          for (int s = 0; s < stages; ++s) x = spin(x);
          if (x != i + stages) ++wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  const Paired both = compare(bare, galleys, {.pairs = 30, .slice = std::chrono::milliseconds(1)});
  report.check(wrong == 0, "a pipeline answered wrongly");
  report.add({.id = "C5",
              .name = "3 stages run to completion on 2 workers / 2 bare loops",
              .metric = "throughput ratio",
              .unit = "",
              .goal = Goal::at_least(0.95)},
             both.ratio);
}

}  // namespace bench
