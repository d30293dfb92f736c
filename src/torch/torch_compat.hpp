// What differs between versions of LibTorch. The only place that may ask which one this is.
#pragma once

#include <exception>
#include <string>

namespace galley::inline v1::detail {

/// "2.13.0", as the headers say.
std::string libtorch_version();

/// The text of the exception being handled, without a backtrace; `e` is that exception.
std::string exception_text(const std::exception& e);

/// True when `e` says that a device's memory, or the host's, is full.
bool is_out_of_memory(const std::exception& e);

}  // namespace galley::inline v1::detail
