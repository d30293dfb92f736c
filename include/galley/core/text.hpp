// Text: puts the detail of an error together.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace galley::inline v1::detail {

/// The parts, one after the other.
inline std::string text(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (std::string_view part : parts) all.append(part);
  return all;
}

}  // namespace galley::inline v1::detail
