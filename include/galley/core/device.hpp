// Device: where a tensor's memory is and where a model runs.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/text.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace galley::inline v1 {

/// A kind of device, such as "cpu" or "cuda", and the index of one of them, or no index.
///
/// Kinds are open: any name of one to eight characters `a-z 0-9 _` is a kind, without registration.
/// Only "cpu" means something to core: host memory, which it may read.
///
/// Threads  thread-compatible
/// Cost     two words, trivially copied; comparing compares two integers
class Device {
 public:
  static constexpr std::size_t max_kind = 8;
  static constexpr std::int16_t no_index = -1;

  /// Host memory.
  constexpr Device() noexcept : kind_{'c', 'p', 'u'} {}

  /// A kind given as a literal; a longer one does not compile.
  template <std::size_t N>
    requires(N >= 2 && N <= max_kind + 1)
  constexpr explicit Device(const char (&kind)[N], std::int16_t index = no_index) noexcept
      : index_(index < 0 ? no_index : index) {
    std::copy_n(kind, N - 1, kind_.begin());
  }

  /// The device that a text such as "cpu" or "cuda:0" names.
  ///
  /// Errors  invalid_argument
  static Result<Device> parse(std::string_view text);

  /// The kind's name, looking into this device.
  constexpr std::string_view kind() const& noexcept {
    const auto end = std::find(kind_.begin(), kind_.end(), '\0');
    return {kind_.data(), static_cast<std::size_t>(end - kind_.begin())};
  }
  std::string_view kind() const&& = delete;

  /// Which one of its kind, or `no_index`.
  constexpr std::int16_t index() const noexcept { return index_; }

  /// True for host memory.
  constexpr bool is_cpu() const noexcept { return same_kind(Device()); }

  constexpr bool same_kind(const Device& other) const noexcept { return word() == other.word(); }

  /// True when this device is one of those that `pattern` names: a pattern without an index names
  /// all of its kind.
  constexpr bool matches(const Device& pattern) const noexcept {
    return same_kind(pattern) && (pattern.index_ == no_index || pattern.index_ == index_);
  }

  friend constexpr bool operator==(const Device& a, const Device& b) noexcept {
    return a.same_kind(b) && a.index_ == b.index_;
  }

 private:
  constexpr std::uint64_t word() const noexcept { return std::bit_cast<std::uint64_t>(kind_); }

  std::array<char, max_kind> kind_{};  // unused characters are zero, so that word() compares
  std::int16_t index_ = no_index;
};

/// Host memory.
inline constexpr Device cpu{};

/// "cpu", "cuda:0".
inline std::string to_string(const Device& device) {
  std::string text(device.kind());
  if (device.index() != Device::no_index) text.append(":").append(std::to_string(device.index()));
  return text;
}

// ---- implementation ----------------------------------------------------------------------------

inline Result<Device> Device::parse(std::string_view text) {
  const auto wrong = [text] {
    return Error(Status::invalid_argument,
                 detail::text({"device: expected a kind of 1 to 8 characters a-z 0-9 _ and perhaps "
                               "an index below 32768, such as \"cuda:0\", got \"",
                               text, "\""}));
  };
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const auto in_kind = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (kind.empty() || kind.size() > max_kind || !std::all_of(kind.begin(), kind.end(), in_kind)) {
    return wrong();
  }
  Device device;
  device.kind_.fill('\0');
  std::copy(kind.begin(), kind.end(), device.kind_.begin());
  if (colon == std::string_view::npos) return device;

  const std::string_view digits = text.substr(colon + 1);
  if (digits.empty() || digits.size() > 5) return wrong();
  int index = 0;
  for (char c : digits) {
    if (c < '0' || c > '9') return wrong();
    index = index * 10 + (c - '0');
  }
  if (index > INT16_MAX) return wrong();
  device.index_ = static_cast<std::int16_t>(index);
  return device;
}

}  // namespace galley::inline v1
