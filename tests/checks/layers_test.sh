#!/bin/sh
# Each rule of check-layers, planted.
set -eu
. "$(dirname "$0")/support.sh"

# rule <path> <line> <message>: the line, as the file's second, is caught there; without it all is well.
rule() {
  plant "$1" '// A file.' "$2"
  catches "^$1:2: .*$3" sh "$checks/layers.sh" "$work/tree"
  rm "$work/tree/$1"
}

plant include/galley/core/rows.hpp '#pragma once' '#include <galley/core/status.hpp>' '#include <vector>'
plant include/galley/compose/map.hpp '#include <galley/policy/batch.hpp>'
plant include/galley/galley.hpp '#include <galley/runtime/thread_pool.hpp>'
plant include/galley/torch/tensor.hpp '#include <ATen/core/Tensor.h>'
plant include/galley/learn/eigen.hpp '#include <Eigen/Core>'
plant src/runtime/thread_pool.cpp '#include <fmt/format.h>' '#include <pthread.h>' \
  'auto n = std::snprintf(p, 1, "printf(");  // printf( in a comment'
plant src/torch/torch_headers.hpp '#include <torch/script.h>'
plant src/torch/torch_compat.cpp '#if TORCH_VERSION_MAJOR > 1'
plant tests/core/rows_test.cpp '#include <galley/testing/fakes.hpp>' '#include <support/catch.hpp>'
plant tests/support/catch.hpp '#include <catch2/catch.hpp>'
plant tests/load/json_test.cpp '#include <galley/runtime/thread_pool.hpp>' '#include <nlohmann/json.hpp>'
plant bench/load/include/galley/load/run.hpp '#include <galley/core/rows.hpp>'
plant examples/hello.cpp '#include <galley/galley.hpp>' 'std::printf("");'
passes sh "$checks/layers.sh" "$work/tree"

rule include/galley/core/a.hpp '#include <galley/policy/batch.hpp>' 'core may not include layer policy'
rule include/galley/policy/a.hpp '#include <galley/compose/map.hpp>' 'policy may not include layer compose'
rule include/galley/compose/a.hpp '#include <galley/runtime/pool.hpp>' 'compose may not include layer runtime'
rule include/galley/testing/a.hpp '#include <galley/runtime/pool.hpp>' 'testing may not include layer runtime'
rule include/galley/runtime/a.hpp '#include <galley/torch/tensor.hpp>' 'runtime may not include layer torch'
rule src/torch/a.cpp '#include <galley/runtime/pool.hpp>' 'torch may not include layer runtime'
rule src/torch/a.cpp '#include <src/runtime/os.hpp>' 'torch may not include layer runtime'
rule include/galley/learn/a.hpp '#include <galley/torch/tensor.hpp>' 'learn may not include layer torch'
rule include/galley/core/a.hpp '#include <src/core/a.hpp>' 'public header includes the private'
rule include/galley/core/a.hpp '#include <galley/galley.hpp>' 'umbrellas are for hosts'
rule include/galley/galley.hpp '#include <galley/torch/tensor.hpp>' 'may not include layer torch'
plant include/galley/galley.hpp '#include <galley/core/rows.hpp>'
rule include/galley/core/a.hpp '#include <boost/any.hpp>' 'only the standard library'
rule include/galley/core/a.hpp '#include <fmt/format.h>' 'core may not name fmt'
rule include/galley/compose/a.hpp '#include <torch/script.h>' 'compose may not name torch'
rule src/runtime/a.cpp '#include <ATen/ATen.h>' 'runtime may not name ATen'
rule include/galley/torch/a.hpp '#include <ATen/ATen.h>' 'the one public header'
rule src/torch/a.cpp '#include <torch/script.h>' 'through src/torch/torch_headers.hpp'
rule src/torch/a.cpp '#include <fmt/format.h>' 'torch may not name fmt'
rule src/torch/a.cpp '#include <Eigen/Core>' 'torch may not name Eigen'
rule src/runtime/a.cpp '#include <nlohmann/json.hpp>' 'runtime may not name nlohmann'
rule src/runtime/z.cpp '#include <sched.h>' 'operating system are in one file, src/runtime/thread_pool.cpp'
rule src/runtime/a.cpp '#include "pool.hpp"' 'angle brackets'
rule src/torch/a.cpp '#if TORCH_VERSION_MINOR > 1' 'only torch_compat'
rule include/galley/core/a.hpp 'using namespace std;' 'no using namespace'
rule include/galley/core/a.hpp 'inline auto t = std::chrono::steady_clock::now();' 'time comes from'
rule include/galley/compose/a.hpp 'std::thread worker;' 'threads come from'
rule include/galley/core/a.hpp 'std::atomic_thread_fence(order);' 'no fences'
rule src/runtime/a.cpp '  std::printf("x");' 'does not print'
rule src/runtime/a.cpp 'void f() { std::cout << 1; }' 'does not print'
rule src/runtime/a.cpp 'void f() { std::abort(); }' "end its host's process"
rule src/runtime/a.cpp 'void f() { exit(1); }' "end its host's process"
rule src/runtime/a.cpp 'auto v = std::getenv("X");' 'the environment'
rule src/runtime/a.cpp 'void f() { signal(1, g); }' 'signal handler'
rule tests/core/a_test.cpp '#include <galley/runtime/pool.hpp>' 'tests of galley::core may not include'
rule tests/core/a_test.cpp '#include <catch2/catch.hpp>' 'tests include <support/catch.hpp>'
rule tests/load/a_test.cpp '#include <fmt/format.h>' 'load may not name fmt'
rule tests/load/a_test.cpp 'const auto now = std::chrono::steady_clock::now();' 'time comes from'
rule tests/runtime/a_test.cpp 'std::this_thread::sleep_for(1ms);' 'time comes from'

plant include/galley/cache/a.hpp '#pragma once'
catches '^include/galley/cache/a.hpp:1: no such layer' sh "$checks/layers.sh" "$work/tree"
rm -r "$work/tree/include/galley/cache"
plant tests/misc/a_test.cpp '// A test.'
catches '^tests/misc/a_test.cpp:1: tests mirror the layers' sh "$checks/layers.sh" "$work/tree"
rm -r "$work/tree/tests/misc"
plant tests/core/rows.cpp '// A test.'
catches '^tests/core/rows.cpp:1: only \*_test.cpp' sh "$checks/layers.sh" "$work/tree"
rm "$work/tree/tests/core/rows.cpp"
passes sh "$checks/layers.sh" "$work/tree"
echo "$count plantings"
