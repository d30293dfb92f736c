# What every target of our own gets: warnings, sanitizers, position-independent code.

function(galley_own_target target)
  target_compile_options(
    ${target}
    PRIVATE $<$<CXX_COMPILER_ID:GNU,Clang,AppleClang>:-Wall
            -Wextra
            -Wpedantic
            -Wconversion
            -Wshadow
            -Wnon-virtual-dtor>)
  # Both false with g++ 12: for std::string's operator+, https://gcc.gnu.org/bugzilla/show_bug.cgi?id=105651,
  # and for what a std::optional holds, https://gcc.gnu.org/bugzilla/show_bug.cgi?id=80635
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-maybe-uninitialized)
  endif()
  # GCC's manual advises against -Werror with sanitizers: they make for false warnings.
  if(GALLEY_WERROR)
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:Clang,AppleClang>:-Werror>)
    if(NOT GALLEY_SANITIZE)
      target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Werror>)
    endif()
  endif()
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  if(GALLEY_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${GALLEY_SANITIZE} -fno-omit-frame-pointer
                                             -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${GALLEY_SANITIZE})
    # The first marks functions in a way that an unoptimised coroutine's parts cannot be:
    # https://github.com/llvm/llvm-project/issues/49689
    # The second asks for the type information of what LibTorch keeps to itself (c10::DynamicType).
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND GALLEY_SANITIZE MATCHES "undefined")
      target_compile_options(${target} PRIVATE -fno-sanitize=function,vptr)
    endif()
  endif()
endfunction()
