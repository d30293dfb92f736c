# The simulator prints the same every time, and what was reviewed.
add_test(NAME "the simulator prints what bench/sim/expected.txt says"
         COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/sim.sh $<TARGET_FILE:bench_sim>
                 ${PROJECT_SOURCE_DIR}/bench/sim/expected.txt ${CMAKE_CURRENT_BINARY_DIR}/sim)
set_tests_properties("the simulator prints what bench/sim/expected.txt says"
                     PROPERTIES LABELS unit TIMEOUT 300)
