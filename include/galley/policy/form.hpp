// Which of a model's forms runs a batch.
#pragma once

#include <galley/policy/cost_table.hpp>

#include <cstddef>
#include <span>

namespace galley::inline v1 {

/// The form with the lowest cost for a batch of `rows` rows, where costs between the sizes that
/// were measured lie on lines between them. The first form stands unless another is faster by more
/// than `CostTable::worth_while`; of a form of which nothing was measured, nothing is known.
///
/// `forms` is not empty.
///
/// Cost  O(forms · log sizes)
inline std::size_t fastest_form(std::span<const CostTable> forms, std::size_t rows) noexcept {
  std::size_t best = 0;
  for (std::size_t i = 1; i < forms.size(); ++i) {
    if (forms[i].empty() || forms[best].empty()) continue;
    const auto cost = static_cast<double>(forms[i].mean(rows).count());
    const double margin = best == 0 ? CostTable::worth_while : 1.0;
    if (cost * margin < static_cast<double>(forms[best].mean(rows).count())) best = i;
  }
  return best;
}

}  // namespace galley::inline v1
