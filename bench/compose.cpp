// What combinators cost and bring (issue 5: C1 … C7).
#include <galley/torch/threads.hpp>

#include <compose/cases.hpp>

#include <string_view>

int main(int argc, char** argv) {
  bench::Report report("compose", argc, argv);
  report.check(galley::prepare_thread().has_value(), "this thread could not be prepared");
  // sh bench/run.sh compose build/bench/compose.json ensembles: one part only.
  const std::string_view part = argc > 2 ? argv[2] : "";
  if (part.empty() || part == "joints") bench::joint_cases(report);
  if (part.empty() || part == "ensembles") bench::ensemble_cases(report);
  if (part.empty() || part == "pipelines") bench::pipeline_throughput_cases(report);
  if (part.empty() || part == "graphs") bench::graph_cases(report);
  return report.finish();
}
