// Result: a value or an error, with std::expected's member names.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/status.hpp>

#include <concepts>
#include <new>
#include <type_traits>
#include <utility>

/// Propagates an error: returns it from the enclosing function, or goes on with the value.
///
/// `GALLEY_TRY(declaration, expression)` initialises `declaration` from the value;
/// `GALLEY_TRY(expression)` discards it, for a `Result<void>`.
///
/// Example  GALLEY_TRY(const Tensor pixels, read_tensor(file));
#define GALLEY_TRY(...)                                                \
  GALLEY_TRY_PICK_(__VA_ARGS__, GALLEY_TRY_VALUE_, GALLEY_TRY_VOID_, ) \
  (GALLEY_TRY_JOIN_(galley_try_, __LINE__), __VA_ARGS__)
#define GALLEY_TRY_PICK_(a, b, pick, ...) pick
#define GALLEY_TRY_VOID_(name, expression) \
  if (auto name = (expression); !name.has_value()) return std::move(name).error()
#define GALLEY_TRY_VALUE_(name, declaration, expression) \
  auto name = (expression);                              \
  if (!name.has_value()) return std::move(name).error(); \
  declaration = *std::move(name)
#define GALLEY_TRY_JOIN_(a, b) GALLEY_TRY_JOIN2_(a, b)
#define GALLEY_TRY_JOIN2_(a, b) a##b

namespace galley::inline v1 {

template <class T = void>
class Result;

/// A value of type T, or the `Error` that stands in its place.
///
/// The members are named as in `std::expected<T, Error>`. Built implicitly from a T or from an
/// `Error`; a moved-from result keeps the alternative it had. `operator*` and `operator->` need
/// `has_value()`; `value_or` never fails. There is no throwing access: a caller branches.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = Error;

  Result()
    requires(std::default_initializable<T>)
      : has_value_(true) {
    new (&value_) T();
  }

  template <class U = T>
    requires(!std::same_as<std::remove_cvref_t<U>, Result> &&
             !std::same_as<std::remove_cvref_t<U>, Error> && std::constructible_from<T, U>)
  explicit(!std::convertible_to<U, T>) Result(U&& value)  // NOLINT: as std::expected
      : has_value_(true) {
    new (&value_) T(std::forward<U>(value));
  }

  Result(Error error) : has_value_(false) {  // NOLINT: as std::unexpected
    new (&error_) Error(std::move(error));
  }

  template <class... Args>
    requires(std::constructible_from<T, Args...>)
  explicit Result(std::in_place_t, Args&&... args) : has_value_(true) {
    new (&value_) T(std::forward<Args>(args)...);
  }

  Result(const Result& other)
    requires(std::copy_constructible<T>)
      : has_value_(other.has_value_) {
    if (has_value_) {
      new (&value_) T(other.value_);
    } else {
      new (&error_) Error(other.error_);
    }
  }
  Result(Result&& other) noexcept(std::is_nothrow_move_constructible_v<T>)
      : has_value_(other.has_value_) {
    take(std::move(other));
  }

  Result& operator=(const Result& other)
    requires(std::copy_constructible<T>)
  {
    Result copy(other);
    return *this = std::move(copy);
  }
  Result& operator=(Result&& other) noexcept(std::is_nothrow_move_constructible_v<T>) {
    if (this == &other) return *this;
    destroy();
    has_value_ = other.has_value_;
    take(std::move(other));
    return *this;
  }

  ~Result() { destroy(); }

  bool has_value() const noexcept { return has_value_; }
  explicit operator bool() const noexcept { return has_value_; }

  /// `ok`, or the error's status.
  Status status() const noexcept { return has_value_ ? Status::ok : error_.status; }

  T& operator*() & noexcept {
    GALLEY_ASSERT(has_value_);
    return value_;
  }
  const T& operator*() const& noexcept {
    GALLEY_ASSERT(has_value_);
    return value_;
  }
  T&& operator*() && noexcept {
    GALLEY_ASSERT(has_value_);
    return std::move(value_);
  }
  T* operator->() noexcept {
    GALLEY_ASSERT(has_value_);
    return &value_;
  }
  const T* operator->() const noexcept {
    GALLEY_ASSERT(has_value_);
    return &value_;
  }

  const Error& error() const& noexcept {
    GALLEY_ASSERT(!has_value_);
    return error_;
  }
  Error&& error() && noexcept {
    GALLEY_ASSERT(!has_value_);
    return std::move(error_);
  }

  template <class U>
  T value_or(U&& otherwise) const& {
    return has_value_ ? value_ : static_cast<T>(std::forward<U>(otherwise));
  }
  template <class U>
  T value_or(U&& otherwise) && {
    return has_value_ ? std::move(value_) : static_cast<T>(std::forward<U>(otherwise));
  }

  /// `f(value)`, which itself returns a result; an error passes through.
  template <class F>
  auto and_then(F&& f) && -> std::invoke_result_t<F, T> {
    if (has_value_) return std::forward<F>(f)(std::move(value_));
    return std::move(error_);
  }

  /// A result of `f(value)`; an error passes through.
  template <class F>
  auto transform(F&& f) && -> Result<std::invoke_result_t<F, T>> {
    if (has_value_) return std::forward<F>(f)(std::move(value_));
    return std::move(error_);
  }

  friend bool operator==(const Result& a, const Result& b)
    requires(std::equality_comparable<T>)
  {
    if (a.has_value_ != b.has_value_) return false;
    return a.has_value_ ? a.value_ == b.value_ : a.error_ == b.error_;
  }

 private:
  void take(Result&& other) {
    if (has_value_) {
      new (&value_) T(std::move(other.value_));
    } else {
      new (&error_) Error(std::move(other.error_));
    }
  }
  void destroy() noexcept {
    if (has_value_) {
      value_.~T();
    } else {
      error_.~Error();
    }
  }

  union {
    T value_;
    Error error_;
  };
  bool has_value_;
};

/// Success, or an `Error`.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  using error_type = Error;

  Result() = default;
  Result(Error error) : error_(std::move(error)), has_value_(false) {}  // NOLINT: as above

  bool has_value() const noexcept { return has_value_; }
  explicit operator bool() const noexcept { return has_value_; }
  Status status() const noexcept { return has_value_ ? Status::ok : error_.status; }

  const Error& error() const& noexcept {
    GALLEY_ASSERT(!has_value_);
    return error_;
  }
  Error&& error() && noexcept {
    GALLEY_ASSERT(!has_value_);
    return std::move(error_);
  }

  friend bool operator==(const Result& a, const Result& b) {
    return a.has_value_ == b.has_value_ && (a.has_value_ || a.error_ == b.error_);
  }

 private:
  Error error_;
  bool has_value_ = true;
};

}  // namespace galley::inline v1
