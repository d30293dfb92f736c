// How far two answers may lie apart, as documents say it.
#pragma once

#include <galley/core/tolerance.hpp>
#include <galley/io/fields.hpp>

namespace galley::inline v1::io {

template <>
struct Described<Tolerance> {
  static Fields<Tolerance> fields();
};

}  // namespace galley::inline v1::io
