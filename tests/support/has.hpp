// Checks what a text says.
#pragma once

#include <string>

#include <support/catch.hpp>

namespace support {

/// Checks that a text has this part, and shows it where it has not.
inline void has(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CHECK(text.find(part) != std::string::npos);
}

}  // namespace support
