#!/bin/sh
# run.sh SOURCE BUILD [cmake argument...]: configures, builds and runs a host project.
set -eu
source=$1
build=$2
shift 2
cmake -S "$source" -B "$build" "$@"
cmake --build "$build"
"$build/consumer"
