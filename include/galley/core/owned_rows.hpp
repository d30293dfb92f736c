// Owned rows: rows in memory that is safe to keep after the call that brought them.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>

#include <concepts>
#include <utility>

namespace galley::inline v1 {

/// Sees to it that the rows are in memory of their own, fit to outlive the call: a batch type that
/// may borrow memory says how with a member `owned()`, and with `is_owned()` that there is nothing
/// to do (`RowBatch`).
template <class T>
Result<void> make_owned(Rows<T>& rows) {
  if constexpr (requires { rows.is_owned(); }) {
    if (rows.is_owned()) return {};
  }
  if constexpr (requires {
                  { std::move(rows).owned() } -> std::same_as<Rows<T>>;
                }) {
    rows = std::move(rows).owned();
  } else if constexpr (requires { std::move(rows).owned(); }) {
    GALLEY_TRY(rows, std::move(rows).owned());
  }
  return {};
}

/// The same rows in memory of their own.
template <class T>
Result<Rows<T>> own_rows(Rows<T> rows) {
  GALLEY_TRY(make_owned(rows));
  return rows;
}

}  // namespace galley::inline v1
