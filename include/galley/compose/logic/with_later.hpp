// with_later: a second opinion on some of a batch's rows.
#pragma once

#include <galley/core/outcomes.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/core/rows.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// The outcomes of a batch with those of some of its rows, named ascending, put in their place: a
/// second opinion.
///
/// Errors  internal for every row, where there is not one later outcome for each of some rows
/// Cost    values are moved
template <Row T>
Outcomes<T> with_later(Outcomes<T> first, std::span<const RowIndex> rows, Outcomes<T> later) {
  const std::size_t n = first.size();
  const bool ascend = std::ranges::adjacent_find(rows, std::greater_equal()) == rows.end();
  if (rows.size() != later.size() || !ascend || (!rows.empty() && rows.back() >= n)) {
    return Outcomes<T>::failed(
        n, Error(Status::internal, "with_later: got " + std::to_string(later.size()) +
                                       " outcomes for " + std::to_string(rows.size()) +
                                       " rows, expected one for each of some rows of the " +
                                       std::to_string(n) + ", ascending"));
  }
  if (rows.empty()) return first;
  std::vector<RowIndex> rest, kept;  // the other rows; the survivors among them, by their places
  Casualties casualties;
  std::size_t value = 0, named = 0;
  auto failed = first.casualties().mutable_span();
  for (std::size_t row = 0; row < n; ++row) {
    const bool is_named = named < rows.size() && rows[named] == row;
    named += is_named ? 1 : 0;
    if (!is_named) rest.push_back(static_cast<RowIndex>(row));
    if (!failed.empty() && failed.front().row == row) {
      if (!is_named) casualties.append(rest.size() - 1, std::move(failed.front().error));
      failed = failed.subspan(1);
    } else {
      if (!is_named) kept.push_back(static_cast<RowIndex>(value));
      ++value;
    }
  }
  std::array<PartOutcomes<T>, 2> parts{
      PartOutcomes<T>{
          rest, Outcomes<T>(std::move(first).survivors().select(kept), std::move(casualties))},
      PartOutcomes<T>{rows, std::move(later)}};
  return merge(n, std::span<PartOutcomes<T>>(parts));
}

}  // namespace galley::inline v1
