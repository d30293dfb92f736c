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
  /// a scale; activations in each call, to each row a scale, so that a row's answer is bit for bit
  /// the same among whatever others.
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
/// On two cores with AVX-512 an MLP 784-512-512-10 takes about half the time of the float32 one for
/// batches of 64 in either of bf16 and int8, and bf16 is slower than float32 for one row.
struct ReducedForms {
  /// None unless named here. Of a package the precision is what it was exported in.
  std::vector<Reduction> tried = {};
  /// How far their answers may lie from the model's. It must be set where `tried` names any.
  Tolerance error = {.absolute = 0, .relative = 0};
};

}  // namespace galley::inline v1
