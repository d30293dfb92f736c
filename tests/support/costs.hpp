// A cost table for tests.
#pragma once

#include <galley/policy/cost_table.hpp>

#include <cstddef>
#include <initializer_list>
#include <utility>

namespace support {

/// A table that has seen batches of these sizes, ten times each.
inline galley::CostTable table_of(
    std::initializer_list<std::pair<std::size_t, galley::Duration>> costs) {
  galley::CostTable table;
  for (const auto& [rows, took] : costs) {
    for (int i = 0; i < 10; ++i) table.observe(rows, took);
  }
  return table;
}

}  // namespace support
