#!/bin/sh
# tidy.sh ROOT BUILD CLANG_TIDY: clang-tidy on what does not include LibTorch: the sources, and one
# generated unit a layer for the headers; the load harness is as a layer. A unit that passed is looked
# at again only when it or a file of ours that it includes has changed.
set -eu
config=$(cd "$(dirname "$0")/../.." && pwd)/.clang-tidy
tidy=${3:-clang-tidy}
mkdir -p "$2"
build=$(cd "$2" && pwd)
cd "${1:?usage: tidy.sh ROOT BUILD CLANG_TIDY}"
root=$PWD

for layer in core policy compose testing runtime learn io load; do
  place=include
  [ $layer = load ] && place=bench/load/include
  headers=$(find "$place/galley/$layer" -name '*.hpp' 2>/dev/null | LC_ALL=C sort)
  [ -n "$headers" ] || continue
  printf '%s\n' "$headers" | sed "s|^$place/\(.*\)|#include <\1>|" > "$build/$layer.new"
  cmp -s "$build/$layer.new" "$build/$layer.cpp" || cp "$build/$layer.new" "$build/$layer.cpp"
  rm "$build/$layer.new"
done

cat > "$build/one.sh" <<EOF
set -u
unit=\$1
flags="-std=gnu++20 -I$root/include -I$root/bench/load/include -isystem /usr/include/eigen3"
case \$unit in bench/*) flags="\$flags -I$root/bench/load" ;; *) flags="\$flags -I$root" ;; esac
stamp="$build/\$(echo "\$unit" | tr '/' '_').passed"
ours=\$(\${CXX:-c++} \$flags -MM "\$unit" | tr -d '\\\\\\\\' | tr ' ' '\\n' | grep -v ':\$' | grep .) || exit 1
hash=\$(cat $config \$ours | sha256sum)
[ "\$hash" = "\$(cat "\$stamp" 2>/dev/null)" ] && exit 0
$tidy --quiet --config-file=$config --warnings-as-errors='*' \
  --header-filter="^$root/(include|src|bench/load)/" "\$unit" -- \$flags 2>"\$stamp.err" >"\$stamp.out"
result=\$?
grep -v '^[0-9]* warnings\\{0,1\\} ' "\$stamp.err" | grep -v '^Suppressed\\|^Use -header-filter' >&2
sed "s|^$root/||" "\$stamp.out"
[ \$result -eq 0 ] && echo "\$hash" > "\$stamp"
exit \$result
EOF
{
  find src bench/load/src -name '*.cpp' ! -path 'src/torch/*' 2>/dev/null || true
  find "$build" -maxdepth 1 -name '*.cpp'
} | LC_ALL=C sort | xargs -P "${JOBS:-2}" -n 1 sh "$build/one.sh"
