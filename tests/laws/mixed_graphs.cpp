// Leaves, and what carries rows without looking at them: pipelines, executors, slots, batches.
#include <galley/compose/batched.hpp>
#include <galley/compose/in_order.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/slot.hpp>
#include <galley/policy/batch/size_or_delay.hpp>

#include <laws/mixed.hpp>

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace mixed {

using galley::Batch;
using galley::BatchCompletion;
using galley::BatchContext;
using galley::Completion;

namespace {

template <class F>
Outcomes<int> row_by_row(std::size_t rows, F&& answer) {
  Outcomes<int> outcomes;
  for (std::size_t i = 0; i < rows; ++i) {
    Result<int> one = answer(i);
    if (one.has_value()) {
      outcomes.survivors().push_back(*one);
    } else {
      outcomes.casualties().append(i, one.error());
    }
  }
  return outcomes;
}

/// What a leaf does to a row: a few it refuses, a few make it throw.
struct Step {
  int factor, offset, divisor;
  Status refusal;
  bool throws;
  std::shared_ptr<int> alive;

  bool is_bad(int n) const { return modulo(n, divisor) == 1; }
  int value(int n) const { return (n * factor + offset) % 1000; }

  Result<int> refused(int n) const {
    if (!is_bad(n)) return value(n);
    return Error(refusal, "no " + std::to_string(n));
  }
  Result<int> operator()(int n) const {
    if (throws && is_bad(n)) throw std::runtime_error("bad row");
    return refused(n);
  }
  Result<int> meaning(int n) const {
    if (!is_bad(n)) return value(n);
    return Error(throws ? Status::internal : refusal);
  }
};

/// The same of a whole batch, for which one throw is one of all rows.
struct Steps {
  Step step;

  /// Throws where at most two rows would, which halving finds in the calls that it has.
  Outcomes<int> operator()(const Batch<int>& rows) const {
    std::size_t bad = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) bad += step.is_bad(rows[i]) ? 1 : 0;
    if (step.throws && bad > 0 && bad <= 2) throw std::runtime_error("bad row");
    return row_by_row(rows.size(), [&](std::size_t i) -> Result<int> {
      if (step.throws && step.is_bad(rows[i])) return Error(Status::internal, "threw: bad row");
      return step.refused(rows[i]);
    });
  }
};

}  // namespace

Servable<int, int> spoken(std::string name, Meaning meaning) {
  return {std::move(name),
          [meaning = std::move(meaning)](const Batch<int>& rows, const BatchContext& context) {
            return row_by_row(rows.size(), [&](std::size_t i) {
              return meaning({rows[i], context.keys()[i]});
            });
          }};
}

Rows<int> Maker::rows(int most) {
  Rows<int> drawn;
  for (int n = number(most + 1); n > 0; --n) drawn.push_back(number(200) - 100);
  return drawn;
}

std::vector<galley::Key> Maker::keys(std::size_t rows) {
  std::vector<galley::Key> drawn;
  while (drawn.size() < rows) drawn.push_back(static_cast<galley::Key>(number(20)));
  return drawn;
}

Graph Maker::graph(int depth) {
  using Make = Graph (Maker::*)(int);
  static constexpr Make makes[] = {
      &Maker::handed_on,  &Maker::slotted,    &Maker::batched,
      &Maker::ordered,    &Maker::routed,     &Maker::split_by_key,
      &Maker::classified, &Maker::guarded,    &Maker::filtered,
      &Maker::cascaded,   &Maker::backed,     &Maker::remembered,
      &Maker::timed,      &Maker::retried,    &Maker::hedged,
      &Maker::broken,     &Maker::shadowed,   &Maker::voted,
      &Maker::expanded,   &Maker::programmed, &Maker::programmed_together,
      &Maker::padded,
  };
  if (depth == 0 || --nodes_left_ < 0) return leaf();
  if (one_in(7)) return joined(depth - 1);
  return (this->*makes[number(std::size(makes))])(depth - 1);
}

