# The checks: each is a target check-<name>, part of the target `check`, and a test of the label check,
# beside a test that the checker catches what it is there for.

set(galley_checks_dir ${PROJECT_SOURCE_DIR}/cmake/checks)
set(galley_checks_build ${PROJECT_BINARY_DIR}/checks)
add_custom_target(check)

# galley_check(<name> ARGUMENTS <after the root>... TEST_ARGUMENTS <after the scratch directory>...)
function(galley_check name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "ARGUMENTS;TEST_ARGUMENTS")
  set(command sh ${galley_checks_dir}/${name}.sh ${PROJECT_SOURCE_DIR} ${arg_ARGUMENTS})
  add_custom_target(check-${name} COMMAND ${command} USES_TERMINAL VERBATIM)
  add_dependencies(check check-${name})
  add_test(NAME check-${name} COMMAND ${command})
  add_test(NAME "check-${name} catches what is planted"
           COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/checks/${name}_test.sh
                   ${galley_checks_build}/${name}-planted ${arg_TEST_ARGUMENTS})
  set_tests_properties(check-${name} "check-${name} catches what is planted"
                       PROPERTIES LABELS check TIMEOUT 900)
endfunction()

# galley_find_llvm_tool(<variable> <tool>): of the version that the tree is kept with; others differ in
# opinion. Empty when there is none.
function(galley_find_llvm_tool variable tool)
  find_program(${variable}_PROGRAM NAMES ${tool}-16 ${tool})
  mark_as_advanced(${variable}_PROGRAM)
  set(${variable} "" PARENT_SCOPE)
  if(NOT ${variable}_PROGRAM)
    galley_feature_off(check-${tool} "${tool} 16 not found (Debian 12: apt install ${tool}-16)")
    return()
  endif()
  execute_process(COMMAND ${${variable}_PROGRAM} --version OUTPUT_VARIABLE version)
  if(version MATCHES "version 16\\.")
    set(${variable} ${${variable}_PROGRAM} PARENT_SCOPE)
  else()
    galley_feature_off(check-${tool} "the tree is kept with ${tool} 16, found another")
  endif()
endfunction()

galley_check(layers)
galley_check(toplevel)

set(compiler -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER})
if(CMAKE_CXX_COMPILER_LAUNCHER)
  list(APPEND compiler -DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER})
endif()
set(arguments ${compiler} -DGALLEY_WITH_LEARN=$<BOOL:${GALLEY_WITH_LEARN}>
    -DGALLEY_WITH_TORCH=$<IF:$<BOOL:${GALLEY_WITH_TORCH}>,ON,OFF>)
if(Torch_DIR)
  list(APPEND arguments -DTorch_DIR=${Torch_DIR})
endif()
galley_check(headers ARGUMENTS ${galley_checks_build}/headers ${arguments} TEST_ARGUMENTS ${compiler})

galley_find_llvm_tool(clang_format clang-format)
if(clang_format)
  galley_check(format ARGUMENTS ${clang_format} TEST_ARGUMENTS ${clang_format})
endif()
galley_find_llvm_tool(clang_tidy clang-tidy)
if(clang_tidy)
  galley_check(tidy ARGUMENTS ${galley_checks_build}/tidy ${clang_tidy} TEST_ARGUMENTS ${clang_tidy})
endif()
