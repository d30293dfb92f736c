// What a state's options look like in descriptions.
#pragma once

#include <galley/compose/stateful/options.hpp>
#include <galley/core/dtype.hpp>
#include <galley/core/tensor.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// Of more elements than this a description says no values.
inline constexpr std::size_t most_told_values = 64;

/// A tensor's elements as "1, 0.5"; empty where they are not few, not float32 or not finite.
inline std::string values_text(const Tensor& tensor) {
  const bool is_told = tensor.dtype() == f32 && tensor.device().is_cpu() &&
                       static_cast<std::size_t>(tensor.numel()) <= most_told_values;
  if (!is_told) return {};
  std::vector<float> values(static_cast<std::size_t>(tensor.numel()));
  if (!tensor.copy_into(std::as_writable_bytes(std::span(values))).has_value()) return {};
  std::string all;
  for (const float value : values) {
    if (!std::isfinite(value)) return {};
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value);
    all.append(all.empty() ? "" : ", ").append(digits, end.ptr);
  }
  return all;
}

inline bool is_all_zeros(const Tensor& tensor) {
  std::vector<std::byte> bytes(tensor.byte_size());
  return tensor.copy_into(bytes).has_value() &&
         std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

/// Whether a state of zeros need not be told: the model's signature says its dtype and shape.
enum class Zeros : std::uint8_t { told, left_out };

/// The options "tensors.0.input" and so on. An initial value is a "literal" with its values, or
/// "opaque".
inline void describe_tensors(std::vector<std::pair<std::string, std::string>>& options,
                             const std::vector<StateTensor>& tensors, Zeros zeros) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const StateTensor& tensor = tensors[i];
    const auto add = [&, before = "tensors." + std::to_string(i) + "."](std::string_view name,
                                                                        std::string says) {
      options.emplace_back(before + std::string(name), std::move(says));
    };
    add("input", tensor.input);
    add("output", tensor.output);
    if (!tensor.initial.is_defined()) continue;
    if (zeros == Zeros::left_out && is_all_zeros(tensor.initial)) continue;
    const std::string values = values_text(tensor.initial);
    add("initial", values.empty() ? "opaque" : "literal");
    if (values.empty()) continue;
    add("initial.values", values);
    std::string shape;
    for (const std::int64_t extent : tensor.initial.shape().extents()) {
      shape.append(shape.empty() ? "" : ", ").append(std::to_string(extent));
    }
    add("initial.shape", shape);
  }
}

}  // namespace galley::inline v1::detail
