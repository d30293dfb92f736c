// ZipFile: the files in a zip archive that are not compressed, as LibTorch writes them.
#pragma once

#include <galley/core/result.hpp>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace galley::inline v1::detail {

/// A zip archive, checked before a byte of it is believed. Paths are relative and stay below where
/// they begin; no two are the same; all of a file's bytes lie within the archive.
///
/// Source   the format: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3 (zip64)
/// Threads  one at a time
class ZipFile {
 public:
  struct Entry {
    std::string path;
    std::uint64_t size = 0;
    std::uint64_t header = 0;  ///< Where in the archive.
    std::uint32_t checksum = 0;
    bool is_packed = false;  ///< Compressed or encrypted: cannot be read here.
  };

  /// Errors  not_found: no such file; data_loss: unreadable, or no whole zip archive;
  ///         unimplemented: several volumes
  static Result<ZipFile> open(const std::filesystem::path& path);

  const std::vector<Entry>& entries() const noexcept { return entries_; }

  /// Writes a file of the archive to `target`, which is created.
  ///
  /// Errors  data_loss: not the bytes that were packed; unimplemented: compressed or encrypted;
  ///         resource_exhausted: `target` cannot be written
  Result<void> extract(const Entry& entry, const std::filesystem::path& target);

 private:
  Result<std::string> read(std::uint64_t offset, std::uint64_t size);
  Result<void> read_directory();
  Result<void> add(std::string_view record);

  std::ifstream file_;
  std::uint64_t size_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace galley::inline v1::detail
