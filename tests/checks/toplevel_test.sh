#!/bin/sh
# check-toplevel finds what is too much and what is too little.
set -eu
. "$(dirname "$0")/support.sh"
for name in include src examples bench tests cmake build; do mkdir "$work/tree/$name"; done
plant CMakeLists.txt ''
plant README.md ''
plant .gitignore ''
passes sh "$checks/toplevel.sh" "$work/tree"
plant notes.txt ''
catches '^notes.txt:1: does not belong' sh "$checks/toplevel.sh" "$work/tree"
rm "$work/tree/notes.txt" "$work/tree/README.md"
catches '^README.md:1: missing' sh "$checks/toplevel.sh" "$work/tree"
echo "$count plantings"
