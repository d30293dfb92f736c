#!/bin/sh
# layers.sh ROOT: who may include whom, and what no file of ours may do. One line a violation:
# file:line: what is wrong. src/README.md has the picture.
set -eu
rules=$(cd "$(dirname "$0")" && pwd)/layers.awk
cd "${1:?usage: layers.sh ROOT}"
set -- $(find include src tests examples bench -type f \( -name '*.hpp' -o -name '*.cpp' -o -name '*.h' \) \
  2>/dev/null | LC_ALL=C sort)
[ $# -gt 0 ] || { echo "layers: no sources under $PWD"; exit 1; }
exec awk -f "$rules" "$@"
