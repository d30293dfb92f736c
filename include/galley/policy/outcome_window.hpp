// OutcomeWindow: how many of the latest rows failed.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace galley::inline v1 {

/// The latest rows, by tenths: as the first row of a new tenth comes, the oldest is forgotten. So
/// once that many rows were seen it holds between nine tenths of its size and all of it.
///
/// Threads  thread-compatible
/// Cost     O(1); a few words, whatever the size
class OutcomeWindow {
 public:
  /// Of `size` rows, at least one.
  explicit OutcomeWindow(std::size_t size) noexcept
      : size_(std::max<std::uint64_t>(size, 1)),
        tenth_((size_ + most_slices - 1) / most_slices),
        count_((size_ + tenth_ - 1) / tenth_) {}

  /// `rows` more, of which so many failed; in which order is not known.
  void add(std::uint64_t rows, std::uint64_t failures) noexcept {
    if (rows > size_) {  // more than it holds: the same share
      failures = share(failures, size_, rows);
      rows = size_;
    }
    while (rows > 0) {
      if (slices_[at_].rows == tenth_) {
        at_ = (at_ + 1) % count_;
        slices_[at_] = {};
      }
      Slice& now = slices_[at_];
      const std::uint64_t part = std::min(rows, tenth_ - now.rows);
      const std::uint64_t failed = share(failures, part, rows);
      now.rows += part;
      now.failures += failed;
      rows -= part;
      failures -= failed;
    }
  }

  std::uint64_t rows() const noexcept { return total(&Slice::rows); }
  std::uint64_t failures() const noexcept { return total(&Slice::failures); }
  void clear() noexcept { slices_ = {}; }

 private:
  static constexpr std::size_t most_slices = 10;
  struct Slice {
    std::uint64_t rows = 0;
    std::uint64_t failures = 0;
  };

  /// part / whole of `number`, to the nearest.
  static std::uint64_t share(std::uint64_t number, std::uint64_t part,
                             std::uint64_t whole) noexcept {
    if (part == whole) return number;
    const double exact =
        static_cast<double>(number) * static_cast<double>(part) / static_cast<double>(whole);
    return std::min(static_cast<std::uint64_t>(std::llround(exact)), part);
  }
  std::uint64_t total(std::uint64_t Slice::*figure) const noexcept {
    std::uint64_t all = 0;
    for (const Slice& slice : slices_) all += slice.*figure;
    return all;
  }

  std::uint64_t size_;
  std::uint64_t tenth_;
  std::size_t count_;
  std::array<Slice, most_slices> slices_{};
  std::size_t at_ = 0;
};

}  // namespace galley::inline v1
