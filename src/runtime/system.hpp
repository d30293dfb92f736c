// What galley asks of the operating system. system.cpp is the only file that calls it.
#pragma once

#include <galley/core/owner.hpp>
#include <galley/core/result.hpp>

#include <cstddef>
#include <span>
#include <string>

namespace galley::inline v1::detail {

/// Names the calling thread. Linux takes 15 characters: of a longer name the middle is left out, so
/// that what follows the last '-' stays.
void name_this_thread(const std::string& name) noexcept;

/// How many physical cores this process may run on; at least 1.
std::size_t physical_cores();

/// A file's bytes in memory, paged in as they are looked at. They are there as long as a share of
/// the owner is.
struct MappedFile {
  Owner owner;
  std::span<const std::byte> bytes;
};

/// Maps the file at `path`. Where another process shortens it meanwhile, a look at what is gone
/// ends this one (SIGBUS); where it is written over, what is seen may change.
///
/// Errors  not_found: no such file; data_loss: no regular file, or cannot be opened;
///         resource_exhausted: no room in the address space; unimplemented: on this system
Result<MappedFile> map_file(const std::string& path);

}  // namespace galley::inline v1::detail
