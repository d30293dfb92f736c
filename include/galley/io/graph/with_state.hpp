// "with_state": a model that takes a state and gives the next one, as a servable of sequences.
#pragma once

#include <galley/compose/with_state.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/servable.hpp>
#include <galley/io/fields.hpp>

#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

template <>
struct Described<SequenceStart> {
  static std::vector<std::pair<std::string, SequenceStart>> choices() {
    return {{"first_row", SequenceStart::first_row}, {"asked", SequenceStart::asked}};
  }
};
template <>
struct Described<StateTensor> {
  static Fields<StateTensor> fields();
};
template <>
struct Described<StateOptions> {
  static Fields<StateOptions> fields();
};

/// Its rows have one type, so that it is compiled in the library, for every registry.
struct WithStateKind {
  Required<Servable<NamedTensors, NamedTensors>> of;
  Required<StateOptions> options;

  static Fields<WithStateKind> fields();
  Servable<NamedTensors, NamedTensors> make() &&;
};

}  // namespace galley::inline v1::io
