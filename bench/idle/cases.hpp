// The parts of the idle benchmark.
#pragma once

#include <support/allocations.hpp>
#include <support/report.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace bench {

/// I3, I4, I5: pipelines of trivial maps, synchronous and not.
void pipeline_cases(Report& report);

/// I7: what reading a slot adds.
void slot_cases(Report& report);

/// I8: what including the umbrella costs a host.
void umbrella_cases(Report& report);

/// I1, I2: one LibTorch model, galley against the bare call. Says so where LibTorch is not built
/// in.
void torch_cases(Report& report);

/// I6: our allocations per call on one path; LibTorch's own are apart.
template <class Galley>
void allocation_case(Report& report, std::string path, Galley&& galley) {
  constexpr std::size_t calls = 1000;
  const Allocations all = count_allocations(std::forward<Galley>(galley), calls);
  const double per_call = static_cast<double>(all.by_program) / calls;
  if (all.count > all.by_program) {
    path += "; LibTorch's " + std::to_string((all.count - all.by_program) / calls) + " are apart";
  }
  report.add({.id = "I6",
              .name = std::move(path),
              .metric = "allocations per call",
              .unit = "",
              .goal = Goal::at_most(0)},
             per_call);
}

}  // namespace bench
