// The parts of the benchmark of combinators.
#pragma once

#include <support/report.hpp>

namespace bench {

/// C1, C2, C7: what a joint, a route, a guard, a fallback and an ensemble of one add.
void joint_cases(Report& report);

/// C3, C4: members side by side, or in turn.
void ensemble_cases(Report& report);

/// C5: stages one after another on several workers.
void pipeline_throughput_cases(Report& report);

/// C6: a thousand rows in one batch, or one by one.
void graph_cases(Report& report);

}  // namespace bench
