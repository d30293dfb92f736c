#!/bin/sh
# Installs what is missing, builds, trains small networks on real digits, saves them as TorchScript and
# serves held-out images with them: one in a pipeline, as TorchScript and, where this machine can export
# one, as an AOTInductor package, also behind a batcher; one that reads row by row, in 64 streams; then
# four behind the graph of examples/data/digits_graph.json. Idempotent. Arguments go to CMake, as with
# tests/run.sh.
set -eu
cd "$(dirname "$0")/.."
. cmake/setup.sh
setup nlohmann-json3-dev "$@"
cmake --build build/release -j "$JOBS" --target example_train_digits example_demo example_digits_graph \
  example_gru example_package

# train <file> <argument...>: unless the file is there, and newer than what makes it.
train() {
  file=$1
  shift
  if [ ! -e "$file" ] || [ build/release/examples/train_digits -nt "$file" ] ||
    [ examples/data/digits.csv -nt "$file" ]; then
    say "training $file"
    build/release/examples/train_digits "$@" | tail -n 2
  fi
}
train build/digits.pt build/digits.pt
train build/digits_2.pt build/digits_2.pt 2
train build/digits_3.pt build/digits_3.pt 3
train build/digits_small.pt --small build/digits_small.pt
train build/digits_gru.pt --gru build/digits_gru.pt

# The same network as a package, exported by the Python that has the LibTorch galley was built with.
# Sets package to the file, or to nothing where this machine cannot export, and says why.
export_package() {
  package=
  case "${torch_dir-}" in
    */site-packages/torch/share/cmake/Torch) ;;
    *) say "LibTorch is not a Python environment's: no AOTInductor package is made" && return ;;
  esac
  command -v python3 >/dev/null 2>&1 || {
    say "no python3: no AOTInductor package is made"
    return
  }
  status=0
  python3 examples/export_model.py examples/digits_model.py:net build/digits_package \
    --uses build/digits.pt --torch "${torch_dir%/torch/share/cmake/Torch}" || status=$?
  case $status in
    0) package=build/digits_package.pt2 ;;
    3) say "going on without an AOTInductor package" ;;
    *) exit "$status" ;;
  esac
}
export_package
build/release/examples/demo build/digits.pt $package
[ -z "$package" ] || build/release/examples/package "$package"
build/release/examples/gru build/digits_gru.pt
exec build/release/examples/digits_graph build/digits_small.pt build/digits.pt build/digits_2.pt \
  build/digits_3.pt
