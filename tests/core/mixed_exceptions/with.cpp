// The file with exceptions: 13 throws, in stages, in completions and in copies.
#include <galley/compose/batched.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/padded.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/slot.hpp>
#include <galley/testing/manual_executor.hpp>

#include <core/mixed_exceptions/shared.hpp>

#include <cstdio>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

constexpr bool throws = true;

int plus_one(int n) {
  if (n == 13) throw std::runtime_error("13");
  return n + 1;
}
galley::Rows<int> all_plus_one(const galley::Rows<int>& rows) {
  galley::Rows<int> out;
  for (int n : rows) out.push_back(plus_one(n));
  return out;
}
void plus_one_later(int n, galley::Completion<int> done) {
  done(plus_one(n));
}
void all_plus_one_later(galley::Rows<int> rows, galley::BatchCompletion<int> done) {
  done(all_plus_one(rows));
}
int value_of(const Fragile& row) {
  return row.value;
}
float measured(const galley::Tensor& row) {
  float sum = 0;
  const std::span<const float> numbers = *row.span<float>();
  for (const float number : numbers) sum += number;
  if (sum == 39) throw std::runtime_error("39");
  return sum;
}
void hear(int value);
void listen(galley::Result<int> result) {
  if (!result.has_value()) throw std::runtime_error("a completion that throws");
  hear(*result);
}
void listen_all(galley::Outcomes<int> outcomes) {
  for (int n : outcomes.survivors()) hear(n);
  throw std::runtime_error("a completion that throws");
}

#include <core/mixed_exceptions/cases.hpp>

void hear(int value) {
  heard_sum += value;
}

}  // namespace

Fragile::Fragile(const Fragile& other) : value(other.value) {
  if (value == 13) throw std::runtime_error("cannot copy 13");
}

int failures_with_exceptions() {
  run_cases();
  return failures;
}

galley::Servable<int, int> model_with_exceptions() {
  const Steps steps = all_plus_one;
  return galley::map_batch("with", steps);
}

galley::Servable<int, int> batched_with_exceptions(const galley::Executor& executor,
                                                   galley::Servable<int, int> model) {
  return batches(executor, std::move(model));
}
