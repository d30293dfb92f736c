#include <galley/core/text.hpp>
#include <src/torch/zip.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace galley::inline v1::detail {

namespace {

constexpr std::string_view file_mark = "PK\x03\x04";
constexpr std::string_view entry_mark = "PK\x01\x02";
constexpr std::string_view end_mark = "PK\x05\x06";
constexpr std::string_view wide_end_mark = "PK\x06\x06";
constexpr std::string_view wide_place_mark = "PK\x06\x07";

constexpr std::size_t file_header_size = 30;
constexpr std::size_t entry_size = 46;
constexpr std::size_t end_size = 22;
constexpr std::size_t wide_end_size = 56;
constexpr std::size_t wide_place_size = 20;
constexpr std::uint64_t longest_comment = 65535;
constexpr std::uint64_t most_directory = 64U << 20U;  // 64 MiB: some hundred thousand files
constexpr std::uint64_t told_elsewhere = 0xFFFFFFFF;  // in 32 bits: the zip64 field has it

// A number of `bytes` bytes, the lowest first; 0 beyond the end.
std::uint64_t number(std::string_view text, std::size_t at, std::size_t bytes) {
  if (at > text.size() || text.size() - at < bytes) return 0;
  std::uint64_t value = 0;
  for (std::size_t i = bytes; i-- > 0;)
    value = value << 8U | static_cast<unsigned char>(text[at + i]);
  return value;
}

Error wrong(std::string_view why) {
  return Error(Status::data_loss, text({"no whole zip archive: ", why}));
}

// CRC-32, eight bytes a step: M. E. Kounavis and F. L. Berry, "Novel table lookup-based algorithms
// for high-performance CRC generation", IEEE Transactions on Computers 57(11), 2008.
class Checksum {
 public:
  void add(std::string_view bytes) {
    std::size_t i = 0;
    for (; bytes.size() - i >= 8; i += 8) {
      const std::uint64_t word = number(bytes, i, 8) ^ sum_;
      sum_ = 0;
      for (std::size_t b = 0; b < 8; ++b) sum_ ^= tables[7 - b][word >> (8 * b) & 0xFFU];
    }
    for (; i < bytes.size(); ++i) {
      sum_ = sum_ >> 8U ^ tables[0][(sum_ ^ static_cast<unsigned char>(bytes[i])) & 0xFFU];
    }
  }
  std::uint32_t value() const noexcept { return ~sum_; }

 private:
  using Tables = std::array<std::array<std::uint32_t, 256>, 8>;
  static constexpr Tables tables = [] {
    Tables all{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      std::uint32_t sum = byte;
      for (int bit = 0; bit < 8; ++bit) sum = sum >> 1U ^ ((sum & 1U) != 0 ? 0xEDB88320U : 0U);
      all[0][byte] = sum;
    }
    for (std::size_t t = 1; t < 8; ++t) {
      for (std::size_t byte = 0; byte < 256; ++byte) {
        const std::uint32_t before = all[t - 1][byte];
        all[t][byte] = before >> 8U ^ all[0][before & 0xFFU];
      }
    }
    return all;
  }();

  std::uint32_t sum_ = 0xFFFFFFFF;
};

// Whether a path of the archive stays below the folder it is unpacked in.
bool stays_below(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.size() > 4096) return false;
  if (path.find('\\') != path.npos || path.find('\0') != path.npos || path.find(':') != path.npos) {
    return false;
  }
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part == "." || part == ".." || (part.empty() && end != path.size())) return false;
    at = end + 1;
  }
  return true;
}

// What a directory of 32-bit numbers has to leave to a field of 64-bit ones.
struct Wide {
  std::uint64_t size, packed, header;
};

void widen(Wide& wide, std::string_view extra) {
  while (extra.size() >= 4) {
    const std::uint64_t id = number(extra, 0, 2);
    const std::uint64_t length = number(extra, 2, 2);
    if (length > extra.size() - 4) return;
    const std::string_view field = extra.substr(4, length);
    extra.remove_prefix(4 + length);
    if (id != 1) continue;
    std::size_t at = 0;
    for (std::uint64_t* value : {&wide.size, &wide.packed, &wide.header}) {
      if (*value != told_elsewhere) continue;
      *value = number(field, at, 8);
      at += 8;
    }
  }
}

}  // namespace

Result<ZipFile> ZipFile::open(const std::filesystem::path& path) {
  std::error_code code;
  const std::filesystem::file_status status = std::filesystem::status(path, code);
  if (status.type() == std::filesystem::file_type::not_found) {
    return Error(Status::not_found, "no such file");
  }
  ZipFile zip;
  zip.file_.open(path, std::ios::binary);
  if (!zip.file_) return Error(Status::data_loss, "cannot be opened for reading");
  zip.file_.seekg(0, std::ios::end);
  const std::streamoff size = zip.file_.tellg();
  if (size < 0) return Error(Status::data_loss, "cannot be read");
  zip.size_ = static_cast<std::uint64_t>(size);
  GALLEY_TRY(zip.read_directory());
  return zip;
}

