// Where exceptions of user code stop, in builds with and without them.
#pragma once

#include <galley/core/result.hpp>

#include <concepts>
#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

namespace galley::inline v1::detail {

// Files compiled with and without exceptions meet in one program, and the linker keeps one of equal
// templates. So what calls user code takes the mode as a template argument, which a default
// argument fills in where the user calls in; galley's own completions, which do not throw, name
// NoExceptions.

/// Calls straight through: for files compiled without exceptions.
struct NoExceptions {
  template <class R, class F>
  static Result<R> call(F&& f) {
    return std::forward<F>(f)();
  }
  template <class F>
  static void discard(F&& f) noexcept {
    std::forward<F>(f)();
  }
};

#if defined(__cpp_exceptions)
/// Turns what a call throws into an error: `std::bad_alloc` is `resource_exhausted`, anything else
/// is `internal` with its text.
struct CatchExceptions {
  template <class R, class F>
  static Result<R> call(F&& f) {
    try {
      return std::forward<F>(f)();
    } catch (const std::bad_alloc&) {
      return Error(Status::resource_exhausted, "out of memory");
    } catch (const std::exception& e) {
      return Error(Status::internal, std::string("threw: ") + e.what());
    } catch (...) {
      return Error(Status::internal, "threw something that is not a std::exception");
    }
  }
  template <class F>
  static void discard(F&& f) noexcept {
    try {
      std::forward<F>(f)();
    } catch (...) {  // whoever answers a completion has nobody to tell; see Completion
    }
  }
};
using ExceptionMode = CatchExceptions;
#else
using ExceptionMode = NoExceptions;
#endif

}  // namespace galley::inline v1::detail
