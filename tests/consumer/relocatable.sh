#!/bin/sh
# relocatable.sh PREFIX: the installed package names its dependencies and holds no absolute path.
set -eu
cd "${1:?usage: relocatable.sh PREFIX}"
files=$(find . -name '*.cmake')
[ -n "$files" ] || { echo "no package below $PWD"; exit 1; }
if grep -nE "(^|[\" ;=,<:(])/[A-Za-z0-9_.+-]+/" $files; then
  echo "absolute paths in the installed package"
  exit 1
fi
grep -q 'galley::galley' $files
