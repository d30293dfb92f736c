#!/bin/sh
# sim.sh PROGRAM EXPECTED SCRATCH: two short runs of the simulator print the same bytes, and those of
# EXPECTED. A policy that changed changes it: look at the difference, then
#   build/release/bench/sim --short >bench/sim/expected.txt
set -eu
mkdir -p "$3"
"$1" --short >"$3/first.txt" || { grep '^WRONG' "$3/first.txt"; exit 1; }
"$1" --short >"$3/second.txt"
cmp "$3/first.txt" "$3/second.txt"
diff -u "$2" "$3/first.txt"
