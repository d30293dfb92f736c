// Archives: the zip files that LibTorch writes, before LibTorch sees them.
#pragma once

#include <galley/core/result.hpp>

#include <cstddef>
#include <fstream>
#include <istream>
#include <span>
#include <streambuf>
#include <string>
#include <string_view>

namespace galley::inline v1::detail {

/// Reads bytes that lie in memory.
class SpanBuffer final : public std::streambuf {
 public:
  explicit SpanBuffer(std::span<const std::byte> bytes) {
    // A streambuf's get area is never written to.
    auto* begin = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
    setg(begin, begin, begin + bytes.size());
  }

 protected:
  pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode) override {
    const off_type base = from == std::ios_base::beg   ? 0
                          : from == std::ios_base::cur ? gptr() - eback()
                                                       : egptr() - eback();
    return seekpos(base + offset, std::ios_base::in);
  }
  pos_type seekpos(pos_type position, std::ios_base::openmode) override {
    const off_type offset = position;
    if (offset < 0 || offset > egptr() - eback()) return pos_type(off_type(-1));
    setg(eback(), eback() + offset, egptr());
    return position;
  }
};

/// Opens a file that is to be an archive.
///
/// Errors  not_found: no such file; data_loss: a directory, or cannot be read
Result<std::ifstream> open_archive(const std::string& path);

/// That what is read is a whole archive, by its ends: LibTorch would throw for less than that, and
/// leak its reader. `what` it is to hold is for the error.
///
/// Errors  data_loss
Result<void> check_archive(std::istream& in, std::string_view what);

}  // namespace galley::inline v1::detail
