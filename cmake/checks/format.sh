#!/bin/sh
# format.sh ROOT CLANG_FORMAT: every source is as clang-format leaves it, no line, comments included, is
# longer than 100 columns, and every shell script can be read by a shell.
set -u
style=$(cd "$(dirname "$0")/../.." && pwd)/.clang-format
cd "${1:?usage: format.sh ROOT CLANG_FORMAT}" || exit 1
files=$(find include src tests examples bench -type f \( -name '*.hpp' -o -name '*.cpp' -o -name '*.h' \) \
  2>/dev/null | LC_ALL=C sort)
failed=0
LC_ALL=C awk '
  { gsub(/[\200-\277]/, "") }  # columns, not bytes of UTF-8
  length($0) > 100 { printf "%s:%d: %d columns, 100 are allowed\n", FILENAME, FNR, length($0); bad = 1 }
  END { exit bad }' $files || failed=1
"${2:-clang-format}" "--style=file:$style" --dry-run -Werror $files || failed=1
for script in $(find examples tests bench cmake .ci -type f \( -name '*.sh' -o -path .ci/run \) 2>/dev/null); do
  case $(head -n 1 "$script") in *bash) shell=bash ;; *) shell=sh ;; esac
  "$shell" -n "$script" || failed=1
done
exit $failed
