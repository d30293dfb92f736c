// What comes before the tensors in a safetensors file: which there are, and where.
#pragma once

#include <galley/core/dtype.hpp>
#include <galley/core/result.hpp>
#include <galley/core/shape.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace galley::inline v1::detail {

/// One tensor: bytes `begin` to `end` behind the header are `shape` of `dtype`.
struct SafetensorsEntry {
  std::string name = {};
  DType dtype = DType::f32;
  Shape shape = {};
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// All of them, by where they begin, and the texts.
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries = {};
  std::map<std::string, std::string, std::less<>> metadata = {};
};

/// How many bytes a file begins with that say how long the header is.
inline constexpr std::size_t safetensors_length_bytes = 8;

/// The length of the header of a file of `file_bytes`, told by its first bytes.
///
/// Errors  data_loss: fewer bytes than that, or than the header has, or a header longer than the
///         format allows
Result<std::size_t> safetensors_header_length(std::span<const std::byte> first,
                                              std::uint64_t file_bytes);

/// Reads the header of a file that has `data_bytes` behind it, which the tensors are to fill.
///
/// Errors  as `load_safetensors`
Result<SafetensorsHeader> parse_safetensors_header(std::string_view text, std::uint64_t data_bytes);

/// The name for an error's text: quoted, cut when long.
std::string in_quotes(std::string_view name);

}  // namespace galley::inline v1::detail
