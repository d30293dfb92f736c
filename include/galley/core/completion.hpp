// Completion: the one answer that a request is owed.
#pragma once

#include <galley/core/exceptions.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>

#include <concepts>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

namespace detail {

/// A move-only function void(Answer), callable once; captures up to `inline_bytes` are held inline.
template <class Answer, std::size_t inline_bytes>
class Callback {
 public:
  Callback() = default;

  template <class F, class Mode>
    requires(std::invocable<std::remove_cvref_t<F>&, Answer>)
  Callback(F&& f, Mode) {
    using Stored = std::remove_cvref_t<F>;
    if constexpr (fits<Stored>) {
      new (storage_) Stored(std::forward<F>(f));
      ops_ = &inline_ops<Stored, Mode>;
    } else {
      new (storage_) Stored*(new Stored(std::forward<F>(f)));
      ops_ = &heap_ops<Stored, Mode>;
    }
  }

  Callback(Callback&& other) noexcept { steal(other); }
  Callback& operator=(Callback&& other) noexcept {
    if (this == &other) return *this;
    reset();
    steal(other);
    return *this;
  }
  ~Callback() { reset(); }

  explicit operator bool() const noexcept { return ops_ != nullptr; }

  /// Calls and destroys the function; without one, does nothing.
  void operator()(Answer&& answer) noexcept {
    if (const Ops* ops = std::exchange(ops_, nullptr)) ops->call(storage_, std::move(answer));
  }

 private:
  struct Ops {
    void (*call)(void*, Answer&&) noexcept;       // moves the function out of its storage first
    void (*move)(void* from, void* to) noexcept;  // null: the bytes are it
    void (*destroy)(void*) noexcept;              // null: nothing is to be done
  };

  template <class F>
  static constexpr bool fits = sizeof(F) <= inline_bytes && alignof(F) <= alignof(void*) &&
                               std::is_nothrow_move_constructible_v<F>;

  template <class F>
  static void move_inline(void* from, void* to) noexcept {
    new (to) F(std::move(*static_cast<F*>(from)));
    static_cast<F*>(from)->~F();
  }
  template <class F>
  static void destroy_inline(void* at) noexcept {
    static_cast<F*>(at)->~F();
  }

  template <class F, class Mode>
  static constexpr Ops inline_ops{[](void* at, Answer&& answer) noexcept {
                                    F f(std::move(*static_cast<F*>(at)));
                                    static_cast<F*>(at)->~F();
                                    Mode::discard([&] { f(std::move(answer)); });
                                  },
                                  std::is_trivially_copyable_v<F> ? nullptr : &move_inline<F>,
                                  std::is_trivially_copyable_v<F> ? nullptr : &destroy_inline<F>};

  template <class F, class Mode>
  static constexpr Ops heap_ops{[](void* at, Answer&& answer) noexcept {
                                  const std::unique_ptr<F> f(*static_cast<F**>(at));
                                  Mode::discard([&] { (*f)(std::move(answer)); });
                                },
                                nullptr, [](void* at) noexcept { delete *static_cast<F**>(at); }};

  void steal(Callback& other) noexcept {
    ops_ = std::exchange(other.ops_, nullptr);
    if (ops_ == nullptr) return;
    if (ops_->move == nullptr) {
      std::memcpy(storage_, other.storage_, inline_bytes);
    } else {
      ops_->move(other.storage_, storage_);
    }
  }
  void reset() noexcept {
    const Ops* const ops = std::exchange(ops_, nullptr);
    if (ops != nullptr && ops->destroy != nullptr) ops->destroy(storage_);
  }

  const Ops* ops_ = nullptr;
  alignas(void*) std::byte storage_[inline_bytes];
};

/// What an unanswered completion answers: an exception on its way out is the stage's failure.
inline Error dropped() {
  if (std::uncaught_exceptions() > 0) return Error(Status::internal, "threw before it answered");
  return Error(Status::cancelled, "the request was dropped unanswered");
}

}  // namespace detail

/// The answer owed for one row: call it once with a `Result<T>`, from any thread.
///
/// Destroyed unanswered, it answers `cancelled` (`internal` while an exception unwinds), so that no
/// request can vanish; a second answer is ignored. Callables of up to 48 bytes that move without
/// throwing are held without allocating. The function it calls must not throw: there is nobody left
/// to tell.
///
/// Threads  one thread at a time; may be moved to another
template <class T>
class Completion {
 public:
  Completion() = default;

  template <class F, class Mode = detail::ExceptionMode>
    requires(!std::same_as<std::remove_cvref_t<F>, Completion> &&
             std::invocable<std::remove_cvref_t<F>&, Result<T>>)
  Completion(F&& f, Mode mode = {})  // NOLINT: a lambda is a completion
      : callback_(std::forward<F>(f), mode) {}

  Completion(Completion&&) noexcept = default;
  Completion& operator=(Completion&& other) noexcept {
    if (this == &other) return *this;
    drop();
    callback_ = std::move(other.callback_);
    return *this;
  }
  ~Completion() { drop(); }

  /// True while the answer is still owed.
  explicit operator bool() const noexcept { return static_cast<bool>(callback_); }

  /// Answers.
  void operator()(Result<T> result) noexcept { callback_(std::move(result)); }

 private:
  void drop() noexcept {
    if (callback_) callback_(detail::dropped());
  }

  detail::Callback<Result<T>, 48> callback_;
};

/// The answer owed for a batch: call it once with one outcome per row, from any thread.
///
/// As `Completion`; it knows how many rows it owes and answers `internal` for all of them when
/// given another number of outcomes, or errors of rows it does not owe.
template <class T>
class BatchCompletion {
 public:
  BatchCompletion() = default;

  /// Owes `rows` outcomes to `f`.
  template <class F, class Mode = detail::ExceptionMode>
    requires(std::invocable<std::remove_cvref_t<F>&, Outcomes<T>>)
  BatchCompletion(std::size_t rows, F&& f, Mode mode = {})
      : callback_(std::forward<F>(f), mode), rows_(static_cast<RowIndex>(rows)) {}

  BatchCompletion(BatchCompletion&&) noexcept = default;
  BatchCompletion& operator=(BatchCompletion&& other) noexcept {
    if (this == &other) return *this;
    drop();
    callback_ = std::move(other.callback_);
    rows_ = other.rows_;
    return *this;
  }
  ~BatchCompletion() { drop(); }

  explicit operator bool() const noexcept { return static_cast<bool>(callback_); }

  /// How many outcomes are owed.
  std::size_t rows() const noexcept { return rows_; }

  /// Answers.
  void operator()(Outcomes<T>&& outcomes) noexcept {
    if (!outcomes.answers(rows_)) [[unlikely]] {
      outcomes = Outcomes<T>::failed(rows_, detail::miscounted(outcomes.size(), rows_));
    }
    callback_(std::move(outcomes));
  }

  /// Answers all rows with one error.
  void fail(const Error& error) noexcept { callback_(Outcomes<T>::failed(rows_, error)); }

 private:
  void drop() noexcept {
    if (callback_) fail(detail::dropped());
  }

  detail::Callback<Outcomes<T>, 64> callback_;  // room for a Completion
  RowIndex rows_ = 0;
};

}  // namespace galley::inline v1
