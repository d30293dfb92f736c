// Catch2, version 2 or 3. Include it last: LibTorch's headers define a CHECK of their own.
#pragma once

#undef CHECK

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
