#!/bin/sh
# check-tidy finds a mistake in a source and one in a header, again when nothing changed, and not when
# they are mended.
set -eu
. "$(dirname "$0")/support.sh"
rm -rf "$work/build"
tidy() { sh "$checks/tidy.sh" "$work/tree" "$work/build" "$clang_tidy"; }
clang_tidy=$2
plant include/galley/core/rows.hpp '#pragma once' 'inline int one() { return 1; }'
plant src/runtime/pool.cpp 'int two() { return 2; }'
passes tidy
plant src/runtime/pool.cpp 'int two() {' '  int Unseemly = 2;' '  return Unseemly;' '}'
catches 'src/runtime/pool.cpp:2:7: error: invalid case style for variable' tidy
catches 'src/runtime/pool.cpp:2:7: error: invalid case style for variable' tidy
plant src/runtime/pool.cpp 'int two() { return 2; }'
plant include/galley/core/rows.hpp '#pragma once' '' 'int one() { return 1; }'
catches 'include/galley/core/rows.hpp:3:5: error: .*misc-definitions-in-headers' tidy
plant include/galley/core/rows.hpp '#pragma once' 'inline int one() { return 1; }'
passes tidy
echo "$count plantings"