std::vector<Graph> Maker::several(int least, int most, int depth) {
  std::vector<Graph> drawn;
  for (int n = least + number(most - least + 1); n > 0; --n) drawn.push_back(graph(depth));
  return drawn;
}

Graph Maker::leaf() {
  if (wants_slot_ && one_in(2)) return slot_leaf();
  const std::string name = this->name("s");
  const Step step{.factor = number(5) - 2,
                  .offset = number(21) - 10,
                  .divisor = 5 + number(15),
                  .refusal = one_in(2) ? Status::invalid_argument : Status::not_found,
                  .throws = one_in(3),
                  .alive = alive_};
  const Meaning meaning = [step](const Row& row) { return step.meaning(row.value); };
  Servable<int, int> made = [&]() -> Servable<int, int> {
    switch (number(5)) {
      case 0:
        return galley::map_batch(name, Steps{step});
      case 1:
        return {name, [step](int n, Completion<int> done) { done(step.meaning(n)); }};
      case 2:
        return {
            name, [step](const Rows<int>& rows, BatchCompletion<int> done) {
              done(row_by_row(rows.size(), [&](std::size_t i) { return step.meaning(rows[i]); }));
            }};
      case 3:
        return spoken(name, meaning);
      default:
        return galley::map(name, step);
    }
  }();
  if (plan_ == nullptr) return {made, meaning};
  const bool now = made.traits().inline_only && one_in(2);
  return {now ? galley::faulty_now(made, plan_) : galley::faulty_later(made, plan_), meaning};
}

Graph Maker::slot_leaf() {
  wants_slot_ = false;
  const auto made = galley::slot(name("slot"), version(1));
  publisher_ = made.publisher;
  return {made.servable, [](const Row& row) -> Result<int> {
            return (row.value * 3 + 7 * static_cast<int>(row.version)) % 1000;
          }};
}

Servable<int, int> Maker::version(galley::VersionId number) {
  const auto answer = galley::map(
      "v", [number = static_cast<int>(number), alive = alive_, when_asked = when_asked_](int n) {
        if (*when_asked) (*when_asked)();
        return (n * 3 + 7 * number) % 1000;
      });
  // Any of these stands in for any other: a slot keeps what its first version promised.
  return one_in(2) ? galley::on(executor_, answer) : galley::batched(executor_, answer);
}

galley::VersionId Maker::publish() {
  if (!publisher_.has_value()) return 0;
  const galley::VersionId next = publisher_->status().current + 1;
  return publisher_->publish(version(next)).value_or(0);
}

Graph Maker::joined(int depth) {
  const Graph a = graph(depth), b = graph(depth);
  return {a.servable | b.servable, [a = a.meaning, b = b.meaning](const Row& row) {
            const Result<int> mid = a(row);
            return mid.has_value() ? b(row.with(*mid)) : mid;
          }};
}

Graph Maker::handed_on(int depth) {
  const Graph inner = graph(depth);
  return {galley::on(executor_, inner.servable), inner.meaning};
}

Graph Maker::slotted(int depth) {
  const Graph inner = graph(depth);
  const auto made = galley::slot("slot of " + inner.servable.name(), inner.servable);
  if (made.publisher.publish(inner.servable).has_value() && one_in(2)) {
    (void)made.publisher.rollback();
  }
  return {made.servable, inner.meaning};
}

Graph Maker::batched(int depth) {
  using namespace std::chrono_literals;
  const Graph inner = graph(depth);
  galley::BatchOptions options;
  options.max_rows = static_cast<std::size_t>(1 + number(9));
  if (one_in(2)) options.caller_runs = galley::CallerRuns::never;
  if (one_in(3)) options.sizes = {options.max_rows};
  if (one_in(2)) return {galley::batched(executor_, inner.servable, options), inner.meaning};
  const galley::SizeOrDelay policy{static_cast<std::size_t>(1 + number(5)), 1ms};
  return {galley::batched(executor_, inner.servable, options, policy), inner.meaning};
}

Graph Maker::ordered(int depth) {
  const Graph inner = graph(depth);
  return {galley::in_order(inner.servable), inner.meaning};
}

}  // namespace mixed
