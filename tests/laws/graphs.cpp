// What GraphMaker draws, compiled once for all the laws.
#include <galley/compose/batched.hpp>
#include <galley/policy/batch/preferred_sizes.hpp>
#include <galley/policy/batch/size_or_delay.hpp>

#include <laws/graphs.hpp>

#include <chrono>
#include <stdexcept>
#include <string>

namespace laws {

Servable<int, int> batched_by(int nth, const galley::Executor& executor,
                              const Servable<int, int>& inner,
                              const galley::BatchOptions& options) {
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

namespace {

/// A kernel that throws for its whole batch when one row is bad, which is rare.
Graph thrower(const std::string& name, int factor, int offset) {
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
Servable<int, int> slotted(const Servable<int, int>& inner) {
  const auto made = galley::slot("slot of " + inner.name(), inner);
  if (made.publisher.publish(inner).has_value()) (void)made.publisher.rollback();
  return made.servable;
}

}  // namespace

Graph GraphMaker::graph(int depth) {
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
      const int way = number(batchings);
      return {batched_by(way, executor_, inner.servable, options()), inner.reference};
    }
    case 8: {
      Graph inner = graph(depth - 1);
      return {galley::in_order(inner.servable), inner.reference};
    }
    default:
      return leaf();
  }
}

galley::BatchOptions GraphMaker::options() {
  galley::BatchOptions drawn;
  drawn.max_rows = static_cast<std::size_t>(1 + number(9));
  if (number(2) == 0) drawn.caller_runs = galley::CallerRuns::never;
  if (number(3) != 0) return drawn;
  for (std::size_t size = 1; size <= drawn.max_rows; ++size) {
    if (number(3) == 0) drawn.sizes.push_back(size);
  }
  return drawn;
}

Graph GraphMaker::leaf() {
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
      return {
          Servable(name, [steps](Rows<int> rows, BatchCompletion<int> done) { done(steps(rows)); }),
          named};
    case 3:
      return thrower(name, factor, offset);
    default:
      return {galley::map(name, step), named};
  }
}

}  // namespace laws
