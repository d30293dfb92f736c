// What galley asks of the operating system. system.cpp is the only file that calls it.
#pragma once

#include <cstddef>
#include <string>

namespace galley::inline v1::detail {

/// Names the calling thread. Linux takes 15 characters: of a longer name the middle is left out, so
/// that what follows the last '-' stays.
void name_this_thread(const std::string& name) noexcept;

/// How many physical cores this process may run on; at least 1.
std::size_t physical_cores();

}  // namespace galley::inline v1::detail
