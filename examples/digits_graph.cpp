// The digits behind a graph from a document: a guard, and behind it a cascade of a small network
// and an ensemble of three larger ones, with a fallback. What each part and the whole get right,
// clean and with noise, what each level answered, and what the whole costs beside the ensemble
// alone.
#include <galley/compose/cascade.hpp>
#include <galley/compose/ensemble.hpp>
#include <galley/compose/fallback.hpp>
#include <galley/galley.hpp>
#include <galley/io.hpp>
#include <galley/torch.hpp>

#include <digits.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using galley::Tensor;
using Model = galley::Servable<Tensor, Tensor>;
using Rows = galley::Rows<Tensor>;

constexpr const char* document = "examples/data/digits_graph.json";

int fail(const std::string& why) {
  std::printf("%s\n", why.c_str());
  return 1;
}

/// The digits as the networks see them, with normal noise of this deviation added.
Rows images_of(const std::vector<digits::Digit>& all, double noise) {
  std::mt19937 random(1);
  std::normal_distribution<double> draw(0, noise > 0 ? noise : 1);
  std::vector<Tensor> images;
  for (const digits::Digit& digit : all) {
    std::array<float, digits::pixel_count> pixels{};
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      const double ink = static_cast<double>(digit.pixels[i]) / digits::max_ink;
      pixels[i] = static_cast<float>(std::clamp(ink + (noise > 0 ? draw(random) : 0), 0.0, 1.0));
    }
    images.push_back(
        *Tensor::copy_of(std::span<const float>(pixels), {1, digits::side, digits::side}));
  }
  return Rows(std::span<const Tensor>(images));
}

/// The share of rows whose highest score is the label's.
double accuracy(const Model& model, const Rows& images, const std::vector<digits::Digit>& digits) {
  const galley::Outcomes<Tensor> answers = model.serve_rows(images);
  std::size_t right = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].has_value()) continue;
    const Tensor row = *answers[i];
    const auto scores = row.span<float>();
    if (!scores.has_value()) continue;
    right += std::ranges::max_element(*scores) - scores->begin() == digits[i].label ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(digits.size());
}

double rows_per_second(const Model& model, const Rows& images) {
  const auto start = std::chrono::steady_clock::now();
  const bool ok = model.serve_rows(images).all_ok();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return ok ? static_cast<double>(images.size()) / took.count() : 0;
}

/// The median over passes of how much faster `a` is, the two taking turns.
double times_faster(const Model& a, const Model& b, const Rows& images) {
  std::vector<double> ratios;
  for (int pass = 0; pass < 60; ++pass) {
    const double of_a = rows_per_second(a, images);
    ratios.push_back(of_a / rows_per_second(b, images));
  }
  std::ranges::nth_element(ratios, ratios.begin() + 30);
  return ratios[30];
}

struct Parts {
  Model whole, small, ensemble;
  std::vector<Model> cnns;
};

int show(const Parts& parts, const std::vector<digits::Digit>& digits) {
  const Rows clean = images_of(digits, 0), noisy = images_of(digits, 0.2);
  std::printf("\naccuracy on %zu held-out images   clean    with noise\n", digits.size());
  double best = 0;
  const auto line = [&](const char* name, const Model& model, bool is_part) {
    const double of_clean = accuracy(model, clean, digits),
                 of_noisy = accuracy(model, noisy, digits);
    std::printf("  %-28s %.4f   %.4f\n", name, of_clean, of_noisy);
    if (is_part) best = std::max(best, of_clean);
    return of_clean;
  };
  line("small network", parts.small, true);
  for (const Model& cnn : parts.cnns) line(cnn.name().c_str(), cnn, true);
  line("ensemble of the three", parts.ensemble, true);
  const double whole = line("the whole graph", parts.whole, false);

  galley::ChainStatistics taken;
  const std::string cascade =
      "fallback(cascade(small, ensemble(cnn1, cnn2, cnn3)), unknown)/"
      "cascade(small, ensemble(cnn1, cnn2, cnn3))";
  if (auto said = parts.whole.control(cascade, taken); !said) return fail(to_string(said.error()));
  const double share =
      static_cast<double>(taken.levels[0].answered) / static_cast<double>(taken.levels[0].rows);
  std::printf("\n");
  for (const auto& level : taken.levels) {
    std::printf("  %-28s answered %llu of %llu rows\n", level.name.c_str(),
                static_cast<unsigned long long>(level.answered),
                static_cast<unsigned long long>(taken.levels[0].rows));
  }
  std::vector<Tensor> spoiled{clean[0]};
  spoiled.push_back(*Tensor::copy_of(std::span<const float>(std::array<float, 64>{2}), {1, 8, 8}));
  const auto refused = parts.whole.serve_rows(Rows(std::span<const Tensor>(spoiled)));
  std::printf("  a bad row: %s\n", to_string(refused[1].error()).c_str());

  const double faster = times_faster(parts.whole, parts.ensemble, clean);
  std::printf("  the graph is %.2f times as fast as the ensemble alone\n\n", faster);
  std::printf("%s\n", galley::to_mermaid(parts.whole.describe()).c_str());
  if (whole < best - 0.005) return fail("the whole is less right than its best part");
  if (share < 0.5) return fail("the small network answered less than half");
  if (faster < 1.5) return fail("the whole is not 1.5 times as fast as the ensemble alone");
  return 0;
}

int run(std::span<char*> files) {
  const digits::Loaded loaded = digits::read("examples/data/digits.csv");
  if (!loaded.error.empty()) return fail(loaded.error);
  std::vector<Model> models;
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto model = galley::torch_script(
        files[i], {.name = i == 0 ? "small" : "cnn" + std::to_string(i),
                   .inputs = {{"pixels", galley::f32, {1, digits::side, digits::side}}},
                   .warm_batches = {1, 32}});
    if (!model) return fail(galley::to_string(model.error()));
    models.push_back(*std::move(model));
  }
  const std::array<float, digits::class_count> nothing{};
  galley::Registry registry;
  for (const Model& model : models) registry.add(model.name(), model);
  registry.add("unknown",
               galley::constant<Tensor>("unknown", *Tensor::copy_of(std::span<const float>(nothing),
                                                                    {digits::class_count})));
  const auto graph = galley::load_graph_file<Tensor, Tensor>(document, registry);
  if (!graph) return fail(galley::to_string(graph.error()));
  if (auto ready = graph->prepare(); !ready) return fail(galley::to_string(ready.error()));
  std::printf("%s:\n%s\n", document, galley::print_graph(*graph).c_str());
  const std::vector<Model> cnns(models.begin() + 1, models.end());
  return show({*graph, models[0], galley::ensemble(galley::SoftVote{}, cnns), cnns},
              digits::split(loaded.digits).held_out);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return fail("usage: digits_graph SMALL.pt CNN.pt CNN.pt CNN.pt");
  if (auto ready = galley::prepare_thread(); !ready) return fail(to_string(ready.error()));
  return run(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
}
