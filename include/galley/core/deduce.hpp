// Finds the row types of what an author wrote from its signature.
#pragma once

#include <galley/core/batch.hpp>
#include <galley/core/completion.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>

#include <concepts>
#include <tuple>
#include <type_traits>

namespace galley::inline v1 {

namespace detail {

template <class R, class... Args>
struct SignatureOf {
  using Return = std::remove_cvref_t<R>;
  // Tuples of void are only looked into, never made: no parameter is void.
  using First = std::remove_cvref_t<std::tuple_element_t<0, std::tuple<Args..., void>>>;
  using Last =
      std::remove_cvref_t<std::tuple_element_t<sizeof...(Args), std::tuple<void, Args...>>>;
};

template <class F>
struct CallSignature;  // undefined: overloaded, templated or not callable
template <class R, class... Args>
struct CallSignature<R (*)(Args...)> : SignatureOf<R, Args...> {};
template <class R, class... Args>
struct CallSignature<R (*)(Args...) noexcept> : SignatureOf<R, Args...> {};
template <class R, class C, class... Args>
struct CallSignature<R (C::*)(Args...) const> : SignatureOf<R, Args...> {};
template <class R, class C, class... Args>
struct CallSignature<R (C::*)(Args...) const noexcept> : SignatureOf<R, Args...> {};

template <class F>
consteval auto call_of() {
  if constexpr (requires { typename CallSignature<F>::Return; }) {
    return std::type_identity<CallSignature<F>>();
  } else if constexpr (requires { typename CallSignature<decltype(&F::operator())>::Return; }) {
    return std::type_identity<CallSignature<decltype(&F::operator())>>();
  } else if constexpr (requires { typename CallSignature<decltype(&F::serve)>::Return; }) {
    return std::type_identity<CallSignature<decltype(&F::serve)>>();
  } else if constexpr (requires { typename CallSignature<decltype(&F::submit)>::Return; }) {
    return std::type_identity<CallSignature<decltype(&F::submit)>>();
  } else {
    return std::type_identity<SignatureOf<void>>();  // nothing can be read off it
  }
}

/// The row type of a parameter or an answer, and whether it stands for many rows.
template <class T>
struct RowOf {
  using type = T;
  static constexpr bool many = false;
};
template <class T>
struct RowOf<Rows<T>> {
  using type = T;
  static constexpr bool many = true;
};
template <class T>
struct RowOf<Batch<T>> : RowOf<Rows<T>> {};
template <class T>
struct RowOf<Outcomes<T>> : RowOf<Rows<T>> {};

template <class T>
struct WithoutResult {
  using type = T;
};
template <class T>
struct WithoutResult<Result<T>> {
  using type = T;
};

template <class T>
struct Owed {
  using type = void;  // not a completion
};
template <class T>
struct Owed<Completion<T>> {
  using type = T;
};
template <class T>
struct Owed<BatchCompletion<T>> {
  using type = T;
};

template <class Call>
consteval auto out_of() {
  using Answer = typename WithoutResult<typename Call::Return>::type;
  if constexpr (std::is_void_v<typename Call::Return>) {
    return std::type_identity<typename Owed<typename Call::Last>::type>();
  } else if constexpr (RowOf<typename Call::First>::many) {
    return std::type_identity<typename RowOf<Answer>::type>();
  } else {
    return std::type_identity<Answer>();
  }
}

template <class F>
struct Deduced {
  using Call = typename decltype(call_of<F>())::type;
  using In = typename RowOf<typename Call::First>::type;
  using Out = typename decltype(out_of<Call>())::type;
};

}  // namespace detail

/// A function or struct whose row types can be read off its signature: one `operator()`, `serve` or
/// `submit`, const, not overloaded and not a template.
template <class F>
concept DeducibleFunction =
    requires {
      typename detail::Deduced<F>::In;
      typename detail::Deduced<F>::Out;
    } && !std::is_void_v<typename detail::Deduced<F>::In> &&
    !std::is_void_v<typename detail::Deduced<F>::Out>;

/// The row type that F takes.
template <DeducibleFunction F>
using InOf = typename detail::Deduced<F>::In;

/// The row type that F gives.
template <DeducibleFunction F>
using OutOf = typename detail::Deduced<F>::Out;

}  // namespace galley::inline v1
