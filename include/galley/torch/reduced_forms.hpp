// ReducedForms: lower precisions of a model, within an error that its user allows.
#pragma once

#include <galley/core/tolerance.hpp>

#include <cstdint>
#include <vector>

namespace galley::inline v1 {

/// A lower precision in which a TorchScript model computes on a CPU.
enum class Reduction : std::uint8_t {
  /// Weights and all that is computed are bfloat16: 8 bits, the range of float32.
  bfloat16,
  /// The same in float16: 11 bits, and nothing beyond 65504.
  float16,
  /// Linear layers of float32 compute on 8-bit integers. Weights are quantised once, to each output
  /// a scale; activations in each call, to each row a scale, so that what a layer gives for a row
  /// is bit for bit the same among whatever other rows.
  ///
  /// LibTorch's own dynamic quantisation has one scale for a batch: one large row takes the
  /// precision of all. A scale for each row is the vector-wise quantisation of Dettmers, Lewis,
  /// Belkada and Zettlemoyer, "LLM.int8()", 2022, section 3.1; here it stands around LibTorch's
  /// kernel (`quantized::linear_dynamic`).
  int8_dynamic,
};

/// "bf16", "fp16", "int8 dynamic": the form's name. The 16-bit ones are tried with images' channels
/// last too: "bf16, channels last".
const char* to_string(Reduction reduction) noexcept;

/// Forms of a TorchScript model in lower precision, tried beside those of `FormOptions::tried`.
///
/// Such a form answers with another value than the model, within `error` on the samples: on other
/// rows it may be further away. So samples should be rows like those that will be served. Rows and
/// answers keep their dtypes; floating inputs, parameters and buffers are converted inside the
/// form, integers are not. A form that cannot be made or whose answers lie further away at any size
/// that is timed is not used, and `describe` says why.
///
/// On an x86 processor with AVX-512, an MLP 784-512-512-10 on 8-bit integers takes 0.35 to 0.55 of
/// the time of its fastest equal form at 1, 8 and 64 rows, and errs by up to 0.04 where answers are
/// about 1; in bfloat16 it is slower for one row, takes 0.6 at 64, and errs by up to 0.02
/// (`sh bench/run.sh models build/bench/models.json precision`).
struct ReducedForms {
  /// None unless named here. Of a package the precision is what it was exported in.
  std::vector<Reduction> tried = {};
  /// How far their answers may lie from the model's. It must be set where `tried` names any.
  Tolerance error = {.absolute = 0, .relative = 0};
};

}  // namespace galley::inline v1
