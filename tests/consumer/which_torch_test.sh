#!/bin/sh
# The order in which LibTorch is chosen, and that one of the old C++ ABI, or none, stops the build.
set -eu
. "$(dirname "$0")/../checks/support.sh"
cmake_dir=$(cd "$(dirname "$0")/../../cmake" && pwd)
tree=$(cd "$work/tree" && pwd)
unset Torch_DIR CMAKE_PREFIX_PATH VIRTUAL_ENV 2>/dev/null || true
# A python that knows no torch, and one that does.
plant bare/python3 '#!/bin/sh' 'echo'
plant env/bin/python '#!/bin/sh' "echo $tree/env/torch"
chmod +x "$tree/bare/python3" "$tree/env/bin/python"
for place in named prefix env/torch venv/lib/python3.9/site-packages/torch; do
  plant "$place/share/cmake/Torch/TorchConfig.cmake" 'add_library(torch INTERFACE IMPORTED)'
done
PATH=$tree/bare:$PATH
export PATH

chosen() { cmake "$@" "-DPLACES=$tree/venv" -P "$cmake_dir/which_torch.cmake"; }
says() { # says <place> <reason> <command...>
  wanted=$1
  reason=$2
  shift 2
  got=$("$@")
  count=$((count + 1))
  [ "$got" = "${wanted:+$tree/$wanted/share/cmake/Torch}
$reason" ] || { printf 'wanted %s, %s; got %s\n' "$wanted" "$reason" "$got"; exit 1; }
}
says venv/lib/python3.9/site-packages/torch \
  "of galley's virtual environment, for want of one that is named" chosen
VIRTUAL_ENV=$tree/env
export VIRTUAL_ENV
says env/torch "of the active Python environment" chosen
says prefix "named by CMAKE_PREFIX_PATH" chosen "-DCMAKE_PREFIX_PATH=$tree;$tree/prefix"
CMAKE_PREFIX_PATH=$tree:$tree/prefix
export CMAKE_PREFIX_PATH
says prefix "named by CMAKE_PREFIX_PATH" chosen
says named "named by Torch_DIR" chosen "-DTorch_DIR=$tree/named/share/cmake/Torch"
Torch_DIR=$tree/named/share/cmake/Torch
export Torch_DIR
says named "named by Torch_DIR" chosen
unset Torch_DIR CMAKE_PREFIX_PATH VIRTUAL_ENV
rm -r "$tree/venv"
says "" "of the system, for want of any other" chosen

configured() { cmake -S "$tree/host" -B "$tree/build" "$@"; }
plant host/CMakeLists.txt 'cmake_minimum_required(VERSION 3.22)' 'project(host LANGUAGES NONE)' \
  "include($cmake_dir/galley_torch.cmake)" 'galley_find_torch()' \
  'message(STATUS "${Torch_VERSION} ${GALLEY_TORCH_REASON}")'
for half in Torch Caffe2; do plant "named/share/cmake/$half/${half}Config.cmake" ''; done
plant named/share/cmake/Torch/TorchConfigVersion.cmake 'set(PACKAGE_VERSION 2.4.0)'
plant named/share/cmake/Torch/TorchConfig.cmake 'add_library(torch INTERFACE IMPORTED)' \
  'find_package(Caffe2)' 'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=1")'
passes configured "-DTorch_DIR=$tree/named/share/cmake/Torch"
plant named/share/cmake/Torch/TorchConfig.cmake 'add_library(torch INTERFACE IMPORTED)' \
  'find_package(Caffe2)' 'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=0")'
catches 'LibTorch 2.4.0 named by Torch_DIR' configured
catches '_GLIBCXX_USE_CXX11_ABI=0' configured
rm -r "$tree/named/share/cmake/Caffe2"
plant other/share/cmake/Caffe2/Caffe2Config.cmake ''
catches 'different LibTorch' configured "-DCMAKE_PREFIX_PATH=$tree/other"
echo "$count cases"
