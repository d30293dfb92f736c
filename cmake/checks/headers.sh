#!/bin/sh
# headers.sh ROOT BUILD [cmake argument...]: every public header stands alone, may be included twice and
# in several units, keeps to its layer's weight; those of galley::core do without exceptions and RTTI.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${1:?usage: headers.sh ROOT BUILD [cmake argument...]}" && pwd)
build=$2
shift 2
mkdir -p "$build"
cmake -S "$here/headers" -B "$build" -G Ninja "-DGALLEY_ROOT=$root" "$@" >"$build/configure.log" 2>&1 || {
  cat "$build/configure.log"
  exit 1
}
cmake --build "$build" -j "${JOBS:-2}" -- -k 0 >"$build/build.log" 2>&1 || {
  sed "s|$root/||g" "$build/build.log"
  exit 1
}

# Weight: lines after preprocessing, which unlike seconds are the same on every machine. A layer whose
# headers together keep to the budget of one is done; otherwise each is weighed.
. "$build/flags.sh"
weigh() { # weigh <unit>
  $CXX $flags -E -x c++ "$1" -o "$build/weight.ii" && wc -l <"$build/weight.ii"
}
failed=0
include=include
budget() { # budget <lines> <header or directory below $include>...
  lines=$1
  shift
  headers=$(cd "$root/$include" && find "$@" -name '*.hpp' 2>/dev/null | LC_ALL=C sort)
  [ -n "$headers" ] || return 0
  printf '%s\n' "$headers" | sed 's|.*|#include <&>|' >"$build/weight.cpp"
  together=$(weigh "$build/weight.cpp")
  printf '%7d of %7d lines  %s\n' "$together" "$lines" "$*"
  [ "$together" -gt "$lines" ] || return 0
  for header in $headers; do
    echo "#include <$header>" >"$build/weight.cpp"
    alone=$(weigh "$build/weight.cpp")
    [ "$alone" -le "$lines" ] || {
      echo "$include/$header:1: $alone lines after preprocessing, the budget is $lines"
      failed=1
    }
  done
}
budget 100000 galley/core
budget 115000 galley/policy  # all together; <chrono>, <memory> and <string> alone are 72000
budget 140000 galley/compose galley/testing  # all together
budget 120000 galley/galley.hpp galley/runtime
budget 120000 galley/io.hpp
budget 145000 galley/io  # io/graph/support.hpp sees every combinator
if [ "$with_torch" = ON ]; then
  budget 120000 galley/torch.hpp
  budget 175000 galley/torch
fi
if [ -d "$root/bench/load/include" ]; then
  include=bench/load/include
  budget 110000 galley/load
fi
exit $failed
