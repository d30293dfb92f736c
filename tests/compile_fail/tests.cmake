# Mistakes that must not compile, and say why in the first lines: one test a file.
set(compile_fail ${CMAKE_CURRENT_LIST_DIR})
file(GLOB cases CONFIGURE_DEPENDS ${compile_fail}/*.cpp)
foreach(case IN LISTS cases)
  get_filename_component(stem ${case} NAME_WE)
  add_test(NAME "compile-fail: ${stem}"
           COMMAND sh ${compile_fail}/run.sh ${case} ${CMAKE_CXX_COMPILER} -std=gnu++20
                   -I${PROJECT_SOURCE_DIR}/include)
  set_tests_properties("compile-fail: ${stem}" PROPERTIES LABELS compile-fail)
endforeach()
add_test(NAME "compile-fail: the harness refuses what does not fail rightly"
         COMMAND sh ${compile_fail}/run_test.sh ${CMAKE_CURRENT_BINARY_DIR}/compile_fail
                 ${CMAKE_CXX_COMPILER} -std=gnu++20)
set_tests_properties("compile-fail: the harness refuses what does not fail rightly"
                     PROPERTIES LABELS compile-fail)
