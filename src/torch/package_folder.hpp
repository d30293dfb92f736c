// PackageFolder: where the files of an AOTInductor package lie.
#pragma once

#include <galley/core/result.hpp>

#include <filesystem>
#include <string>
#include <utility>

namespace galley::inline v1::detail {

/// A folder of our own, removed with all that is in it.
class TemporaryFolder {
 public:
  /// Makes one within `parent`, which nobody else may enter.
  ///
  /// Errors  failed_precondition: cannot be made there
  static Result<TemporaryFolder> make(const std::filesystem::path& parent);

  TemporaryFolder() = default;
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~TemporaryFolder();

  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

/// The unpacked files of one model of a package, ready for LibTorch's loader.
class PackageFolder {
 public:
  /// Opens the package `path`: a folder is used as it is, a file is unpacked into a folder of our
  /// own within `unpack_in`.
  ///
  /// Errors  not_found: nothing there; data_loss: no package, or a damaged one;
  ///         failed_precondition: it has no such model, or cannot be unpacked there; unimplemented:
  ///         it holds sources and no shared object, or its archive is compressed;
  ///         resource_exhausted: no room to unpack it
  static Result<PackageFolder> open(const std::filesystem::path& path, const std::string& model,
                                    const std::filesystem::path& unpack_in);

  /// The folder that LibTorch's loader takes.
  std::string path() const { return root_.string(); }

  /// Removes what was unpacked; a package that was a folder stays.
  void remove_own() { own_ = TemporaryFolder(); }

 private:
  TemporaryFolder own_;
  std::filesystem::path root_;
};

}  // namespace galley::inline v1::detail
