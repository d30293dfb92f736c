# One program of a file compiled with exceptions and one without, linked in both orders: the linker keeps
# the first of equal templates. Not optimised, so that they are not inlined away.
set(mixed ${CMAKE_CURRENT_LIST_DIR})
foreach(kind with without main)
  add_library(galley_mixed_${kind} OBJECT ${mixed}/${kind}.cpp)
  target_link_libraries(galley_mixed_${kind} PRIVATE galley_core)
  galley_own_target(galley_mixed_${kind})
  target_compile_options(galley_mixed_${kind} PRIVATE -O0)
endforeach()
target_compile_options(galley_mixed_without PRIVATE -fno-exceptions -fno-rtti)
foreach(order "with;without" "without;with")
  list(GET order 0 first)
  list(GET order 1 second)
  set(program galley_mixed_${first}_first)
  add_executable(${program} $<TARGET_OBJECTS:galley_mixed_${first}>
                            $<TARGET_OBJECTS:galley_mixed_${second}>
                            $<TARGET_OBJECTS:galley_mixed_main>)
  target_link_libraries(${program} PRIVATE galley_core)
  galley_own_target(${program})
  add_test(NAME "mixed exceptions: linked ${first} first" COMMAND ${program})
  set_tests_properties("mixed exceptions: linked ${first} first" PROPERTIES LABELS unit TIMEOUT 60)
endforeach()
