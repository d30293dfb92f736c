# cmake -DPLACES=<prefixes> -P which_torch.cmake: prints the LibTorch that galley would take, its
# directory and the reason, in two lines. The first is empty when it would look to the system.
include(${CMAKE_CURRENT_LIST_DIR}/galley_torch.cmake)
galley_choose_torch(directory reason ${PLACES})
execute_process(COMMAND ${CMAKE_COMMAND} -E echo "${directory}")
execute_process(COMMAND ${CMAKE_COMMAND} -E echo "${reason}")
