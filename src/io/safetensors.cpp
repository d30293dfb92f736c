#include <galley/io/safetensors.hpp>
#include <src/io/safetensors_header.hpp>
#include <src/runtime/system.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <istream>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace galley::inline v1 {

namespace {

using Bytes = std::span<const std::byte>;

/// Memory of galley's own, where tensors that begin where it does are aligned.
Result<Allocation> memory_for(std::size_t bytes) {
  // NOLINTBEGIN(clang-analyzer-cplusplus.NewDeleteLeaks): the owner goes with the tensors
  Allocation memory = allocate_memory(bytes);
  if (memory.data != nullptr) return memory;
  return Error(Status::resource_exhausted, "out of memory for " + std::to_string(bytes) + " bytes");
  // NOLINTEND(clang-analyzer-cplusplus.NewDeleteLeaks)
}

/// The tensor of an entry whose bytes begin at `data`.
Result<Tensor> make_tensor(const detail::SafetensorsEntry& entry, const std::byte* data,
                           const Owner& owner) {
  const auto bytes = static_cast<std::size_t>(entry.end - entry.begin);
  const auto is_bool = [](std::byte b) { return std::to_integer<unsigned>(b) <= 1; };
  if (entry.dtype == boolean && !std::all_of(data, data + bytes, is_bool)) {
    return Error(Status::data_loss, "expected bools, got bytes other than 0 and 1");
  }
  const std::size_t element = std::max<std::size_t>(size_of(entry.dtype), 1);
  if (reinterpret_cast<std::uintptr_t>(data) % element == 0) {
    return Tensor::adopt(static_cast<const void*>(data), entry.dtype, entry.shape, {}, cpu, owner);
  }
  GALLEY_TRY(const Allocation copy, memory_for(bytes));
  std::copy_n(data, bytes, copy.data);
  return Tensor::adopt(static_cast<const void*>(copy.data), entry.dtype, entry.shape, {}, cpu,
                       copy.owner);
}

Result<Safetensors> make_tensors(detail::SafetensorsHeader header, const std::byte* data,
                                 const Owner& owner) {
  Safetensors made{.metadata = std::move(header.metadata)};
  made.tensors.reserve(header.entries.size());
  for (detail::SafetensorsEntry& entry : header.entries) {
    Result<Tensor> tensor = make_tensor(entry, data + entry.begin, owner);
    if (!tensor.has_value()) {
      return within("tensor " + detail::in_quotes(entry.name), std::move(tensor).error());
    }
    made.tensors.push_back({std::move(entry.name), *std::move(tensor)});
  }
  return made;
}

/// A file's bytes taken apart.
struct Parts {
  detail::SafetensorsHeader header;
  Bytes data;
};

Result<Parts> take_apart(Bytes bytes) {
  GALLEY_TRY(const std::size_t length, detail::safetensors_header_length(bytes, bytes.size()));
  const Bytes rest = bytes.subspan(detail::safetensors_length_bytes);
  const Bytes text = rest.first(length);
  const Bytes data = rest.subspan(length);
  GALLEY_TRY(detail::SafetensorsHeader header,
             detail::parse_safetensors_header(
                 {reinterpret_cast<const char*>(text.data()), text.size()}, data.size()));
  return Parts{std::move(header), data};
}

bool read(std::istream& in, void* to, std::size_t bytes) {
  return static_cast<bool>(in.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes)));
}

Result<std::ifstream> open(const std::string& path) {
  std::error_code code;
  const std::filesystem::file_status status = std::filesystem::status(path, code);
  if (status.type() == std::filesystem::file_type::not_found) {
    return Error(Status::not_found, "no such file");
  }
  if (status.type() != std::filesystem::file_type::regular) {
    return Error(Status::data_loss, "expected a file, got another thing");
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error(Status::data_loss, "cannot be opened for reading");
  return in;
}

Result<Safetensors> load_copied(const std::string& path) {
  const Error cut(Status::data_loss, "cannot be read to its end");
  GALLEY_TRY(std::ifstream in, open(path));
  in.seekg(0, std::ios_base::end);
  const auto file_bytes = static_cast<std::uint64_t>(std::max<std::streamoff>(in.tellg(), 0));
  in.seekg(0);
  std::array<std::byte, detail::safetensors_length_bytes> first{};
  const std::size_t there = std::min<std::uint64_t>(first.size(), file_bytes);
  if (!read(in, first.data(), there)) return cut;
  GALLEY_TRY(const std::size_t length,
             detail::safetensors_header_length(std::span(first).first(there), file_bytes));
  std::string text(length, '\0');
  if (!read(in, text.data(), length)) return cut;
  const auto data_bytes = static_cast<std::size_t>(file_bytes - first.size() - length);
  GALLEY_TRY(detail::SafetensorsHeader header, detail::parse_safetensors_header(text, data_bytes));
  GALLEY_TRY(const Allocation memory, memory_for(data_bytes));
  if (!read(in, memory.data, data_bytes)) return cut;
  return make_tensors(std::move(header), memory.data, memory.owner);
}

Result<Safetensors> load_mapped(const std::string& path) {
  GALLEY_TRY(detail::MappedFile file, detail::map_file(path));
  return safetensors_from_bytes(file.bytes, std::move(file.owner));
}

}  // namespace

Result<Safetensors> safetensors_from_bytes(std::span<const std::byte> bytes, Owner owner) {
  GALLEY_TRY(Parts parts, take_apart(bytes));
  return make_tensors(std::move(parts.header), parts.data.data(), owner);
}

Result<Safetensors> safetensors_from_bytes(std::span<const std::byte> bytes) {
  GALLEY_TRY(Parts parts, take_apart(bytes));
  GALLEY_TRY(const Allocation memory, memory_for(parts.data.size()));
  std::ranges::copy(parts.data, memory.data);
  return make_tensors(std::move(parts.header), memory.data, memory.owner);
}

Result<Safetensors> load_safetensors(const std::string& path, SafetensorsOptions options) {
  Result<Safetensors> file =
      options.access == FileAccess::mapped ? load_mapped(path) : load_copied(path);
  if (!file.has_value()) return within("\"" + path + "\"", std::move(file).error());
  return file;
}

}  // namespace galley::inline v1
