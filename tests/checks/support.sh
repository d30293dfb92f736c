# Sourced by the checkers' tests: plants a violation in a tree of its own and wants the checker to fail
# and to name file and line.

checks=$(cd "$(dirname "$0")/../../cmake/checks" && pwd)
work=${1:?usage: $0 SCRATCH_DIRECTORY [argument...]}
rm -rf "$work/tree"
mkdir -p "$work/tree"
count=0

# plant <path> <line>...: writes a file of the tree.
plant() {
  path=$1
  shift
  mkdir -p "$work/tree/$(dirname "$path")"
  printf '%s\n' "$@" >"$work/tree/$path"
}

# passes <command...>
passes() {
  count=$((count + 1))
  if ! output=$("$@" 2>&1); then
    echo "a tree without violations was refused by: $*"
    printf '%s\n' "$output"
    exit 1
  fi
}

# catches <regular expression> <command...>: the command fails, saying that.
catches() {
  expected=$1
  shift
  count=$((count + 1))
  if output=$("$@" 2>&1); then
    echo "not caught: $expected"
    exit 1
  fi
  if ! printf '%s\n' "$output" | grep -Eq -- "$expected"; then
    echo "failed, but without saying: $expected"
    printf '%s\n' "$output"
    exit 1
  fi
}
