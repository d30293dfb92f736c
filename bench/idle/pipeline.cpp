#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/core/servable.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/allocations.hpp>
#include <support/report.hpp>
#include <support/timing.hpp>

#include <idle/cases.hpp>

#include <cstddef>
#include <string>

namespace bench {

namespace {

using IntStep = galley::Servable<int, int>;

IntStep increment() {
  return galley::map("increment", [](int x) { return x + 1; });
}

/// A pipeline of `stages` increments.
IntStep increments(std::size_t stages) {
  IntStep all = increment();
  for (std::size_t i = 1; i < stages; ++i) all = all | increment();
  return all;
}

/// Serves one int; the answer is compared so that nothing can be left out.
auto serve_int(Report& report, const IntStep& step, int added) {
  return [&report, &step, added, x = 0]() mutable {
    do_not_optimise(x);
    const galley::Result<int> answer = step.serve(x);
    if (!answer.has_value() || *answer != x + added) [[unlikely]] {
      report.check(false, step.name() + " answered wrongly");
    }
  };
}

/// The same increments called directly, the compiler not seeing through them.
auto call_directly(int added) {
  return [added, x = 0]() mutable {
    do_not_optimise(x);
    int answer = x;
    for (int i = 0; i < added; ++i) {
      ++answer;
      do_not_optimise(answer);
    }
  };
}

void synchronous_cases(Report& report) {
  const IntStep three = increments(3);
  const Paired whole = compare(serve_int(report, three, 3), call_directly(3));
  report.add({.id = "I3",
              .name = "serve of one int by a pipeline of 3 maps, less the 3 functions themselves",
              .metric = "paired difference",
              .unit = "ns",
              .goal = Goal::at_most(30)},
             whole.difference);

  const IntStep one = increments(1);
  const IntStep eight = increments(8);
  const Paired slope = compare(serve_int(report, eight, 8), serve_int(report, one, 1));
  report.add({.id = "I4",
              .name = "one more stage: (8 maps less 1 map) / 7",
              .metric = "paired difference",
              .unit = "ns",
              .goal = Goal::at_most(8)},
             slope.difference.times(1.0 / 7));
  report.add({.id = "I4", .name = "serve of one int by one map", .metric = "time", .unit = "ns"},
             slope.b);
  allocation_case(report, "I3, I4: serve by a pipeline of 3 maps", serve_int(report, three, 3));
}

void asynchronous_cases(Report& report) {
  galley::ManualExecutor executor;
  const auto hop = [&] { return galley::on(executor, increment()); };
  const IntStep three = hop() | hop() | hop();
  int answered = 0;
  auto request = [&report, &executor, &three, &answered, x = 0]() mutable {
    do_not_optimise(x);
    three.submit(x, {}, [&](galley::Result<int> answer) {
      answered += answer.has_value() && *answer == x + 3 ? 1 : 0;
    });
    executor.run_ready();
    if (answered != 1) [[unlikely]]
      report.check(false, three.name() + " answered wrongly");
    answered = 0;
  };
  report.add({.id = "I5",
              .name = "submit of one int to 3 maps, each on a manual executor, and running it",
              .metric = "time",
              .unit = "ns"},
             measure(request));
  allocation_case(report, "I5: submit to 3 maps, each on a manual executor", request);
}

}  // namespace

void pipeline_cases(Report& report) {
  synchronous_cases(report);
  asynchronous_cases(report);
}

}  // namespace bench
