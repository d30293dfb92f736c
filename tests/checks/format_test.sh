#!/bin/sh
# check-format finds a line that clang-format would change, and a comment that is too long.
set -eu
. "$(dirname "$0")/support.sh"
plant include/galley/core/rows.hpp '#pragma once' '' 'inline int one() {' '  return 1;' '}'
passes sh "$checks/format.sh" "$work/tree" "$2"
plant src/core/rows.cpp 'int two() {' 'return 2;' '}'
catches 'src/core/rows.cpp:1:12: error: code should be clang-formatted' \
  sh "$checks/format.sh" "$work/tree" "$2"
plant src/core/rows.cpp "// $(seq -s ' ' 50)"
catches '^src/core/rows.cpp:1: 143 columns, 100 are allowed' \
  sh "$checks/format.sh" "$work/tree" "$2"
plant src/core/rows.cpp
plant examples/demo.sh 'echo one' '<<<<<<< ours' 'echo two' '=======' 'echo three' '>>>>>>> theirs'
catches 'examples/demo.sh.*[Ss]yntax error' sh "$checks/format.sh" "$work/tree" "$2"
echo "$count plantings"
