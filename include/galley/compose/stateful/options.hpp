// What may be said of a model's state, and asked of its sequences.
#pragma once

#include <galley/core/context.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/time.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace galley::inline v1 {

/// A tensor that a model gives for the next step of a sequence: its output `output` is its input
/// `input` then.
struct StateTensor {
  std::string input = {};
  std::string output = {};
  Tensor initial = {};  ///< Before the first step; zeros where it is undefined.
};

/// When a sequence begins.
enum class SequenceStart : std::uint8_t {
  first_row,  ///< With the first row of its key.
  asked,      ///< With `StartSequence`; rows of other keys are refused.
};

/// How a servable's state is kept.
struct StateOptions {
  std::vector<StateTensor> tensors = {};
  SequenceStart start = SequenceStart::first_row;
  /// Sequences that may be known at once, at least one. Beyond it new ones are refused.
  std::size_t max_sequences = 4096;
  /// A sequence that had no row for so long is forgotten.
  Duration expiry = std::chrono::minutes(10);
  /// Where that is read.
  Clock clock = {};
};

/// Begins a sequence: `servable.control(path, start)`.
///
/// Errors  failed_precondition: it is known already; resource_exhausted: there are as many as may
///         be
struct StartSequence {
  Key key = 0;
};

/// Takes a sequence back to the state before its first row, once no row of it is computed.
///
/// Errors  not_found: no such sequence
struct ResetSequence {
  Key key = 0;
};

/// Forgets a sequence, once no row of it is computed.
///
/// Errors  not_found: no such sequence
struct EndSequence {
  Key key = 0;
};

/// Answered to `control` by what keeps sequences.
struct SequenceStatistics {
  std::size_t sequences = 0;  ///< Known now.
  std::uint64_t started = 0;
  std::uint64_t ended = 0;  ///< As was asked.
  std::uint64_t expired = 0;
  std::uint64_t refused = 0;  ///< Rows: no such sequence, or no room for it.
};

}  // namespace galley::inline v1
