#!/bin/sh
# readme.sh README PROGRAM: README's first C++ block, of at most 20 lines, is what stands in the program
# between `// readme begin` and `// readme end`.
set -eu
readme=$1
program=$2
[ -f "$readme" ] || { echo "$readme:1: missing"; exit 1; }
[ -f "$program" ] || { echo "$program:1: missing"; exit 1; }

unindent() { # removes the indentation that all lines share
  awk '{ line[NR] = $0
         if ($0 ~ /[^ ]/) { match($0, /^ */); if (!seen || RLENGTH < least) { least = RLENGTH; seen = 1 } } }
       END { for (i = 1; i <= NR; i++) print substr(line[i], least + 1) }'
}
block=$(awk '/^```cpp/ && !done { inside = 1; next } /^```/ && inside { inside = 0; done = 1 } inside' "$readme" | unindent)
code=$(awk '/\/\/ readme end/ { inside = 0 } inside; /\/\/ readme begin/ { inside = 1 }' "$program" | unindent)
[ -n "$block" ] || { echo "$readme:1: no \`\`\`cpp block"; exit 1; }
[ -n "$code" ] || { echo "$program:1: nothing between // readme begin and // readme end"; exit 1; }
lines=$(printf '%s\n' "$block" | wc -l)
[ "$lines" -le 20 ] || { echo "$readme:1: the example has $lines lines, 20 are allowed"; exit 1; }
if [ "$block" != "$code" ]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  printf '%s\n' "$block" >"$scratch/README"
  printf '%s\n' "$code" >"$scratch/program"
  echo "$readme:1: the example is not the compiled one in $program:"
  diff "$scratch/README" "$scratch/program" || true
  exit 1
fi
echo "$lines lines, as compiled"
