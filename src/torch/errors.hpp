// Where LibTorch's exceptions stop.
#pragma once

#include <galley/core/result.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace galley::inline v1::detail {

/// The error of a model that is refused when it is loaded.
inline Error refused(std::string detail) {
  return Error(Status::failed_precondition, std::move(detail));
}

/// One line for people of what LibTorch says: without traceback, addresses, source files.
std::string one_line(std::string_view text);

/// The exception being handled as an error: out of memory is `resource_exhausted`, all else
/// `otherwise` with its text. To be called in a `catch (...)` only.
Error caught(Status otherwise = Status::internal) noexcept;

}  // namespace galley::inline v1::detail
