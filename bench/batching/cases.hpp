// The parts of the batching benchmark.
#pragma once

#include <galley/core/servable.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>

#include <support/models.hpp>
#include <support/report.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bench {

using Model = galley::Servable<galley::Tensor, galley::Tensor>;

/// A model both ways: as a servable, and bare.
struct Subject {
  std::string name;
  std::string file;
  galley::Shape row;
  Model served;
  std::unique_ptr<Bare> bare;
  at::Tensor image;       ///< [1, *F]
  galley::Tensor sample;  ///< The same row, its memory owned by galley.
  galley::Tensor answer;  ///< What the bare call answers to it.

  /// The bare input of `rows` such rows.
  at::Tensor inputs(std::int64_t rows) const;
};

/// MLP 64-64-64, MLP 784-512-512-10 and the CNN. Fails the report where one cannot be loaded.
std::vector<Subject> subjects(Report& report);

/// B1, B2: one client.
void alone_cases(Report& report, std::vector<Subject>& subjects);

/// B3 … B6: as many rows as the workers can take.
void saturated_cases(Report& report, std::vector<Subject>& subjects);

/// B7 … B10: clients that block.
void client_cases(Report& report, std::vector<Subject>& subjects);

/// B11: single rows that arrive at a rate of their own, below the capacity.
void open_cases(Report& report, std::vector<Subject>& subjects);

/// B12, B13: the same above it and in bursts, with a deadline.
void overload_cases(Report& report, std::vector<Subject>& subjects);

/// Other systems' policies beside `batched`, on the same executor.
void rival_cases(Report& report, std::vector<Subject>& subjects);

/// B14, B15: what is taken from the heap.
void memory_cases(Report& report, std::vector<Subject>& subjects);

}  // namespace bench
