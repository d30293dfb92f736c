// RowTask: the coroutine that answers one row, and what it calls servables through.
#pragma once

#include <galley/compose/logic/coroutine_pool.hpp>
#include <galley/core/assert.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

namespace detail {

/// A call that a row waits for.
struct WaitingCall {
  std::size_t model;  ///< Which of the logic's servables.
};

/// What a caller is made of: where its request's coroutines live, and which servable it calls.
struct CallerSeat {
  CoroutineMemory* memory;
  std::size_t model;
};

/// What the promises of all rows share.
class RowPromise {
 public:
  // A coroutine's frame is where the first caller among its parameters says. Inlined, or else g++
  // takes the two for a mismatch (-Wmismatched-new-delete): this one is a template.
  template <class... Args>
  [[gnu::always_inline]] static void* operator new(std::size_t bytes, const Args&... args) {
    CoroutineMemory* memory = nullptr;
    ((memory = memory != nullptr ? memory : memory_of(args)), ...);
    return CoroutineMemory::take(memory, bytes);
  }
  static void operator delete(void* frame, std::size_t) noexcept { CoroutineMemory::give(frame); }

  std::suspend_always initial_suspend() const noexcept { return {}; }
  std::suspend_always final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { thrown = std::current_exception(); }

  WaitingCall* waits_for = nullptr;
  std::exception_ptr thrown;

 private:
  template <class Arg>
  static CoroutineMemory* memory_of(const Arg& arg) noexcept {
    if constexpr (std::derived_from<Arg, CallerSeat>) {
      return arg.memory;
    } else {
      return nullptr;
    }
  }
};

/// `co_await` on it sends `value` to a servable together with those of the other rows.
template <class A, class B>
class RowCall : public WaitingCall {
 public:
  RowCall(std::size_t which, A given) : WaitingCall{which}, value(std::move(given)) {}

  bool await_ready() const noexcept { return false; }
  template <std::derived_from<RowPromise> Promise>
  void await_suspend(std::coroutine_handle<Promise> row) noexcept {
    row.promise().waits_for = this;
  }
  Result<B> await_resume() {
    GALLEY_ASSERT(answer.has_value());
    return *std::move(answer);
  }

  A value;
  std::optional<Result<B>> answer;
};

}  // namespace detail

/// A servable as the coroutine of a row calls it: `Result<B> found = co_await servable(value)`.
///
/// The value goes to the servable in one batch with those that the other rows call it with in the
/// same round, and with the row's own deadline, stop token, priority and key.
///
/// Threads  a request's, one at a time; used in the coroutine that was given it, and awaited there
template <class A, class B>
class RowCaller : public detail::CallerSeat {
 public:
  explicit RowCaller(detail::CallerSeat seat) noexcept : detail::CallerSeat(seat) {}
  RowCaller(const RowCaller&) = delete;
  RowCaller& operator=(const RowCaller&) = delete;

  [[nodiscard]] detail::RowCall<A, B> operator()(A value) const {
    return detail::RowCall<A, B>(model, std::move(value));
  }
};

/// What the coroutine of one row returns; it ends with `co_return` of an Out, an `Error` or a
/// `Result<Out>`.
///
/// It may await calls of the servables it was given, one at a time, and nothing else. What it
/// throws is the row's `internal` error. Its parameters taken by reference live as long as it.
///
/// With g++ 12 await in statements: of `c ? co_await a(x) : co_await b(x)` and of
/// `co_await (c ? a(x) : b(x))` it destroys a temporary twice, and in a generic lambda
/// `(co_await a(x)).has_value()` does not parse.
template <Row Out>
class [[nodiscard]] RowTask {
 public:
  struct promise_type : detail::RowPromise {
    RowTask get_return_object() noexcept {
      return RowTask(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    void return_value(Result<Out> result) { answer.emplace(std::move(result)); }
    template <class A, class B>
    detail::RowCall<A, B>&& await_transform(detail::RowCall<A, B>&& call) noexcept {
      return std::move(call);
    }

    std::optional<Result<Out>> answer;
  };

  RowTask(RowTask&& other) noexcept : row_(std::exchange(other.row_, nullptr)) {}
  RowTask& operator=(RowTask&& other) noexcept {
    RowTask taken(std::move(other));
    std::swap(row_, taken.row_);
    return *this;
  }
  ~RowTask() {
    if (row_) row_.destroy();
  }

  /// Runs until the next call or the end.
  void resume() { row_.resume(); }
  bool done() const noexcept { return row_.done(); }
  /// What it waits for, while it is not done.
  detail::WaitingCall& waits_for() const noexcept { return *row_.promise().waits_for; }

  /// The answer, once it is done; by the mode, what it threw.
  template <class Mode>
  Result<Out> answer() {
    promise_type& promise = row_.promise();
    if (promise.thrown != nullptr) {
      return Mode::template call<Out>(
          [&promise]() -> Result<Out> { std::rethrow_exception(std::move(promise.thrown)); });
    }
    if (!promise.answer.has_value()) return Error(Status::internal, "ended without an answer");
    return *std::move(promise.answer);
  }

 private:
  explicit RowTask(std::coroutine_handle<promise_type> row) noexcept : row_(row) {}
  std::coroutine_handle<promise_type> row_;
};

namespace detail {

template <class T>
struct TaskOf {};
template <class Out>
struct TaskOf<RowTask<Out>> {
  using type = Out;
};

}  // namespace detail

}  // namespace galley::inline v1
