#!/bin/sh
# run_test.sh SCRATCH_DIRECTORY COMPILER...: run.sh itself, on cases that must not pass.
set -eu
. "$(dirname "$0")/../checks/support.sh"
shift
here=$(dirname "$0")
case=$work/tree/case.cpp
run() { sh "$here/run.sh" "$case" "$@"; }
plant case.cpp '// expect: no_such_name' '#ifdef GALLEY_MISTAKE' 'int i = no_such_name;' '#endif'
passes run "$@"
plant case.cpp '// expect: other_name' '#ifdef GALLEY_MISTAKE' 'int i = no_such_name;' '#endif'
catches 'matches: other_name' run "$@"
plant case.cpp '// expect: anything' '#ifdef GALLEY_MISTAKE' 'int i = 0;' '#endif'
catches 'compiles with the mistake' run "$@"
plant case.cpp '// expect: anything' '#ifdef GALLEY_MISTAKE' '#endif' 'int i = no_such_name;'
catches 'does not compile without the mistake' run "$@"
plant case.cpp '#ifdef GALLEY_MISTAKE' '#endif'
catches 'wants one line' run "$@"
plant case.cpp '// expect: anything'
catches 'never looks at GALLEY_MISTAKE' run "$@"
echo "$count cases"
