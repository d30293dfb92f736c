# README's example is compiled, and examples print what their last lines say.
set(docs ${CMAKE_CURRENT_LIST_DIR})
set(examples ${PROJECT_SOURCE_DIR}/examples)

add_test(NAME "docs: README's example is the compiled one"
         COMMAND sh ${docs}/readme.sh ${PROJECT_SOURCE_DIR}/README.md ${examples}/readme.cpp)
add_test(NAME "docs: an untrue document is found"
         COMMAND sh ${docs}/docs_test.sh ${CMAKE_CURRENT_BINARY_DIR}/docs)

# Examples run where they find examples/ and build/digits.pt, as from the top of the tree.
set(top ${PROJECT_BINARY_DIR}/docs)
file(MAKE_DIRECTORY ${top}/build)
file(CREATE_LINK ${examples} ${top}/examples SYMBOLIC)
if(TARGET example_train_digits)
  add_test(NAME "docs: a model is trained for the examples"
           COMMAND example_train_digits build/digits.pt WORKING_DIRECTORY ${top})
  set_tests_properties("docs: a model is trained for the examples" PROPERTIES FIXTURES_SETUP digits)
endif()
if(GALLEY_BUILD_EXAMPLES)
  file(GLOB sources CONFIGURE_DEPENDS ${examples}/*.cpp)
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    file(STRINGS ${source} says REGEX "^// prints:")
    if(says AND TARGET example_${name})
      add_test(NAME "docs: example ${name} prints what it says"
               COMMAND sh ${docs}/prints.sh ${source} $<TARGET_FILE:example_${name}>
               WORKING_DIRECTORY ${top})
      set_tests_properties("docs: example ${name} prints what it says" PROPERTIES FIXTURES_REQUIRED
                                                                                 digits)
    endif()
  endforeach()
endif()

get_property(tests DIRECTORY PROPERTY TESTS)
list(FILTER tests INCLUDE REGEX "^docs: ")
set_tests_properties(${tests} PROPERTIES LABELS docs)
