#!/bin/sh
# sh bench/run.sh NAME [argument...]: builds and runs one benchmark, which prints a table and writes
# build/bench/NAME.json. LibTorch's own threads are held at one, for galley's side and the bare loop's.
set -eu
cd "$(dirname "$0")/.."
if [ $# -lt 1 ] || [ ! -f "bench/$1.cpp" ]; then
  echo "usage: sh bench/run.sh NAME; there are:" >&2
  ls bench/*.cpp | sed 's|bench/|  |; s|\.cpp$||' >&2
  exit 2
fi
name=$1
shift
. cmake/setup.sh
setup nlohmann-json3-dev
cmake --build build/release -j "$JOBS" --target "bench_$name"
mkdir -p build/bench
OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 exec "build/release/bench/$name" "$@"
