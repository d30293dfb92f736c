// What a servable's author may write.
#pragma once

#include <galley/core/batch.hpp>
#include <galley/core/completion.hpp>
#include <galley/core/context.hpp>
#include <galley/core/exceptions.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

namespace detail {

/// Calls what the author wrote: the function itself, or the struct's `serve` or `submit`. By the
/// mode, so that what an exception passes through was compiled for it.
template <class Mode>
struct AuthorCall {
  template <class F, class... Args>
    requires(std::invocable<const F&, Args...>)
  static decltype(auto) serve(const F& f, Args&&... args) {
    return f(std::forward<Args>(args)...);
  }
  template <class F, class... Args>
    requires(!std::invocable<const F&, Args...> &&
             requires(const F& f, Args&&... args) { f.serve(std::forward<Args>(args)...); })
  static decltype(auto) serve(const F& f, Args&&... args) {
    return f.serve(std::forward<Args>(args)...);
  }
  template <class F, class... Args>
    requires(std::invocable<const F&, Args...>)
  static void submit(const F& f, Args&&... args) {
    f(std::forward<Args>(args)...);
  }
  template <class F, class... Args>
    requires(!std::invocable<const F&, Args...> &&
             requires(const F& f, Args&&... args) { f.submit(std::forward<Args>(args)...); })
  static void submit(const F& f, Args&&... args) {
    f.submit(std::forward<Args>(args)...);
  }
};

template <class F, class... Args>
concept Serves = requires(const F& f, Args&&... args) {
  AuthorCall<NoExceptions>::serve(f, std::forward<Args>(args)...);
};
template <class F, class... Args>
concept Submits = requires(const F& f, Args&&... args) {
  AuthorCall<NoExceptions>::submit(f, std::forward<Args>(args)...);
};

/// Calls with the context where the author asked for it.
template <class Mode, class F, class Arg, class Ctx>
decltype(auto) call_now(const F& f, Arg&& arg, const Ctx& context) {
  if constexpr (Serves<F, Arg, const Ctx&>) {
    return AuthorCall<Mode>::serve(f, std::forward<Arg>(arg), context);
  } else {
    return AuthorCall<Mode>::serve(f, std::forward<Arg>(arg));
  }
}
template <class Mode, class F, class Arg, class Ctx, class Done>
void call_later(const F& f, Arg&& arg, const Ctx& context, Done done) {
  if constexpr (Submits<F, Arg, const Ctx&, Done>) {
    AuthorCall<Mode>::submit(f, std::forward<Arg>(arg), context, std::move(done));
  } else {
    AuthorCall<Mode>::submit(f, std::forward<Arg>(arg), std::move(done));
  }
}

template <class F, class Arg, class Ctx>
concept CallableNow = Serves<F, Arg> || Serves<F, Arg, const Ctx&>;
template <class F, class Arg, class Ctx, class Done>
concept CallableLater = Submits<F, Arg, Done> || Submits<F, Arg, const Ctx&, Done>;

template <class F, class Arg, class Ctx>
using AnswerOf = std::remove_cvref_t<decltype(call_now<NoExceptions>(
    std::declval<const F&>(), std::declval<Arg>(), std::declval<const Ctx&>()))>;

/// True for what may stand for the outcomes of a batch.
template <class Answer, class Out>
inline constexpr bool is_batch_answer =
    std::same_as<Answer, Rows<Out>> || std::same_as<Answer, Result<Rows<Out>>> ||
    std::same_as<Answer, Outcomes<Out>> || std::same_as<Answer, Result<Outcomes<Out>>>;

template <class F, class Arg, class Out>
concept AnswersBatch =
    CallableNow<F, Arg, BatchContext> && is_batch_answer<AnswerOf<F, Arg, BatchContext>, Out>;

}  // namespace detail

/// `Out f(In)` or `Result<Out> f(In)`, with `const Context&` after it if wanted; or a struct whose
/// `serve` is that. Must be callable through const: it may be called from any thread.
template <class F, class In, class Out>
concept ServesRows = detail::CallableNow<F, In, Context> &&
                     std::convertible_to<detail::AnswerOf<F, In, Context>, Result<Out>>;

/// `Rows<Out> f(const Rows<In>&)`, also `Outcomes<Out>` or a `Result` of either, also from
/// `Batch<In>`, with `const BatchContext&` after it if wanted; or a struct whose `serve` is that.
template <class F, class In, class Out>
concept ServesBatches = (detail::AnswersBatch<F, Rows<In>, Out> ||
                         detail::AnswersBatch<F, const Batch<In>&, Out>)&&!ServesRows<F, In, Out>;

/// `void f(In, Completion<Out>)`, with `const Context&` between if wanted; or a struct whose
/// `submit` is that.
template <class F, class In, class Out>
concept CompletesRows = detail::CallableLater<F, In, Context, Completion<Out>>;

/// `void f(Rows<In>, BatchCompletion<Out>)`, with `const BatchContext&` between if wanted; or a
/// struct whose `submit` is that.
template <class F, class In, class Out>
concept CompletesBatches = detail::CallableLater<F, Rows<In>, BatchContext, BatchCompletion<Out>>;

/// Anything a servable from In to Out can be made of.
template <class F, class In, class Out>
concept ServableFunction = std::move_constructible<F> && Row<In> && Row<Out> &&
                           (ServesRows<F, In, Out> || ServesBatches<F, In, Out> ||
                            CompletesRows<F, In, Out> || CompletesBatches<F, In, Out>);

}  // namespace galley::inline v1
