# The test programs.

# What they share. An archive: a program has of it what it uses. The main is ours because the one that
# Debian ships with Catch2 2 is compiled for an older C++.
file(GLOB support CONFIGURE_DEPENDS support/*.cpp)
add_library(galley_test_support STATIC ${support})
target_link_libraries(galley_test_support PUBLIC galley_core Catch2::Catch2)
target_include_directories(galley_test_support PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
galley_own_target(galley_test_support)

# galley_test_program(<name> <library> <directory>...): of the *_test.cpp files below the directories,
# and of *graphs.cpp, which is compiled once for several of them.
# Sets <name>_sources; without any there is no target.
function(galley_test_program name library)
  set(patterns "")
  foreach(directory IN LISTS ARGN)
    foreach(suffix _test.cpp graphs.cpp)
      list(APPEND patterns ${CMAKE_CURRENT_SOURCE_DIR}/${directory}/*${suffix})
    endforeach()
  endforeach()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${patterns})
  # The thread sanitizer has nothing to see in a test of one thread; what reads files needs the layer that
  # does, and what serves packages needs some.
  foreach(source IN LISTS sources)
    file(STRINGS ${source} threads REGEX "std::j?thread|ThreadPool" LIMIT_COUNT 1)
    file(STRINGS ${source} io REGEX "^#include <galley/io" LIMIT_COUNT 1)
    file(STRINGS ${source} packages REGEX "GALLEY_TEST_PACKAGES" LIMIT_COUNT 1)
    if((GALLEY_SANITIZE STREQUAL "thread" AND NOT threads) OR (io AND NOT GALLEY_WITH_IO)
       OR (packages AND NOT galley_test_packages))
      list(REMOVE_ITEM sources ${source})
    endif()
  endforeach()
  set(${name}_sources ${sources} PARENT_SCOPE)
  if(NOT sources)
    message(STATUS "galley: ${name} has no sources")
    return()
  endif()
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE ${library} galley_test_support)
  # A third of the time it takes to compile them; what is fast is measured in bench.
  target_compile_options(${name} PRIVATE $<$<AND:$<CONFIG:Release>,$<CXX_COMPILER_ID:GNU,Clang>>:-O1>)
  galley_own_target(${name})
endfunction()

# galley_test_cases(<name>): one test a case, of the label unit or what its tag says.
function(galley_test_cases name)
  if(${name}_sources)
    set(untagged "")
    foreach(kind laws contract)
      foreach(source IN LISTS ${name}_sources)
        file(STRINGS ${source} tagged REGEX "\\[${kind}\\]" LIMIT_COUNT 1)
        if(tagged)
          catch_discover_tests(${name} TEST_SPEC "[${kind}]" PROPERTIES LABELS ${kind} TIMEOUT 300)
          string(APPEND untagged "~[${kind}]")
          break()
        endif()
      endforeach()
    endforeach()
    catch_discover_tests(${name} TEST_SPEC "${untagged}" PROPERTIES LABELS unit TIMEOUT 300)
  endif()
endfunction()

galley_test_program(galley_core_tests galley_core core policy compose testing laws contract)
galley_test_cases(galley_core_tests)

# Files with and without exceptions and RTTI, in one program.
file(GLOB mixed CONFIGURE_DEPENDS core/mixed_exceptions/*.cpp)
if(mixed)
  add_executable(galley_mixed_exceptions ${mixed})
  target_link_libraries(galley_mixed_exceptions PRIVATE galley_core)
  target_include_directories(galley_mixed_exceptions PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  galley_own_target(galley_mixed_exceptions)
  set_source_files_properties(core/mixed_exceptions/without.cpp
                              PROPERTIES COMPILE_OPTIONS "-fno-exceptions;-fno-rtti")
  # It looks at run-time types, which half of this program does without.
  target_compile_options(galley_mixed_exceptions PRIVATE -fno-sanitize=vptr)
  add_test(NAME "files with and without exceptions meet in one program"
           COMMAND galley_mixed_exceptions)
  set_tests_properties("files with and without exceptions meet in one program" PROPERTIES LABELS unit)
endif()

if(NOT GALLEY_CORE_ONLY)
  galley_test_program(galley_runtime_tests galley runtime)
  galley_test_cases(galley_runtime_tests)
  if(GALLEY_WITH_LOAD)
    galley_test_program(galley_load_tests galley_load load)
    if(galley_load_tests_sources)
      target_link_libraries(galley_load_tests PRIVATE nlohmann_json::nlohmann_json)
      galley_test_cases(galley_load_tests)
    endif()
  endif()
  if(GALLEY_WITH_IO)
    galley_test_program(galley_io_tests galley io)
    if(galley_io_tests_sources)
      target_link_libraries(galley_io_tests PRIVATE nlohmann_json::nlohmann_json)
      galley_test_cases(galley_io_tests)
    endif()

    # What fuzzing has found, and what it begins with, as a test.
    function(galley_fuzz_target name says)
      add_executable(galley_${name}_corpus fuzz/${name}_fuzz.cpp)
      target_link_libraries(galley_${name}_corpus PRIVATE galley)
      target_include_directories(galley_${name}_corpus PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
      galley_own_target(galley_${name}_corpus)
      add_test(NAME "fuzz: ${says}"
               COMMAND galley_${name}_corpus ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/${name}_corpus)
      set_tests_properties("fuzz: ${says}" PROPERTIES LABELS unit TIMEOUT 300)

      # The fuzzer, with the sources that it is to see into: <name>_fuzz <copy of the corpus>
      if(GALLEY_FUZZ)
        file(GLOB_RECURSE seen CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/io/*.cpp
             ${PROJECT_SOURCE_DIR}/src/runtime/*.cpp)
        add_executable(${name}_fuzz fuzz/${name}_fuzz.cpp ${seen})
        target_compile_definitions(${name}_fuzz PRIVATE GALLEY_LIBFUZZER)
        target_compile_options(${name}_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
        target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
        target_link_libraries(${name}_fuzz PRIVATE galley_core nlohmann_json::nlohmann_json)
        target_include_directories(${name}_fuzz PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}
                                                        ${PROJECT_SOURCE_DIR})
      endif()
    endfunction()
    galley_fuzz_target(graph "graphs of the corpus load, or are told with a place")
    galley_fuzz_target(safetensors "files of the corpus are read, or told in a line")
  endif()
  if(GALLEY_WITH_LEARN)
    galley_test_program(galley_learn_tests galley learn)
    galley_test_cases(galley_learn_tests)
  endif()
  if(GALLEY_WITH_TORCH)
    include(torch/packages.cmake)
    galley_test_program(galley_torch_tests galley torch)
    if(galley_torch_tests_sources)
      target_link_libraries(galley_torch_tests PRIVATE torch)
      set_source_files_properties(
        torch/package_test.cpp torch/package_files_test.cpp torch/package_equality_test.cpp
        torch/package_weights_test.cpp
        PROPERTIES COMPILE_DEFINITIONS
                   "GALLEY_TEST_LOADER=$<BOOL:${GALLEY_WITH_PACKAGES}>;GALLEY_TEST_PACKAGES=\"${galley_test_packages}\"")
      if(galley_test_packages)
        add_dependencies(galley_torch_tests galley_test_packages)
      endif()
    endif()
    # LibTorch takes a second to start, so a process serves a file of cases, found by its name.
    foreach(source IN LISTS galley_torch_tests_sources)
      get_filename_component(stem ${source} NAME_WE)
      add_test(NAME "torch: ${stem}" COMMAND galley_torch_tests "-#" "[#${stem}]")
      set_tests_properties(
        "torch: ${stem}"
        PROPERTIES LABELS "unit;torch" TIMEOUT 600
                   ENVIRONMENT "LSAN_OPTIONS=suppressions=${CMAKE_CURRENT_LIST_DIR}/support/lsan.supp"
                   # Up to LLVM 16 and GCC 13 the leak sanitizer may take what lies before a library's
                   # thread-local memory for glibc 2.19's header of it, and crash; it is said in
                   # https://github.com/Mudlet/Mudlet/pull/9930
                   ENVIRONMENT_MODIFICATION "ASAN_OPTIONS=path_list_append:intercept_tls_get_addr=0")
      if(Catch2_VERSION VERSION_LESS 3)
        set_property(TEST "torch: ${stem}" PROPERTY FAIL_REGULAR_EXPRESSION "No tests ran")
      endif()
    endforeach()
    # What LibTorch warns of while it packs weights is not to be printed.
    if(TEST "torch: reduced_forms_test")
      set_property(TEST "torch: reduced_forms_test" APPEND PROPERTY FAIL_REGULAR_EXPRESSION
                   "Warning: ")
    endif()
  endif()
endif()
