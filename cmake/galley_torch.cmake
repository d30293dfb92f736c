# Finds LibTorch and says which one, and why. Installed too: galley-config.cmake uses it.

# The first directory of a TorchConfig.cmake under the given prefixes, or an empty string.
function(galley_torch_under out)
  set(${out} "" PARENT_SCOPE)
  foreach(prefix IN LISTS ARGN)
    file(
      GLOB configs
      ${prefix}/TorchConfig.cmake
      ${prefix}/share/cmake/Torch/TorchConfig.cmake
      ${prefix}/lib/cmake/Torch/TorchConfig.cmake
      ${prefix}/lib/*/cmake/Torch/TorchConfig.cmake
      ${prefix}/lib/python3*/site-packages/torch/share/cmake/Torch/TorchConfig.cmake)
    if(configs)
      list(GET configs 0 config)
      get_filename_component(directory ${config} DIRECTORY)
      set(${out} ${directory} PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# The same for the active Python environment, whose torch is looked up and not imported.
function(galley_torch_of_python out)
  set(python python3)
  if(DEFINED ENV{VIRTUAL_ENV} AND EXISTS "$ENV{VIRTUAL_ENV}/bin/python")
    set(python "$ENV{VIRTUAL_ENV}/bin/python")
  endif()
  execute_process(
    COMMAND ${python} -c "import importlib.util as u; s = u.find_spec('torch'); \
print(s.submodule_search_locations[0] if s and s.submodule_search_locations else '')"
    OUTPUT_VARIABLE prefix
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  galley_torch_under(directory ${prefix})
  set(${out} "${directory}" PARENT_SCOPE)
endfunction()

# Chooses a LibTorch without loading it: the one the user names (Torch_DIR, CMAKE_PREFIX_PATH), the one
# chosen last time, the active Python environment's, one below the given prefixes, the system's.
# `out_directory` is empty for the system's.
function(galley_choose_torch out_directory out_reason)
  set(prefixes ${CMAKE_PREFIX_PATH})
  if(DEFINED ENV{CMAKE_PREFIX_PATH})
    string(REPLACE ":" ";" more "$ENV{CMAKE_PREFIX_PATH}")
    list(APPEND prefixes ${more})
  endif()
  galley_torch_under(directory ${prefixes})
  set(reason "named by CMAKE_PREFIX_PATH")
  if(Torch_DIR AND NOT Torch_DIR STREQUAL "${GALLEY_TORCH_CHOSEN}")
    set(directory "${Torch_DIR}")
    set(reason "named by Torch_DIR")
  elseif(DEFINED ENV{Torch_DIR})
    set(directory "$ENV{Torch_DIR}")
    set(reason "named by Torch_DIR")
  endif()
  if(NOT directory AND EXISTS "${GALLEY_TORCH_CHOSEN}/TorchConfig.cmake")
    set(directory "${GALLEY_TORCH_CHOSEN}")
    set(reason "${GALLEY_TORCH_REASON}")
  endif()
  if(NOT directory)
    galley_torch_of_python(directory)
    set(reason "of the active Python environment")
  endif()
  if(NOT directory)
    galley_torch_under(directory ${ARGN})
    set(reason "of galley's virtual environment, for want of one that is named")
  endif()
  if(NOT directory)
    set(reason "of the system, for want of any other")
  endif()
  set(${out_directory} "${directory}" PARENT_SCOPE)
  set(${out_reason} "${reason}" PARENT_SCOPE)
endfunction()

# Chooses as above and loads it: defines the target `torch`, unless an enclosing project has, and
# sets GALLEY_TORCH_REASON. The caller looks whether there is a target `torch`.
macro(galley_find_torch)
  if(TARGET torch)
    set(GALLEY_TORCH_REASON "of the enclosing project")
  else()
    galley_choose_torch(galley_torch_directory galley_torch_reason ${ARGN})
    # Two LibTorch side by side must not mix: TorchConfig.cmake looks for its other half, Caffe2, and
    # for libraries in the system's places first, unless a prefix is named.
    unset(Caffe2_DIR CACHE)
    unset(TORCH_LIBRARY CACHE)
    unset(c10_LIBRARY CACHE)
    unset(Torch_DIR CACHE)
    set(galley_prefix_path ${CMAKE_PREFIX_PATH})
    if(galley_torch_directory)
      set(Torch_DIR "${galley_torch_directory}" CACHE PATH "Directory of TorchConfig.cmake")
      get_filename_component(galley_torch_prefix "${galley_torch_directory}/../../.." ABSOLUTE)
      list(PREPEND CMAKE_PREFIX_PATH ${galley_torch_prefix})
    endif()
    # pip's configuration warns about an archive that no wheel holds and nobody links.
    set(kineto_LIBRARY kineto)
    find_package(Torch QUIET)
    set(CMAKE_PREFIX_PATH ${galley_prefix_path})
    # The host of a nested galley links torch too, and its properties name other imported targets.
    if(NOT CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
      get_property(galley_imported DIRECTORY PROPERTY IMPORTED_TARGETS)
      set_target_properties(${galley_imported} PROPERTIES IMPORTED_GLOBAL ON)
    endif()
    unset(kineto_LIBRARY)
    list(REMOVE_ITEM TORCH_LIBRARIES kineto)
    # A directory of ours is kept for the next configuration; any other was named by the user.
    set(GALLEY_TORCH_REASON "${galley_torch_reason}" CACHE INTERNAL "")
    if(GALLEY_TORCH_REASON STREQUAL "named by Torch_DIR")
      set(GALLEY_TORCH_CHOSEN "" CACHE INTERNAL "")
    else()
      set(GALLEY_TORCH_CHOSEN "${Torch_DIR}" CACHE INTERNAL "")
    endif()
    galley_check_torch()
  endif()
endmacro()

# Stops when what was found is of two LibTorch, or was built with the old C++ ABI.
function(galley_check_torch)
  if(NOT TARGET torch)
    return()
  endif()
  get_filename_component(torch_place "${Torch_DIR}/.." REALPATH)
  get_filename_component(caffe2_place "${Caffe2_DIR}/.." REALPATH)
  if(NOT torch_place STREQUAL caffe2_place)
    message(FATAL_ERROR "galley: Torch_DIR (${Torch_DIR}) and Caffe2_DIR (${Caffe2_DIR}) are of two "
                        "different LibTorch; name one with CMAKE_PREFIX_PATH")
  endif()
  get_target_property(options torch INTERFACE_COMPILE_OPTIONS)
  if("${TORCH_CXX_FLAGS} ${options}" MATCHES "_GLIBCXX_USE_CXX11_ABI=0")
    message(
      FATAL_ERROR
        "galley: LibTorch ${Torch_VERSION} ${GALLEY_TORCH_REASON} (${Torch_DIR}) was built with the "
        "old C++ ABI (_GLIBCXX_USE_CXX11_ABI=0), galley with the new one: they cannot be linked. Use "
        "LibTorch 2.7 or later from pip, the cxx11-abi archive of an older one, or Debian's "
        "libtorch-dev.")
  endif()
endfunction()

# Sets `out` to whether the chosen LibTorch has the loader of AOTInductor packages that
# src/torch/torch_compat.cpp looks for.
function(galley_torch_has_packages out)
  set(${out} FALSE PARENT_SCOPE)
  get_target_property(directories torch INTERFACE_INCLUDE_DIRECTORIES)
  foreach(directory IN LISTS directories)
    if(EXISTS ${directory}/torch/csrc/inductor/aoti_package/model_package_loader.h)
      set(${out} TRUE PARENT_SCOPE)
    endif()
  endforeach()
endfunction()
