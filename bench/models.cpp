// What LibTorch models cost, in whatever form (issue 6: M1 … M9).
#include <galley/torch/threads.hpp>

#include <models/cases.hpp>

#include <string_view>

int main(int argc, char** argv) {
  bench::Report report("models", argc, argv);
  report.check(galley::prepare_thread().has_value(), "this thread could not be prepared");
  // sh bench/run.sh models build/bench/models.json forms: one part only.
  const std::string_view part = argc > 2 ? argv[2] : "";
  if (part.empty() || part == "forms") bench::form_cases(report);
  if (part.empty() || part == "onnx") bench::onnx_cases(report);
  if (part.empty() || part == "precision") bench::precision_cases(report);
  if (part.empty() || part == "package") bench::package_cases(report);
  if (part.empty() || part == "state") bench::state_cases(report);
  if (part.empty() || part == "weights") bench::weight_cases(report);
  return report.finish();
}
