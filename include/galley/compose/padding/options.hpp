// What may be said of padding, and asked of it.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/shape.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/core/time.hpp>
#include <galley/core/tolerance.hpp>
#include <galley/core/traits.hpp>
#include <galley/policy/padding.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// How `padded` pads.
struct Padding {
  /// How it is known that a padded row is answered as the row itself.
  enum class Check : std::uint8_t {
    samples,  ///< `prepare` compares the answers to `samples`; until it has, no row is served.
    trust,    ///< The caller vouches for it; samples are not looked at.
  };
  /// Whether rows may be filled up to more than the least length they fit.
  enum class Merge : std::uint8_t {
    when_cheaper,  ///< Where it is measured to take less time. Needs a servable that waits for
                   ///< nobody.
    never,         ///< One row, one padding: answers are bit-equal from call to call.
  };

  /// The lengths that rows are filled up to, ascending (`geometric_lengths`). A row longer than the
  /// last is refused.
  std::vector<std::size_t> lengths = {};
  /// The axis of a row whose length varies.
  std::size_t axis = 0;
  /// What rows are filled up with.
  double value = 0;
  /// The axis of an answer that is as long as the padded row, to be cut back to the row's own
  /// length. For answers that are tensors.
  std::optional<std::size_t> output_axis = {};
  /// For a servable of named tensors: what the padded row and its mask are called.
  std::string input = "input";
  std::string mask = "mask";

  Check check = Check::samples;
  /// Rows like those to be served, of several lengths; one of them shorter than the first length.
  Rows<Tensor> samples = {};
  /// How far an answer to a padded sample may lie from that to the sample itself.
  Tolerance tolerance = {};

  Merge merge = Merge::when_cheaper;
  /// Where the time is read that merging is decided by.
  Clock clock = {};
};

/// What was filled up to one length.
struct PaddedLengthStatistics {
  std::size_t length = 0;
  std::uint64_t calls = 0;
  std::uint64_t rows = 0;
  std::uint64_t merged = 0;  ///< Of those, rows that fit a lesser length.
};

/// What padding counts: `servable.control(path, statistics)` fills it in.
struct PaddingStatistics {
  std::uint64_t rows = 0;      ///< Handed on.
  std::uint64_t elements = 0;  ///< Handed on, filling included.
  std::uint64_t filling = 0;   ///< Of those, elements that no row had.
  std::vector<PaddedLengthStatistics> lengths;

  /// Which part of what was handed on was filling.
  double filling_share() const noexcept {
    return elements == 0 ? 0 : static_cast<double>(filling) / static_cast<double>(elements);
  }
};

namespace detail {

inline Result<void> check_padding(const NodeTraits& traits, const Padding& options) {
  const auto refused = [](std::string why) {
    return Error(Status::failed_precondition, std::move(why));
  };
  if (!traits.row_independent) {
    return refused("its rows depend on their neighbours: they cannot be sorted by length");
  }
  if (traits.stateful) {
    return refused("its rows depend on earlier ones: sorted by length they would change order");
  }
  const std::size_t count = options.lengths.size();
  if (count == 0 || count > max_padded_lengths) {
    return refused("options.lengths: expected 1 to " + std::to_string(max_padded_lengths) +
                   " lengths, got " + std::to_string(count));
  }
  std::size_t before = 0;
  for (const std::size_t length : options.lengths) {
    if (length <= before) {
      return refused("options.lengths: expected ascending lengths from 1, got " +
                     std::to_string(length) + " after " + std::to_string(before));
    }
    before = length;
  }
  if (options.axis >= Shape::max_rank - 1) {
    return refused("options.axis: expected at most " + std::to_string(Shape::max_rank - 2) +
                   ", got " + std::to_string(options.axis));
  }
  if (options.check == Padding::Check::trust) return {};
  if (options.samples.empty()) {
    return refused(
        "options.samples: expected rows to check on that padding does not change an answer, got "
        "none; who vouches for it says Padding::Check::trust");
  }
  if (traits.versioned) {
    return refused(
        "versions published later would serve unchecked: put the slot around it, "
        "slot(padded(...)), or vouch for all of them with Padding::Check::trust");
  }
  if (!traits.deterministic) {
    return refused(
        "equal rows may be answered otherwise, so that samples show nothing: vouch for it with "
        "Padding::Check::trust");
  }
  return {};
}

}  // namespace detail

}  // namespace galley::inline v1
