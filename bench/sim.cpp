// Every batch and admission policy in virtual time, beside other systems' and what could have been.
#include <support/report.hpp>

#include <sim/goals.hpp>
#include <sim/runner.hpp>

#include <cstdio>
#include <string_view>

namespace {

using bench::sim::Curve;
using bench::sim::Process;
using bench::sim::Runner;

void print_tables(Runner& runner) {
  for (const Curve& curve : bench::sim::curves()) {
    print_latencies(runner, curve, Process::poisson, 1);
    print_latencies(runner, curve, Process::bursty, 1);
    print_latencies(runner, curve, Process::constant, 1);
    print_closed_loop(runner, curve);
    print_goodput(runner, curve);
  }
  print_latencies(runner, bench::sim::curves().front(), Process::poisson, 2);
}

/// The tables of short runs, which are compared with expected.txt.
int print_short() {
  Runner runner(4000);
  print_tables(runner);
  for (const std::string& fault : runner.faults()) std::printf("WRONG: %s\n", fault.c_str());
  return runner.faults().empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--short") return print_short();
  bench::Report report("sim", argc, argv);
  Runner runner(60'000);
  bench::sim::report_goals(report, runner);
  print_tables(runner);
  for (const std::string& fault : runner.faults()) report.check(false, fault);
  std::printf("\n%zu runs\n", runner.runs());
  return report.finish();
}
