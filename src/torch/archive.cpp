#include <galley/core/text.hpp>
#include <src/torch/archive.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <system_error>

namespace galley::inline v1::detail {

namespace {

std::uint32_t little_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8U | static_cast<unsigned char>(bytes[i]);
  return value;
}

}  // namespace

Result<std::ifstream> open_archive(const std::string& path) {
  std::error_code code;
  const std::filesystem::file_status status = std::filesystem::status(path, code);
  if (status.type() == std::filesystem::file_type::not_found) {
    return Error(Status::not_found, "no such file");
  }
  if (status.type() == std::filesystem::file_type::directory) {
    return Error(Status::data_loss, "expected a file, got a directory");
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error(Status::data_loss, "cannot be opened for reading");
  return in;
}

// A zip archive begins with a file and ends with a directory of its files.
Result<void> check_archive(std::istream& in, std::string_view what) {
  constexpr std::string_view file_mark = "PK\x03\x04";
  constexpr std::string_view end_mark = "PK\x05\x06";
  constexpr std::size_t end_size = 22;            // of the record that ends an archive …
  constexpr std::size_t longest_comment = 65535;  // … but for this
  const auto wrong = [what](std::string_view why) {
    return Error(Status::data_loss, text({"no ", what, ": ", why}));
  };
  std::string begin(file_mark.size(), '\0');
  in.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  if (!in || begin != file_mark) return wrong("expected a zip archive, got other bytes");
  in.seekg(0, std::ios_base::end);
  const auto size = static_cast<std::size_t>(in.tellg());
  std::string tail(std::min(size, end_size + longest_comment), '\0');
  in.seekg(static_cast<std::streamoff>(size - tail.size()));
  in.read(tail.data(), static_cast<std::streamsize>(tail.size()));
  if (!in) return wrong("cannot be read to its end");
  const std::size_t end = tail.rfind(end_mark);
  if (end == std::string::npos || tail.size() - end < end_size) {
    return wrong("the zip archive is not complete");
  }
  const std::string_view record = std::string_view(tail).substr(end);
  const std::uint64_t directory = little_endian(record.substr(12, 4));
  const std::uint64_t offset = little_endian(record.substr(16, 4));
  const bool is_wide = offset == UINT32_MAX || directory == UINT32_MAX;  // told elsewhere
  if (!is_wide && offset + directory > size - tail.size() + end) {
    return wrong("the zip archive is damaged");
  }
  in.seekg(0);
  return {};
}

}  // namespace galley::inline v1::detail
