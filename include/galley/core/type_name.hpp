// type_name: a type's name for messages, without run-time type information.
#pragma once

#include <string_view>

namespace galley::inline v1 {

/// The name of T as the compiler spells it, such as "float". For people.
template <class T>
constexpr std::string_view type_name() noexcept {
  constexpr std::string_view text =
      __PRETTY_FUNCTION__;  // "... [with T = X; ...]" or "... [T = X]"
  constexpr std::size_t first = text.find("T = ") + 4;
  constexpr std::size_t semicolon = text.find(';', first);
  constexpr std::size_t last = semicolon != text.npos ? semicolon : text.rfind(']');
  return text.substr(first, last - first);
}

namespace detail {
template <class T>
inline constexpr char type_key = 0;
}  // namespace detail

/// Identifies a type within the program; equal for equal types.
template <class T>
constexpr const void* type_id() noexcept {
  return &detail::type_key<T>;
}

}  // namespace galley::inline v1
