#!/bin/sh
# toplevel.sh ROOT: the top level holds exactly these, besides names that begin with a dot and build/.
set -eu
cd "${1:?usage: toplevel.sh ROOT}"
wanted='CMakeLists.txt README.md bench cmake examples include src tests'
failed=0
for name in *; do
  case " $wanted build " in
    *" $name "*) ;;
    *) echo "$name:1: does not belong at the top level, which holds: $wanted"; failed=1 ;;
  esac
done
for name in $wanted; do
  [ -e "$name" ] || { echo "$name:1: missing from the top level"; failed=1; }
done
exit $failed
