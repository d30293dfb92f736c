// Outcomes: what became of each row of a batch, as survivors and casualties.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// A row that has no value, and why.
struct Casualty {
  RowIndex row = 0;
  Error error;
};

/// The rows of one batch that failed, by ascending row; null while there are none, so that a batch
/// without failures allocates nothing for them.
class Casualties {
 public:
  bool empty() const noexcept { return list_ == nullptr; }
  std::size_t size() const noexcept { return list_ == nullptr ? 0 : list_->size(); }
  std::span<const Casualty> span() const noexcept {
    return list_ == nullptr ? std::span<const Casualty>() : std::span<const Casualty>(*list_);
  }
  auto begin() const noexcept { return span().begin(); }
  auto end() const noexcept { return span().end(); }

  /// Adds a row beyond all that are here.
  [[gnu::noinline]] void append(std::size_t row, Error error) {
    if (list_ == nullptr) list_.reset(new std::vector<Casualty>());
    GALLEY_ASSERT(list_->empty() || list_->back().row < row);
    list_->push_back({static_cast<RowIndex>(row), std::move(error)});
  }

  /// Adds a row anywhere; it must not be here yet. O(size).
  void insert(std::size_t row, Error error) {
    if (list_ == nullptr) list_.reset(new std::vector<Casualty>());
    const auto at = list_->begin() + static_cast<std::ptrdiff_t>(before(row));
    GALLEY_ASSERT(at == list_->end() || at->row != row);
    list_->insert(at, {static_cast<RowIndex>(row), std::move(error)});
  }

  /// The error of `row`, or null where that row survived. O(log size).
  const Error* find(std::size_t row) const noexcept {
    const std::size_t at = before(row);
    return at < size() && (*list_)[at].row == row ? &(*list_)[at].error : nullptr;
  }

  /// How many casualties lie before `row`. O(log size).
  std::size_t before(std::size_t row) const noexcept {
    if (list_ == nullptr) return 0;
    const auto less = [](const Casualty& casualty, std::size_t r) { return casualty.row < r; };
    const auto at = std::lower_bound(list_->begin(), list_->end(), row, less);
    return static_cast<std::size_t>(at - list_->begin());
  }

  /// True when they are in order and all of them below `rows`.
  bool are_rows_of(std::size_t rows) const noexcept {
    std::size_t least = 0;
    for (const Casualty& casualty : span()) {
      if (casualty.row < least || casualty.row >= rows) return false;
      least = std::size_t{casualty.row} + 1;
    }
    return true;
  }

  /// The errors, to be moved out of.
  std::span<Casualty> mutable_span() noexcept {
    return list_ == nullptr ? std::span<Casualty>() : std::span<Casualty>(*list_);
  }

 private:
  // Out of line: what only failures need stays out of the callers' fast paths.
  struct Destroy {
    [[gnu::noinline]] void operator()(std::vector<Casualty>* list) const noexcept { delete list; }
  };
  std::unique_ptr<std::vector<Casualty>, Destroy> list_;
};

namespace detail {

/// What is said of `got` outcomes where `rows` were expected, or of casualties beyond them.
inline Error miscounted(std::size_t got, std::size_t rows) {
  return Error(Status::internal,
               got == rows
                   ? "answered for rows that are not in the batch of " + std::to_string(rows)
                   : "answered " + std::to_string(got) + " rows, expected " + std::to_string(rows));
}

}  // namespace detail

/// One outcome per row of a batch, in order: the values of the rows that succeeded, dense, and the
/// errors of those that did not.
///
/// `outcomes[i]` looks at row i; `survivors()` are the values alone, to go on with.
///
/// Threads  thread-compatible
/// Cost     without casualties nothing beside `Rows<T>` is stored or allocated
template <class T>
class Outcomes {
 public:
  using value_type = T;

