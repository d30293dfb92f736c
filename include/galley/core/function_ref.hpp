// FunctionRef: a borrowed callable, for calls that end before they return.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

template <class Signature>
class FunctionRef;

/// A view of a callable; it owns nothing and never allocates. Two words.
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, FunctionRef> &&
             std::is_invocable_r_v<R, F&, Args...>)
  FunctionRef(F&& f) noexcept  // NOLINT: made from any callable, like a reference
      : callable_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* callable, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(callable))(std::forward<Args>(args)...);
        }) {}

  R operator()(Args... args) const { return call_(callable_, std::forward<Args>(args)...); }

 private:
  void* callable_;
  R (*call_)(void*, Args...);
};

}  // namespace galley::inline v1
