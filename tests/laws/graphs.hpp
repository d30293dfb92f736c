// Random graphs over numbers, each beside what it must answer, row by row.
#pragma once

#include <galley/compose/batched.hpp>
#include <galley/compose/in_order.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/slot.hpp>
#include <galley/policy/batch/preferred_sizes.hpp>
#include <galley/policy/batch/size_or_delay.hpp>
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
inline Servable<int, int> batched_by(int nth, const galley::Executor& executor,
                                     const Servable<int, int>& inner,
                                     const galley::BatchOptions& options = {}) {
  using namespace std::chrono_literals;
  switch (nth) {
    case 0:
      return galley::batched(executor, inner, options);
    case 1:
      return galley::batched(executor, inner, options, galley::LearnedCap{.max_yields = 0});
    case 2:
      return galley::batched(executor, inner, options, galley::SizeOrDelay{5, 1ms});
    case 3:
      return galley::batched(executor, inner, options, galley::PreferredSizes{{2, 3}, 1ms});
    default:
      return galley::batched(executor, inner, options, galley::SizeOrDelay{.max_rows = 1});
  }
}

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
  Graph graph(int depth) {
    switch (depth > 0 ? number(10) : 0) {
      case 1:
      case 2:
      case 3:
      case 4: {
        Graph a = graph(depth - 1), b = graph(depth - 1);
        return {a.servable | b.servable, then(a.reference, b.reference)};
      }
      case 5: {
        Graph inner = graph(depth - 1);
        return {galley::on(executor_, inner.servable), inner.reference};
      }
      case 6: {
        Graph inner = graph(depth - 1);
        return {slotted(inner.servable), inner.reference};
      }
      case 7: {
        Graph inner = graph(depth - 1);
        return {batched_by(number(batchings), executor_, inner.servable, options()),
                inner.reference};
      }
      case 8: {
        Graph inner = graph(depth - 1);
        return {galley::in_order(inner.servable), inner.reference};
      }
      default:
        return leaf();
    }
  }

  galley::BatchOptions options() {
    galley::BatchOptions drawn;
    drawn.max_rows = static_cast<std::size_t>(1 + number(9));
    if (number(2) == 0) drawn.caller_runs = galley::CallerRuns::never;
    if (number(3) != 0) return drawn;
    for (std::size_t size = 1; size <= drawn.max_rows; ++size) {
      if (number(3) == 0) drawn.sizes.push_back(size);
    }
    return drawn;
  }

  static Reference then(Reference a, Reference b) {
    return [a = std::move(a), b = std::move(b)](int n) { return a(n).and_then(b); };
  }

 private:
  Graph leaf() {
    const std::string name = "s" + std::to_string(next_name_++);
    const int factor = number(5) - 2, offset = number(21) - 10, divisor = 3 + number(12);
    const auto step = [=](int n) -> Result<int> {
      if (n % divisor == 1) return Error(Status::invalid_argument, "no " + std::to_string(n));
      return (n * factor + offset) % 1000;
    };
    const auto steps = [step](const Batch<int>& batch) {
      Outcomes<int> outcomes;
      for (std::size_t i = 0; i < batch.size(); ++i) {
        Result<int> one = step(batch[i]);
        if (one.has_value()) {
          outcomes.survivors().push_back(*one);
        } else {
          outcomes.casualties().append(i, one.error());
        }
      }
      return outcomes;
    };
    const Reference named = [=](int n) -> Result<int> {
      Result<int> one = step(n);
      if (!one.has_value()) return within(name, one.error());
      return one;
    };
    switch (number(6)) {
      case 0:
        return {galley::map_batch(name, [steps](const Batch<int>& rows) { return steps(rows); }),
                named};
      case 1:
        return {Servable(name, [step](int n, Completion<int> done) { done(step(n)); }), named};
      case 2:
        return {Servable(name,
                         [steps](Rows<int> rows, BatchCompletion<int> done) { done(steps(rows)); }),
                named};
      case 3:
        return thrower(name, factor, offset);
      default:
        return {galley::map(name, step), named};
    }
  }

  /// A kernel that throws for its whole batch when one row is bad, which is rare.
  static Graph thrower(const std::string& name, int factor, int offset) {
    const auto is_bad = [](int n) { return n % 17 == 5; };
    return {galley::map_batch(name,
                              [=](const Rows<int>& rows) {
                                Rows<int> out;
                                for (int n : rows) {
                                  if (is_bad(n)) throw std::runtime_error("bad row");
                                  out.push_back((n * factor + offset) % 1000);
                                }
                                return out;
                              }),
            [=](int n) -> Result<int> {
              if (is_bad(n)) return Error(Status::internal, name + ": threw: bad row");
              return (n * factor + offset) % 1000;
            }};
  }

  /// Behind a slot that has seen a version come and go.
  static Servable<int, int> slotted(const Servable<int, int>& inner) {
    const auto made = galley::slot("slot of " + inner.name(), inner);
    if (made.publisher.publish(inner).has_value()) (void)made.publisher.rollback();
    return made.servable;
  }

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