  /// What became of one row: a look into the outcomes, valid as long as they are.
  class Reference {
   public:
    bool has_value() const noexcept { return error_ == nullptr; }
    explicit operator bool() const noexcept { return has_value(); }
    Status status() const noexcept { return has_value() ? Status::ok : error_->status; }
    decltype(auto) operator*() const {
      GALLEY_ASSERT(has_value());
      return std::as_const(*rows_)[at_];
    }
    const Error& error() const noexcept {
      GALLEY_ASSERT(!has_value());
      return *error_;
    }
    /// A copy of the outcome that stands alone.
    Result<T> result() const {
      if (has_value()) return Result<T>(T(**this));
      return *error_;
    }

   private:
    friend class Outcomes;
    Reference(const Rows<T>* rows, std::size_t at, const Error* error) noexcept
        : rows_(rows), at_(at), error_(error) {}
    const Rows<T>* rows_;
    std::size_t at_;
    const Error* error_;
  };

  /// No rows.
  Outcomes() = default;

  /// All rows succeeded with these values.
  Outcomes(Rows<T> values) : survivors_(std::move(values)) {}  // NOLINT: a batch is its outcome

  /// All rows succeeded with the values that `make` returns; they are made in place.
  template <class Make>
    requires(std::same_as<std::invoke_result_t<Make&>, Rows<T>>)
  Outcomes(std::in_place_t, Make&& make) : survivors_(make()) {}

  /// `survivors` for the rows that `casualties` does not name.
  Outcomes(Rows<T> survivors, Casualties casualties)
      : survivors_(std::move(survivors)), casualties_(std::move(casualties)) {}

  /// `rows` rows that all failed for the same reason.
  static Outcomes failed(std::size_t rows, const Error& error) {
    Casualties all;
    for (std::size_t i = 0; i < rows; ++i) all.append(i, error);
    return Outcomes(Rows<T>(), std::move(all));
  }

  /// One row's outcome.
  static Outcomes single(Result<T> result) {
    if (result.has_value()) return Outcomes(Rows<T>::single(*std::move(result)));
    return failed(1, result.error());
  }

  /// Rows in all, survivors and casualties.
  std::size_t size() const noexcept { return survivors_.size() + casualties_.size(); }
  bool empty() const noexcept { return size() == 0; }

  /// True when no row failed.
  bool all_ok() const noexcept { return casualties_.empty(); }

  /// True when these are the outcomes of `rows` rows: as many, and no casualty beyond them.
  bool answers(std::size_t rows) const noexcept {
    if (size() != rows) return false;
    return casualties_.empty() || casualties_.are_rows_of(rows);
  }

  /// What became of row i. O(log casualties).
  Reference operator[](std::size_t i) const noexcept {
    GALLEY_ASSERT(i < size());
    if (casualties_.empty()) return Reference(&survivors_, i, nullptr);
    const Error* error = casualties_.find(i);
    return Reference(&survivors_, error != nullptr ? 0 : i - casualties_.before(i), error);
  }

  const Rows<T>& survivors() const& noexcept { return survivors_; }
  Rows<T>& survivors() & noexcept { return survivors_; }
  Rows<T>&& survivors() && noexcept { return std::move(survivors_); }
  const Casualties& casualties() const& noexcept { return casualties_; }
  Casualties&& casualties() && noexcept { return std::move(casualties_); }
  Casualties& casualties() & noexcept { return casualties_; }

  /// The outcome of a batch of one.
  Result<T> only() && {
    GALLEY_ASSERT(size() == 1);
    if (!casualties_.empty()) return std::move(casualties_.mutable_span().front().error);
    if constexpr (std::is_lvalue_reference_v<decltype(survivors_[0])>) {
      return Result<T>(std::move(survivors_[0]));
    } else {
      return Result<T>(std::move(survivors_)[0]);
    }
  }

 private:
  Rows<T> survivors_;
  Casualties casualties_;
};

}  // namespace galley::inline v1
