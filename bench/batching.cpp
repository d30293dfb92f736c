// What batching costs and brings (issue 4: B1 … B15).
#include <galley/torch/threads.hpp>

#include <batching/cases.hpp>

#include <string_view>

int main(int argc, char** argv) {
  bench::Report report("batching", argc, argv);
  report.check(galley::prepare_thread().has_value(), "this thread could not be prepared");
  std::vector<bench::Subject> subjects = bench::subjects(report);
  // sh bench/run.sh batching build/bench/batching.json clients: one part only.
  const std::string_view part = argc > 2 ? argv[2] : "";
  if (part.empty() || part == "alone") bench::alone_cases(report, subjects);
  if (part.empty() || part == "clients") bench::client_cases(report, subjects);
  if (part.empty() || part == "saturated") bench::saturated_cases(report, subjects);
  if (part.empty() || part == "open") {
    bench::open_cases(report, subjects);
    bench::overload_cases(report, subjects);
  }
  if (part.empty() || part == "rivals") bench::rival_cases(report, subjects);
  if (part.empty() || part == "memory") bench::memory_cases(report, subjects);
  return report.finish();
}
