// Every batch and admission policy in virtual time, beside other systems' and what could have been.
#include <support/report.hpp>

#include <sim/goals.hpp>
#include <sim/runner.hpp>

#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>

namespace {

using bench::sim::Curve;
using bench::sim::Process;
using bench::sim::Runner;

void print_tables(Runner& runner, std::initializer_list<Process> processes) {
  for (const Curve& curve : bench::sim::curves()) {
    for (const Process process : processes) print_latencies(runner, curve, process, 1);
    print_closed_loop(runner, curve);
    print_goodput(runner, curve);
  }
  print_latencies(runner, bench::sim::curves().front(), Process::poisson, 2);
}

/// The tables of short runs, which are compared with expected.txt.
int print_short() {
  Runner runner(12'000);
  runner.check_audit();
  print_tables(runner, {Process::poisson});
  for (const std::string& fault : runner.faults()) std::printf("WRONG: %s\n", fault.c_str());
  return runner.faults().empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--short") return print_short();
  bench::Report report("sim", argc, argv);
  Runner runner(100'000);
  bench::sim::report_goals(report, runner);
  runner.check_audit();
  print_tables(runner, {Process::poisson, Process::bursty, Process::constant});
  for (const std::string& fault : runner.faults()) report.check(false, fault);
  std::printf("\n%zu runs\n", runner.runs());
  return report.finish();
}
