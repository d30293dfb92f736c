#!/bin/sh
# Installs what is missing, builds, trains a small network on real digits, saves it as TorchScript and
# serves held-out images with it. Idempotent. Arguments go to CMake, as with tests/run.sh.
set -eu
cd "$(dirname "$0")/.."
. cmake/setup.sh
setup "$@"
cmake --build build/release -j "$JOBS" --target example_train_digits example_demo
model=build/digits.pt
if [ ! -e "$model" ] || [ build/release/examples/train_digits -nt "$model" ] ||
  [ examples/data/digits.csv -nt "$model" ]; then
  say "training $model"
  build/release/examples/train_digits "$model"
fi
exec build/release/examples/demo "$model"
