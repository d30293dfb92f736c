#!/bin/sh
# The docs checkers find an example that is not the compiled one, is too long, or prints something else.
set -eu
. "$(dirname "$0")/../checks/support.sh"
here=$(dirname "$0")

readme() { sh "$here/readme.sh" "$work/tree/README.md" "$work/tree/readme.cpp"; }
plant README.md '# x' '```sh' 'make' '```' '```cpp' 'int i;' '  i = 1;' '```' '```cpp' 'other' '```'
plant readme.cpp 'int main() {' '  // readme begin' '  int i;' '    i = 1;' '  // readme end' '}'
passes readme
plant readme.cpp '// readme begin' 'int i;' '  i = 2;' '// readme end'
catches 'README.md:1: the example is not the compiled one' readme
plant readme.cpp 'int i;' '  i = 1;'
catches 'readme.cpp:1: nothing between' readme
long=$(seq 21)
plant README.md '```cpp' "$long" '```'
plant readme.cpp '// readme begin' "$long" '// readme end'
catches 'README.md:1: the example has 21 lines' readme

prints() { sh "$here/prints.sh" "$work/tree/example.cpp" "$work/tree/program"; }
says() { plant example.cpp 'int main() {}' '// runs with: one two' '// prints:' "$@"; }
plant program '#!/bin/sh' 'echo "$1, $2: 12.5 us"' 'echo' 'echo middle' 'echo "last a b"'
chmod +x "$work/tree/program"
says '// one, two: ... us' '//' '// middle' '// last a b'
passes prints
says '// one...: ... us' '// ...' '// last ...'
passes prints
says '// ...' '// last a b'
passes prints
says '// one, two: 12.5 us' '// ...'
passes prints
says '// one, two: ... ms' '// ...'
catches 'says:   one, two: ... ms' prints
says '// one, two: 12.5 us' '//' '// middle'
catches 'prints more than it says: last a b' prints
says '// one, two: 12.5 us' '//' '// middle' '// last a b' '// more'
catches 'never prints: more' prints
says '// ...' '// missing'
catches 'never prints: missing' prints
plant program '#!/bin/sh' 'exit 3'
catches 'program failed' prints
echo "$count cases"
