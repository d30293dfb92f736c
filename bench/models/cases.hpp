// The parts of the benchmark of models.
#pragma once

#include <support/report.hpp>

namespace bench {

/// M1, M2, M3: the fastest form for each batch, beside the plain one and the best single one.
void form_cases(Report& report);

/// M4: the fastest form for each batch, beside onnxruntime.
void onnx_cases(Report& report);

/// What lower precision buys where its error is allowed; no goal.
void precision_cases(Report& report);

/// M5: what galley adds to a bare call of an AOTInductor package.
void package_cases(Report& report);

/// M6, M7, M8: sequences with a state.
void state_cases(Report& report);

/// M9: what a safetensors file takes to load, beside reading its bytes.
void weight_cases(Report& report);

}  // namespace bench
