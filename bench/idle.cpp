// What a call through galley adds to an idle program (issue 3: I1 … I8).
#include <support/allocations.hpp>
#include <support/report.hpp>

#include <idle/cases.hpp>

#include <cstdlib>

namespace {

/// A hook that counts nothing would meet every goal.
void check_hook(bench::Report& report) {
  if (!bench::can_count_allocations()) return;
  const bench::Allocations one = bench::count_allocations(
      [] {
        void* memory = std::malloc(24);
        bench::do_not_optimise(memory);
        std::free(memory);
        auto* object = new int(1);
        bench::do_not_optimise(object);
        delete object;
      },
      10);
  report.check(one.count == 20, "the allocation hook misses malloc or operator new");
  report.check(one.by_program == 20, "the allocation hook does not know the program's own code");
}

}  // namespace

int main(int argc, char** argv) {
  bench::Report report("idle", argc, argv);
  if (!bench::can_count_allocations()) report.say("Allocations cannot be counted in this build.");
  check_hook(report);
  bench::torch_cases(report);
  bench::pipeline_cases(report);
  bench::slot_cases(report);
  bench::umbrella_cases(report);
  return report.finish();
}
