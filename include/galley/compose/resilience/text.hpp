// What times and shares look like in descriptions and errors.
#pragma once

#include <galley/core/time.hpp>

#include <charconv>
#include <string>

namespace galley::inline v1::detail {

/// A time in the largest unit that is a whole number of: "5ms", "1500us".
inline std::string text_of(Duration time) {
  const auto in = [&](Duration::rep unit, const char* name) {
    return std::to_string(time.count() / unit) + name;
  };
  if (time.count() % 1'000'000'000 == 0) return in(1'000'000'000, "s");
  if (time.count() % 1'000'000 == 0) return in(1'000'000, "ms");
  if (time.count() % 1'000 == 0) return in(1'000, "us");
  return in(1, "ns");
}

/// The shortest text that reads as this number.
inline std::string text_of(double number) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), number);
  return std::string(text, end.ptr);
}

}  // namespace galley::inline v1::detail
