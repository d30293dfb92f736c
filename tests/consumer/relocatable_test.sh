#!/bin/sh
# relocatable.sh finds an absolute path in a package.
set -eu
. "$(dirname "$0")/../checks/support.sh"
here=$(dirname "$0")
plant galley-targets.cmake 'add_library(galley::galley STATIC IMPORTED)' 'include("${here}/a/b.cmake")'
passes sh "$here/relocatable.sh" "$work/tree"
plant more.cmake '' 'set(libraries "torch;/opt/torch/lib/libc10.so")'
catches '^./more.cmake:2:.*/opt/torch/lib' sh "$here/relocatable.sh" "$work/tree"
rm "$work/tree/more.cmake"
passes sh "$here/relocatable.sh" "$work/tree"
echo "$count plantings"
