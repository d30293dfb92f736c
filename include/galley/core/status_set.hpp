// StatusSet: some of the statuses, such as those worth another try.
#pragma once

#include <galley/core/status.hpp>

#include <cstdint>
#include <initializer_list>
#include <string>

namespace galley::inline v1 {

/// A set of statuses, named by listing them: `{Status::unavailable, Status::resource_exhausted}`.
///
/// A value of four bytes.
class StatusSet {
 public:
  /// No status.
  constexpr StatusSet() = default;

  constexpr StatusSet(std::initializer_list<Status> statuses) noexcept {
    for (const Status status : statuses) bits_ |= bit(status);
  }

  constexpr bool contains(Status status) const noexcept { return (bits_ & bit(status)) != 0; }
  constexpr bool empty() const noexcept { return bits_ == 0; }

  /// Those of either.
  friend constexpr StatusSet operator|(StatusSet a, StatusSet b) noexcept {
    a.bits_ |= b.bits_;
    return a;
  }
  friend constexpr bool operator==(StatusSet, StatusSet) = default;

 private:
  static constexpr std::uint32_t bit(Status status) noexcept {
    return std::uint32_t{1} << static_cast<unsigned>(status);
  }

  std::uint32_t bits_ = 0;
};

/// The names, in the order of the enumerators: "unavailable, internal"; "none" where it is empty.
inline std::string to_string(StatusSet set) {
  std::string text;
  for (unsigned i = 0; i <= static_cast<unsigned>(Status::internal); ++i) {
    const auto status = static_cast<Status>(i);
    if (set.contains(status)) text.append(text.empty() ? "" : ", ").append(to_string(status));
  }
  return text.empty() ? "none" : text;
}

}  // namespace galley::inline v1
