// Outcomes of which some rows were asked again.
#pragma once

#include <galley/core/outcomes.hpp>
#include <galley/core/row_algebra.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// `before`, with `later` in the place of its rows `rows`, which are casualties, ascending.
template <Row T>
Outcomes<T> replaced(Outcomes<T> before, std::span<const RowIndex> rows, Outcomes<T> later) {
  const std::size_t n = before.size();
  if (rows.size() == n) return later;
  std::vector<RowIndex> kept;
  kept.reserve(n - rows.size());
  Casualties casualties;
  auto failed = before.casualties().mutable_span();
  auto again = rows.begin();
  for (std::size_t row = 0; row < n; ++row) {
    const bool is_failed = !failed.empty() && failed.front().row == row;
    if (again != rows.end() && *again == row) {
      ++again;
    } else {
      if (is_failed) casualties.append(kept.size(), std::move(failed.front().error));
      kept.push_back(static_cast<RowIndex>(row));
    }
    if (is_failed) failed = failed.subspan(1);
  }
  std::array<PartOutcomes<T>, 2> parts{
      PartOutcomes<T>{kept, Outcomes<T>(std::move(before).survivors(), std::move(casualties))},
      PartOutcomes<T>{rows, std::move(later)}};
  return merge(n, std::span<PartOutcomes<T>>(parts));
}

}  // namespace galley::inline v1::detail
