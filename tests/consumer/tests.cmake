# Host projects, one for each way of getting galley, built and run.
set(consumer ${CMAKE_CURRENT_LIST_DIR})
set(consumer_build ${PROJECT_BINARY_DIR}/consumer)

add_test(NAME "consumer: install"
         COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${consumer_build}/prefix)
add_test(NAME "consumer: the installed package holds no absolute path"
         COMMAND sh ${consumer}/relocatable.sh ${consumer_build}/prefix)
add_test(NAME "consumer: an absolute path in a package is found"
         COMMAND sh ${consumer}/relocatable_test.sh ${consumer_build}/planted)
add_test(NAME "consumer: the right LibTorch is chosen, the wrong one refused"
         COMMAND sh ${consumer}/which_torch_test.sh ${consumer_build}/which_torch)
set_tests_properties("consumer: install" PROPERTIES FIXTURES_SETUP galley_installed)
set_tests_properties("consumer: the installed package holds no absolute path"
                     PROPERTIES FIXTURES_REQUIRED galley_installed)

set(common -G ${CMAKE_GENERATOR} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
    -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE})
if(CMAKE_CXX_COMPILER_LAUNCHER)
  list(APPEND common -DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER})
endif()
set(torch "")
if(Torch_DIR)
  set(torch -DTorch_DIR=${Torch_DIR})
endif()
# Hosts compile galley without -Werror; here the flags are ours, so that the compiler cache answers.
set(nested -DGALLEY_SOURCE=${PROJECT_SOURCE_DIR} -DGALLEY_WERROR=${GALLEY_WERROR}
    -DGALLEY_WITH_LEARN=${GALLEY_WITH_LEARN} -DGALLEY_WITH_LOAD=${GALLEY_WITH_LOAD})

# galley_consumer_test(<name> [cmake argument...])
function(galley_consumer_test name)
  add_test(NAME "consumer: ${name}" COMMAND sh ${consumer}/run.sh ${consumer}/${name}
                                            ${consumer_build}/${name} ${common} ${ARGN})
  set_tests_properties("consumer: ${name}" PROPERTIES TIMEOUT 1500)
endfunction()
galley_consumer_test(find_package ${torch} -DWITH_TORCH=${GALLEY_WITH_TORCH} -DWITH_LOAD=${GALLEY_WITH_LOAD}
                     -DCMAKE_PREFIX_PATH=${consumer_build}/prefix)
galley_consumer_test(core_only -DCMAKE_PREFIX_PATH=${consumer_build}/prefix)
set_tests_properties("consumer: find_package" "consumer: core_only"
                     PROPERTIES FIXTURES_REQUIRED galley_installed)
galley_consumer_test(add_subdirectory ${nested} ${torch} -DGALLEY_WITH_TORCH=${GALLEY_WITH_TORCH})
galley_consumer_test(fetch_content ${nested} -DGALLEY_WITH_TORCH=OFF)

get_property(tests DIRECTORY PROPERTY TESTS)
list(FILTER tests INCLUDE REGEX "^consumer: ")
set_tests_properties(${tests} PROPERTIES LABELS consumer)
