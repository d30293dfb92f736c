# Install rules: headers, the archive, and a package that names its dependencies and holds no path.
include(CMakePackageConfigHelpers)
set(galley_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/galley)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/galley DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")
install(TARGETS galley_core EXPORT galley_core_targets)
install(EXPORT galley_core_targets NAMESPACE galley:: FILE galley-core-targets.cmake
        DESTINATION ${galley_package_dir})
if(NOT GALLEY_CORE_ONLY)
  install(TARGETS galley EXPORT galley_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  if(GALLEY_WITH_LOAD)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/bench/load/include/galley
            DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")
    install(TARGETS galley_load EXPORT galley_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
  install(EXPORT galley_targets NAMESPACE galley:: FILE galley-targets.cmake
          DESTINATION ${galley_package_dir})
endif()

configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/cmake/galley-config.cmake.in ${PROJECT_BINARY_DIR}/galley-config.cmake
  INSTALL_DESTINATION ${galley_package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/galley-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/galley-config.cmake
              ${PROJECT_BINARY_DIR}/galley-config-version.cmake
              ${PROJECT_SOURCE_DIR}/cmake/galley_torch.cmake DESTINATION ${galley_package_dir})
