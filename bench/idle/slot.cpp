#include <galley/compose/map.hpp>
#include <galley/core/executor.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/slot.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <support/allocations.hpp>
#include <support/report.hpp>
#include <support/timing.hpp>

#include <idle/cases.hpp>

#include <utility>

namespace bench {

namespace {

using IntStep = galley::Servable<int, int>;

/// A node that hands everything on: what a slot is but for the reading.
struct PassOn {
  static constexpr const char* kind = "pass_on";
  IntStep child;
  galley::NodeTraits traits() const { return child.traits(); }
  void each_child(galley::FunctionRef<void(const galley::NodeHeader&)> visit) const {
    visit(child.node());
  }
  galley::Outcomes<int> serve(const galley::Batch<int>& batch,
                              const galley::BatchContext& context) const {
    return child.serve_batch(batch, context);
  }
};

auto serve_int(Report& report, const IntStep& step) {
  return [&report, &step, x = 0]() mutable {
    do_not_optimise(x);
    const galley::Result<int> answer = step.serve(x);
    if (!answer.has_value() || *answer != x + 1) [[unlikely]] {
      report.check(false, step.name() + " answered wrongly");
    }
  };
}

}  // namespace

void slot_cases(Report& report) {
  const IntStep model = galley::map("increment", [](int x) { return x + 1; });
  const IntStep slotted = galley::slot("slot", model).servable;
  const IntStep plain = IntStep::of_node("pass on", PassOn{model});
  const auto read = [&] {
    return compare(serve_int(report, slotted), serve_int(report, plain)).difference;
  };

  Spread on_executor;
  Allocations allocations;
  galley::ThreadPool pool({.workers = 1});
  const galley::Result<void> ran = galley::Executor(pool).each_worker([&](galley::Worker&) {
    on_executor = read();
    allocations = count_allocations(serve_int(report, slotted));
  });
  report.check(ran.has_value(), "the pool ran nothing");
  report.add(
      {.id = "I7",
       .name = "reading a slot on a worker: slot over a map, less a node that only passes on",
       .metric = "paired difference",
       .unit = "ns",
       .goal = Goal::at_most(2)},
      on_executor);
  report.add({.id = "I7",
              .name = "the same inline, on a thread of the host",
              .metric = "paired difference",
              .unit = "ns",
              .goal = Goal::at_most(20)},
             read());
  report.add({.id = "I6",
              .name = "I7: serve through a slot on a worker, 1000 calls",
              .metric = "allocations",
              .unit = "",
              .goal = Goal::at_most(0)},
             static_cast<double>(allocations.count));
  allocation_case(report, "I7: serve through a slot inline", serve_int(report, slotted));
}

}  // namespace bench
