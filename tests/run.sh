#!/bin/sh
# Installs what is missing, builds everything in build/release and runs all tests. Idempotent.
# Arguments go to CMake: sh tests/run.sh -DTorch_DIR=<where TorchConfig.cmake is>
set -eu
cd "$(dirname "$0")/.."
. cmake/setup.sh
may_install clang-format-16 clang-tidy-16
setup catch2 nlohmann-json3-dev "$@"
cmake --build build/release -j "$JOBS"
cd build/release
exec ctest --output-on-failure -j "$JOBS"
