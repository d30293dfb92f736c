# AOTInductor packages for the tests, made while they are built: a package is for one machine and one
# LibTorch, so none is kept in the tree. Sets galley_test_packages to the folder, or to nothing, and says
# why.
set(galley_test_packages "")

# Whether the Python beside the chosen LibTorch exports; asked once a build tree, since it may have to
# install packages. To ask again: -UGALLEY_TEST_EXPORTER.
function(galley_find_exporter)
  if(DEFINED GALLEY_TEST_EXPORTER)
    return()
  endif()
  find_program(GALLEY_PYTHON NAMES python3)
  mark_as_advanced(GALLEY_PYTHON)
  set(why "")
  if(NOT GALLEY_WITH_PACKAGES)
    set(why "this LibTorch has no loader of packages")
  elseif(NOT GALLEY_PYTHON)
    set(why "no python3")
  elseif(NOT Torch_DIR MATCHES "/site-packages/torch/share/cmake/Torch/?$")
    set(why "LibTorch is not of a Python environment (${Torch_DIR})")
  else()
    get_filename_component(site "${Torch_DIR}/../../../.." ABSOLUTE)
    execute_process(
      COMMAND ${GALLEY_PYTHON} ${PROJECT_SOURCE_DIR}/examples/export_model.py --prepare --torch ${site}
              --python ${PROJECT_BINARY_DIR}/python
      RESULT_VARIABLE result OUTPUT_VARIABLE said ERROR_VARIABLE said)
    if(NOT result EQUAL 0)
      string(STRIP "${said}" why)
      string(REGEX REPLACE "\n" "; " why "${why}")
    endif()
  endif()
  set(GALLEY_TEST_EXPORTER "${why}" CACHE INTERNAL "Why no packages can be exported; empty: they can")
  set(GALLEY_TEST_EXPORTER_SITE "${site}" CACHE INTERNAL "Where the exporter finds torch")
endfunction()

# galley_test_package(<name> <function> <argument>...): of package_models.py
function(galley_test_package name function)
  set(out ${PROJECT_BINARY_DIR}/packages/${name})
  add_custom_command(
    OUTPUT ${out}.json
    COMMAND ${GALLEY_PYTHON} ${PROJECT_SOURCE_DIR}/examples/export_model.py
            ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/package_models.py:${function} ${out} ${ARGN} --torch
            ${GALLEY_TEST_EXPORTER_SITE} --python ${PROJECT_BINARY_DIR}/python
    DEPENDS ${PROJECT_SOURCE_DIR}/examples/export_model.py
            ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/package_models.py
    COMMENT "Exporting ${name} for the tests of packages"
    VERBATIM)
  set_property(GLOBAL APPEND PROPERTY GALLEY_TEST_PACKAGES ${out}.json)
endfunction()

galley_find_exporter()
if(GALLEY_TEST_EXPORTER)
  galley_feature_off("tests of packages" "${GALLEY_TEST_EXPORTER}")
else()
  set(galley_test_packages ${PROJECT_BINARY_DIR}/packages)
  galley_test_package(first first --batch 1:64 --fixed 4)
  galley_test_package(second second --batch 2:5 --outputs logits)
  galley_test_package(wide wide --batch 1:4)
  galley_test_package(parts parts --batch 1:64)
  galley_test_package(types types --batch 1:64)
  galley_test_package(counting counting --batch 1:64)
  foreach(name first first_4)
    set(unpacked ${galley_test_packages}/${name}_unpacked)
    add_custom_command(
      OUTPUT ${unpacked}/unpacked
      COMMAND ${CMAKE_COMMAND} -E rm -rf ${unpacked}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${unpacked}
      COMMAND ${CMAKE_COMMAND} -E chdir ${unpacked} ${CMAKE_COMMAND} -E tar xf ../${name}.pt2
      COMMAND ${CMAKE_COMMAND} -E touch ${unpacked}/unpacked
      DEPENDS ${galley_test_packages}/first.json
      VERBATIM)
    set_property(GLOBAL APPEND PROPERTY GALLEY_TEST_PACKAGES ${unpacked}/unpacked)
  endforeach()
  get_property(exported GLOBAL PROPERTY GALLEY_TEST_PACKAGES)
  add_custom_target(galley_test_packages DEPENDS ${exported})
  galley_feature_on("tests of packages" "exported with ${GALLEY_TEST_EXPORTER_SITE}/torch")
endif()