Result<std::string> ZipFile::read(std::uint64_t offset, std::uint64_t size) {
  if (offset > size_ || size_ - offset < size) return wrong("it ends too early");
  std::string bytes(size, '\0');
  file_.clear();
  file_.seekg(static_cast<std::streamoff>(offset));
  file_.read(bytes.data(), static_cast<std::streamsize>(size));
  if (!file_) return Error(Status::data_loss, "cannot be read to its end");
  return bytes;
}

Result<void> ZipFile::read_directory() {
  const std::uint64_t tail_size = std::min<std::uint64_t>(size_, end_size + longest_comment);
  GALLEY_TRY(const std::string tail, read(size_ - tail_size, tail_size));
  const std::size_t end = tail.rfind(end_mark);
  if (end == tail.npos || tail.size() - end < end_size) {
    return wrong("its end, where its files are listed, is missing");
  }
  std::uint64_t count = number(tail, end + 10, 2);
  std::uint64_t length = number(tail, end + 12, 4);
  std::uint64_t offset = number(tail, end + 16, 4);
  if (number(tail, end + 4, 2) != 0)
    return Error(Status::unimplemented, "a zip of several volumes");

  if (end >= wide_place_size && tail.substr(end - wide_place_size, 4) == wide_place_mark) {
    GALLEY_TRY(const std::string wide,
               read(number(tail, end - wide_place_size + 8, 8), wide_end_size));
    if (!wide.starts_with(wide_end_mark)) return wrong("its zip64 end is damaged");
    count = number(wide, 32, 8);
    length = number(wide, 40, 8);
    offset = number(wide, 48, 8);
  }
  if (length > most_directory || count > length / entry_size) {
    return wrong("its list of files is damaged");
  }
  GALLEY_TRY(const std::string directory, read(offset, length));
  std::string_view rest = directory;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t size =
        entry_size + number(rest, 28, 2) + number(rest, 30, 2) + number(rest, 32, 2);
    if (rest.size() < size || !rest.starts_with(entry_mark)) {
      return wrong("its list of files is damaged");
    }
    GALLEY_TRY(add(rest.substr(0, size)));
    rest.remove_prefix(size);
  }
  std::set<std::string_view> paths;
  for (const Entry& entry : entries_) {
    if (!paths.insert(entry.path).second) return wrong(text({"two files \"", entry.path, "\""}));
  }
  return {};
}

Result<void> ZipFile::add(std::string_view record) {
  const std::size_t name_size = number(record, 28, 2);
  Entry entry;
  entry.path = record.substr(entry_size, name_size);
  if (!stays_below(entry.path)) return wrong(text({"a file with the path \"", entry.path, "\""}));
  Wide wide{number(record, 24, 4), number(record, 20, 4), number(record, 42, 4)};
  widen(wide, record.substr(entry_size + name_size, number(record, 30, 2)));
  entry.size = wide.size;
  entry.header = wide.header;
  entry.checksum = static_cast<std::uint32_t>(number(record, 16, 4));
  if (entry.path.back() == '/') return {};  // a folder
  entry.is_packed =
      (number(record, 8, 2) & 1U) != 0 || number(record, 10, 2) != 0 || wide.packed != wide.size;
  if (entry.header > size_ || size_ - entry.header < wide.packed) {
    return wrong(text({"\"", entry.path, "\" lies beyond its end"}));
  }
  entries_.push_back(std::move(entry));
  return {};
}

Result<void> ZipFile::extract(const Entry& entry, const std::filesystem::path& target) {
  constexpr std::uint64_t at_once = 1U << 20U;
  if (entry.is_packed) {
    return Error(Status::unimplemented,
                 text({"\"", entry.path,
                       "\" is compressed or encrypted, which LibTorch does to no such file: unpack "
                       "the archive and name the folder"}));
  }
  GALLEY_TRY(const std::string header, read(entry.header, file_header_size));
  if (!header.starts_with(file_mark)) return wrong(text({"\"", entry.path, "\" is not there"}));
  std::uint64_t offset =
      entry.header + file_header_size + number(header, 26, 2) + number(header, 28, 2);
  std::ofstream out(target, std::ios::binary | std::ios::trunc);
  Checksum sum;
  for (std::uint64_t left = entry.size; left > 0;) {
    const std::uint64_t size = std::min(left, at_once);
    GALLEY_TRY(const std::string part, read(offset, size));
    sum.add(part);
    out.write(part.data(), static_cast<std::streamsize>(size));
    offset += size;
    left -= size;
  }
  out.close();
  if (!out) {
    return Error(Status::resource_exhausted, text({"cannot write \"", target.string(), "\""}));
  }
  if (sum.value() != entry.checksum) {
    return Error(Status::data_loss,
                 text({"\"", entry.path, "\" is damaged: its checksum is another"}));
  }
  return {};
}

}  // namespace galley::inline v1::detail
