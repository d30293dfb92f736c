// What is asked of galley's policies.
#pragma once

#include <support/report.hpp>

#include <sim/runner.hpp>

namespace bench::sim {

/// B11, B12, B13 of the simulation, in the report.
void report_goals(Report& report, Runner& runner);

}  // namespace bench::sim
