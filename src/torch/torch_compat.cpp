#include <src/torch/torch_headers.hpp>

#include <src/torch/torch_compat.hpp>

#include <torch/version.h>

#include <string_view>

namespace galley::inline v1::detail {

std::string libtorch_version() {
  // Debian's 1.13.1 says 1.13.0.
  return std::to_string(TORCH_VERSION_MAJOR) + "." + std::to_string(TORCH_VERSION_MINOR) + "." +
         std::to_string(TORCH_VERSION_PATCH);
}

std::string exception_text(const std::exception& e) {
  const auto* own = dynamic_cast<const c10::Error*>(&e);
  return own != nullptr ? own->what_without_backtrace() : e.what();
}

bool is_out_of_memory(const std::exception& e) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&e) != nullptr) return true;
  if (dynamic_cast<const std::bad_alloc*>(&e) != nullptr) return true;
  // What the interpreter throws carries only the text of the error inside it.
  const std::string_view text = e.what();
  return text.find("can't allocate memory") != text.npos ||
         text.find("not enough memory") != text.npos || text.find("out of memory") != text.npos;
}

}  // namespace galley::inline v1::detail
