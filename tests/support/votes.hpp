// Votes written down as a test's table.
#pragma once

#include <galley/core/tensor.hpp>
#include <galley/policy/combine.hpp>

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace support {

/// What members said of a row; nothing is an error, or silence.
template <class Mid>
class Said {
 public:
  enum class Nothing { error, silence };

  explicit Said(std::vector<std::optional<Mid>> values, Nothing nothing = Nothing::error)
      : values_(std::move(values)) {
    for (const auto& value : values_) {
      votes_.push_back(
          {.value = value.has_value() ? &*value : nullptr,
           .error = value.has_value() || nothing == Nothing::silence ? nullptr : &error_});
    }
  }
  Said(const Said&) = delete;
  Said& operator=(const Said&) = delete;

  galley::Votes<Mid> votes() const { return galley::Votes<Mid>(votes_); }

 private:
  std::vector<std::optional<Mid>> values_;
  galley::Error error_{galley::Status::unavailable, "none"};
  std::vector<galley::Vote<Mid>> votes_;
};

/// What a combiner makes of these, where nothing stands for an error.
template <class Mid, class C>
auto combined(const C& combiner, std::vector<std::optional<Mid>> values) {
  return combiner.combine(Said<Mid>(std::move(values)).votes());
}
/// Whether it is certain of these, where nothing stands for silence.
template <class Mid, class C>
bool is_decided(const C& combiner, std::vector<std::optional<Mid>> values) {
  return combiner.decided(Said<Mid>(std::move(values), Said<Mid>::Nothing::silence).votes());
}

}  // namespace support
