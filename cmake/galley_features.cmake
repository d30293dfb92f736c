# Features that are on or off, and why: collected while configuring, printed once at the end.

function(galley_feature_on name why)
  set_property(GLOBAL APPEND PROPERTY GALLEY_FEATURES "on   ${name}: ${why}")
endfunction()

function(galley_feature_off name why)
  set_property(GLOBAL APPEND PROPERTY GALLEY_FEATURES "OFF  ${name}: ${why}")
endfunction()

function(galley_feature_summary)
  get_property(features GLOBAL PROPERTY GALLEY_FEATURES)
  message(STATUS "galley ${PROJECT_VERSION}, ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}:")
  foreach(feature IN LISTS features)
    message(STATUS "  ${feature}")
  endforeach()
  set_property(GLOBAL PROPERTY GALLEY_FEATURES "")
endfunction()
