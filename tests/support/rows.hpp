// Row types that tests share: one that can only be moved, one that wants a wide alignment, one that
// is kept as a struct of arrays, and one whose copies are counted.
#pragma once

#include <galley/core/rows.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace support {

/// A row that can only be moved; moved-from, it has no value.
struct MoveOnly {
  explicit MoveOnly(int of) : value(std::make_unique<int>(of)) {}
  int get() const { return value == nullptr ? -1 : *value; }
  std::unique_ptr<int> value;
};

/// A row that vector instructions would load at once.
struct alignas(64) Wide {
  int value = 0;
  friend bool operator==(const Wide&, const Wide&) = default;
};

/// A row that counts its copies, over all rows.
struct Counted {
  explicit Counted(int of) : value(of) {}
  Counted(const Counted& other) : value(other.value) { ++copies; }
  Counted(Counted&& other) noexcept : value(std::exchange(other.value, -1)) {}
  Counted& operator=(const Counted& other) {
    value = other.value;
    ++copies;
    return *this;
  }
  Counted& operator=(Counted&& other) noexcept {
    value = std::exchange(other.value, -1);
    return *this;
  }
  ~Counted() = default;
  friend bool operator==(const Counted& a, const Counted& b) { return a.value == b.value; }
  int value;
  static inline int copies = 0;
};

/// A row that batches as one array per member.
struct Particle {
  float x = 0;
  int id = 0;
  friend bool operator==(const Particle&, const Particle&) = default;
};

}  // namespace support

/// Particles, as a user would batch them: one array of places, one of numbers.
template <>
class galley::Rows<support::Particle> {
 public:
  using value_type = support::Particle;

  static Rows single(support::Particle row) {
    Rows rows;
    rows.push_back(row);
    return rows;
  }
  std::size_t size() const noexcept { return ids_.size(); }
  bool empty() const noexcept { return ids_.empty(); }
  support::Particle operator[](std::size_t i) const { return {xs_[i], ids_[i]}; }
  void reserve(std::size_t n) {
    xs_.reserve(n);
    ids_.reserve(n);
  }
  void push_back(support::Particle row) {
    xs_.push_back(row.x);
    ids_.push_back(row.id);
  }
  Rows select(std::span<const RowIndex> indices, Workspace* = nullptr) const {
    Rows chosen;
    chosen.reserve(indices.size());
    for (RowIndex i : indices) chosen.push_back((*this)[i]);
    return chosen;
  }
  Rows slice(std::size_t first, std::size_t count, Workspace* = nullptr) const {
    Rows part;
    part.reserve(count);
    for (std::size_t i = first; i < first + count; ++i) part.push_back((*this)[i]);
    return part;
  }
  static Rows concatenate(std::span<Rows> parts, Workspace* = nullptr) {
    Rows all;
    for (const Rows& part : parts) {
      for (std::size_t i = 0; i < part.size(); ++i) all.push_back(part[i]);
    }
    return all;
  }
  /// All the places, side by side: why one would batch so.
  std::span<const float> xs() const noexcept { return xs_; }

 private:
  std::vector<float> xs_;
  std::vector<int> ids_;
};
