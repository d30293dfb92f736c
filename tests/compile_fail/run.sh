#!/bin/sh
# run.sh FILE COMPILER [flag...]: FILE must compile as it is, and with GALLEY_MISTAKE defined must fail
# with a message whose first twelve lines match the extended regular expression after `// expect:`.
set -u
file=$1
shift
expected=$(sed -n 's|^// expect: *||p' "$file")
[ -n "$expected" ] || { echo "$file:1: wants one line \"// expect: <regular expression>\""; exit 1; }
grep -q 'GALLEY_MISTAKE' "$file" || { echo "$file:1: never looks at GALLEY_MISTAKE"; exit 1; }
if ! right=$("$@" -fsyntax-only -fdiagnostics-color=never "$file" 2>&1); then
  echo "$file: does not compile without the mistake:"
  printf '%s\n' "$right"
  exit 1
fi
if wrong=$("$@" -fsyntax-only -fdiagnostics-color=never -DGALLEY_MISTAKE "$file" 2>&1); then
  echo "$file: compiles with the mistake"
  exit 1
fi
head=$(printf '%s\n' "$wrong" | head -n 12)
if ! printf '%s\n' "$head" | grep -Eq -- "$expected"; then
  echo "$file: nothing in the first twelve lines matches: $expected"
  printf '%s\n' "$head"
  exit 1
fi
printf '%s\n' "$head" | grep -Em 1 -- "$expected"
