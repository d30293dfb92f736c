#!/bin/sh
# prints.sh SOURCE PROGRAM: the program, given the arguments after `// runs with:` if there is such a
# line, prints the lines that follow `// prints:` at the end of its source. `...` stands for any text in
# a line, and for any number of lines when alone.
set -eu
source=$1
program=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sed -n '/^\/\/ prints:/,$p' "$source" | sed -e 1d -e 's|^// \{0,1\}||' >"$scratch/expected"
[ -s "$scratch/expected" ] || { echo "$source:1: nothing after // prints:"; exit 1; }
arguments=$(sed -n 's|^// runs with: *||p' "$source")
if ! "$program" $arguments >"$scratch/printed" 2>"$scratch/errors"; then
  echo "$program failed"
  cat "$scratch/printed" "$scratch/errors"
  exit 1
fi
exec awk -v source="$source" '
  function matches(wanted, got,   i, n, piece, at) {  # pieces between ... in order, ends anchored
    n = split(wanted, piece, "[.][.][.]")
    if (n == 1) return wanted == got
    if (substr(got, 1, length(piece[1])) != piece[1]) return 0
    got = substr(got, length(piece[1]) + 1)
    for (i = 2; i < n; i++) {
      at = index(got, piece[i])
      if (piece[i] == "") continue
      if (!at) return 0
      got = substr(got, at + length(piece[i]))
    }
    return length(got) >= length(piece[n]) && substr(got, length(got) - length(piece[n]) + 1) == piece[n]
  }
  NR == FNR { wanted[++count] = $0; next }
  {
    if (loose) {
      if (next_line <= count && matches(wanted[next_line], $0)) loose = 0
      else next
    } else if (!started) { next_line = 1; started = 1 }
    while (next_line <= count && wanted[next_line] == "...") { loose = 1; next_line++ }
    if (loose) {
      if (next_line > count || !matches(wanted[next_line], $0)) next
      loose = 0
    }
    if (next_line > count) { print source ": prints more than it says: " $0; exit failed = 1 }
    if (!matches(wanted[next_line], $0)) {
      print source ": line " FNR " of its output"
      print "  says:   " wanted[next_line]
      print "  prints: " $0
      exit failed = 1
    }
    next_line++
  }
  END {
    if (failed) exit 1
    if (!started) next_line = 1
    while (next_line <= count && wanted[next_line] == "...") next_line++
    if (next_line <= count) { print source ": never prints: " wanted[next_line]; exit 1 }
  }' "$scratch/expected" "$scratch/printed"
