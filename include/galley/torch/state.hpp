// ModuleState: a TorchScript module that keeps a state within itself, as a servable of sequences.
#pragma once

#include <galley/compose/stateful/options.hpp>
#include <galley/core/time.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace galley::inline v1 {

/// What may be said of a module that changes its own attributes: `options.state` of `torch_script`.
///
/// Each sequence, named by the rows' keys, has a copy of the attributes that change; all else is
/// shared. These attributes are found: what the method and the reset method assign to, also within
/// submodules, and what other bytes are in after sample rows were run. A row is a call of one row;
/// rows of one sequence are computed in their order, sequences on several threads at once. A row
/// that fails, is cancelled or late leaves its sequence's state as it was. `StartSequence`,
/// `ResetSequence`, `EndSequence` and `SequenceStatistics` are answered as by `with_state`.
///
/// What a module that is not frozen writes in place in a branch that no sample takes cannot be
/// found: name it in `attributes`, or all sequences share it.
///
/// The state before the first row is what the module was saved with, or what its reset method
/// leaves of that: it is called once, when the module is loaded, and `ResetSequence` brings back
/// what it left. A module that answers otherwise after it than at first is refused.
///
/// Cost  a row: the call, and a copy of the state and of the row; a sequence: the attributes that
///       change, and some 100 bytes and 16 for each attribute of the modules that have such
struct ModuleState {
  /// The method that takes the module back to its beginning, all of whose arguments have defaults;
  /// where it is empty, a sequence begins with what the module was saved with.
  std::string reset = {};
  /// Attributes that change beside those that are found, as "lstm.hidden".
  std::vector<std::string> attributes = {};
  SequenceStart start = SequenceStart::first_row;
  /// Sequences that may be known at once, at least one. Beyond it new ones are refused.
  std::size_t max_sequences = 4096;
  /// A sequence that had no row for so long is forgotten.
  Duration expiry = std::chrono::minutes(10);
  /// Where that is read.
  Clock clock = {};
};

}  // namespace galley::inline v1
