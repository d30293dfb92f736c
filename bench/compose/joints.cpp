#include <galley/compose/ensemble.hpp>
#include <galley/compose/fallback.hpp>
#include <galley/compose/guard.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/compose/route.hpp>

#include <support/allocations.hpp>
#include <support/timing.hpp>

#include <compose/cases.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace bench {

namespace {

using Step = galley::Servable<int, int>;

Step increment() {
  return galley::map("increment", [](int x) { return x + 1; });
}

/// Serves a batch of ints; every answer is compared.
auto serve(Report& report, const Step& step, const galley::Rows<int>& rows, int added) {
  return [&report, &step, &rows, added] {
    const galley::Outcomes<int> answers = step.serve_rows(rows);
    bool right = answers.all_ok() && answers.size() == rows.size();
    for (std::size_t i = 0; right && i < rows.size(); ++i) right = *answers[i] == rows[i] + added;
    if (!right) [[unlikely]]
      report.check(false, step.name() + " answered wrongly");
  };
}

void joint_case(Report& report) {
  const galley::Rows<int> one{41};
  Step nine = increment();
  for (int i = 0; i < 8; ++i) nine = nine | increment();
  const Step single = increment();
  const Paired slope = compare(serve(report, nine, one, 9), serve(report, single, one, 1));
  report.add({.id = "C1",
              .name = "one more joint: (9 maps less 1 map) / 8",
              .metric = "paired difference",
              .unit = "ns",
              .goal = Goal::at_most(8)},
             slope.difference.times(1.0 / 8));
}

/// What `added` adds to the bare servable: a batch whose rows all go one way.
void added_case(Report& report, const char* id, const std::string& what, const Step& added,
                double goal) {
  const Step bare = increment();
  for (const std::size_t n : {1U, 64U}) {
    galley::Rows<int> rows;
    for (std::size_t i = 0; i < n; ++i) rows.push_back(static_cast<int>(i));
    const std::string name = what + ", " + std::to_string(n) + (n == 1 ? " row" : " rows");
    const Paired both = compare(serve(report, added, rows, 1), serve(report, bare, rows, 1));
    report.add({.id = id,
                .name = name + " less the servable alone",
                .metric = "paired difference",
                .unit = "ns",
                .goal = n == 1 ? Goal::at_most(goal) : Goal{}},
               both.difference);
    constexpr std::size_t calls = 1000;
    const double more =
        static_cast<double>(count_allocations(serve(report, added, rows, 1), calls).by_program) -
        static_cast<double>(count_allocations(serve(report, bare, rows, 1), calls).by_program);
    report.add({.id = id,
                .name = name + " beyond the servable's own",
                .metric = "allocations per call",
                .unit = "",
                .goal = Goal::at_most(0)},
               more / calls);
  }
}

}  // namespace

void joint_cases(Report& report) {
  joint_case(report);
  const auto below = [](int limit) {
    return [limit](int x) -> galley::Result<void> {
      if (x < limit) return {};
      return galley::Error(galley::Status::invalid_argument, "too large");
    };
  };
  added_case(report, "C2", "route, all rows to one arm",
             galley::route([](int x) -> std::size_t { return x < 1'000 ? 0 : 1; },
                           {increment(), increment()}),
             50);
  added_case(report, "C2", "guard, all rows fit", galley::guard(below(1'000), increment()), 50);
  added_case(report, "C2", "fallback, no row fails",
             galley::fallback({increment(), galley::constant<int>("none", -1)}), 50);
  added_case(report, "C7", "ensemble of one", galley::ensemble(galley::First{}, {increment()}),
             200);
}

}  // namespace bench
