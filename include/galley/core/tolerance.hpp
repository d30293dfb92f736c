// Tolerance: how far equal answers may lie apart.
#pragma once

namespace galley::inline v1 {

/// How far two answers to one row may lie apart: |a - b| <= absolute + relative * |b|. Loosen it
/// for models that answer in 16 bits.
struct Tolerance {
  double absolute = 1e-5;
  double relative = 1e-4;
  friend bool operator==(const Tolerance&, const Tolerance&) = default;
};

}  // namespace galley::inline v1
