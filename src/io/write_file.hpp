// Writes a file in whole or not at all.
#pragma once

#include <galley/core/result.hpp>

#include <string>
#include <string_view>

namespace galley::inline v1::detail {

/// Writes `text` to the file at `path`, in place of what was there: where it cannot be written in
/// whole, the old one is left.
///
/// Errors  unavailable: with the path and the system's reason
/// Threads not to one path from two threads at once
Result<void> write_file(const std::string& path, std::string_view text);

}  // namespace galley::inline v1::detail
