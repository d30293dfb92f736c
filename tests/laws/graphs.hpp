// Random graphs over numbers, each beside what it must answer, row by row.
#pragma once

#include <galley/compose/batching/options.hpp>
#include <galley/compose/in_order.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/slot.hpp>
#include <galley/testing/manual_executor.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>

namespace laws {

using galley::Batch;
using galley::BatchCompletion;
using galley::Casualties;
using galley::Completion;
using galley::Error;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;

/// What one row becomes, by a plain function.
using Reference = std::function<Result<int>(int)>;

/// A servable and its meaning.
struct Graph {
  Servable<int, int> servable;
  Reference reference;
};

/// How many ways of batching there are.
inline constexpr int batchings = 5;

/// `inner`, batched in the nth way. Some of them wait on the executor's clock.
Servable<int, int> batched_by(int nth, const galley::Executor& executor,
                              const Servable<int, int>& inner,
                              const galley::BatchOptions& options = {});

/// Draws graphs of maps, whole-batch maps, later answers, executors, batchers, orders, slots and
/// pipelines.
class GraphMaker {
 public:
  GraphMaker(unsigned seed, galley::Executor executor)
      : random_(seed), executor_(std::move(executor)) {}

  int number(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  Rows<int> rows(std::size_t most) {
    Rows<int> drawn;
    for (std::size_t n = random_() % (most + 1); n > 0; --n) drawn.push_back(number(200) - 100);
    return drawn;
  }

  /// A graph of at most about 2^depth stages.
  Graph graph(int depth);

  galley::BatchOptions options();

  static Reference then(Reference a, Reference b) {
    return [a = std::move(a), b = std::move(b)](int n) { return a(n).and_then(b); };
  }

 private:
  Graph leaf();

  std::mt19937 random_;
  galley::Executor executor_;
  int next_name_ = 0;
};

/// True when `got` is what `wanted` says, or what law 2 allows beside it: halving was given up.
template <class Got>
bool agrees(const Got& got, const Result<int>& wanted) {
  if (got.has_value()) return wanted.has_value() && *got == *wanted;
  if (got.status() == Status::unavailable &&
      got.error().detail.find("given up") != std::string::npos) {
    return true;
  }
  return !wanted.has_value() && got.error() == wanted.error();
}

/// The first row that is not as its reference says, or -1.
inline int first_wrong(const Rows<int>& rows, const Outcomes<int>& outcomes,
                       const Reference& reference) {
  if (outcomes.size() != rows.size()) return static_cast<int>(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!agrees(outcomes[i], reference(rows[i]))) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace laws
