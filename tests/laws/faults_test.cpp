// One call among all goes wrong, each in turn: every row is answered exactly once all the same.
#include <galley/testing/faults.hpp>

#include <laws/graphs.hpp>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::Fault;
using galley::FaultPlan;
using galley::ManualExecutor;
using namespace laws;

namespace {

constexpr int unbatched = 9;
constexpr int most_shapes = unbatched + 2 * batchings;

/// A graph with faulty stages at every kind of joint, and something whose life can be watched.
Servable<int, int> faulty_graph(int shape, const ManualExecutor& executor,
                                const std::shared_ptr<FaultPlan>& plan,
                                const std::shared_ptr<int>& alive) {
  const auto plus = galley::map("plus", [alive](int n) -> Result<int> {
    if (n == 3) return Error(Status::invalid_argument, "3");
    return n + 100;
  });
  const auto now = galley::faulty_now(plus, plan);
  const auto later = galley::faulty_later(plus, plan);
  const auto on = [&](Servable<int, int> s) { return galley::on(executor, std::move(s)); };
  switch (shape) {
    case 0:
      return now | now | now;
    case 1:
      return on(now) | on(now) | on(now);
    case 2:
      return later | later | later;
    case 3:
      return on(later | now) | later;
    case 4:
      return now | on(on(later) | now);
    case 5:
      return galley::slot("slot", on(later | now)).servable | now;
    case 6:
      return galley::slot("slot", galley::slot("inner", now | now).servable | now).servable;
    case 7:
      return galley::in_order(on(now | later)) | galley::in_order(now);
    case 8:
      return galley::in_order(batched_by(0, executor, later | galley::in_order(on(now)))) | later;
    default: {
      // Batched, of all joints: at once, behind an executor, and split in two.
      const galley::BatchOptions halves{.max_rows = 2,
                                        .caller_runs = shape % 2 == 0
                                                           ? galley::CallerRuns::never
                                                           : galley::CallerRuns::when_idle};
      const int way = (shape - unbatched) % batchings;
      return batched_by(way, executor, now | on(later),
                        shape < unbatched + batchings ? galley::BatchOptions() : halves) |
             batched_by(way, executor, later, halves);
    }
  }
}

const Rows<int> numbers{1, 2, 3, 4};

/// What the rows become where nothing goes wrong.
Status undisturbed(std::size_t row) {
  return numbers[row] == 3 ? Status::invalid_argument : Status::ok;
}

std::set<Status> allowed(Fault fault) {
  switch (fault) {
    case Fault::fails:
      return {Status::resource_exhausted};
    case Fault::throws:
    case Fault::miscounts:
      return {Status::internal};
    case Fault::drops:
      return {Status::cancelled, Status::resource_exhausted};
    default:
      return {};
  }
}

/// Serves or submits; the number of answers and the outcomes.
Outcomes<int> ask(bool later, const ManualExecutor& executor, const Servable<int, int>& graph) {
  if (!later) return graph.serve_rows(numbers);
  int answers = 0;
  Outcomes<int> heard;
  graph.submit_rows(numbers, {}, BatchCompletion<int>(4, [&](Outcomes<int> outcomes) {
                      ++answers;
                      heard = std::move(outcomes);
                    }));
  executor.run_all();
  CHECK(answers == 1);
  return heard;
}

}  // namespace

TEST_CASE("whichever call goes wrong, each row is answered once and nothing is kept", "[laws]") {
  for (int shape = 0; shape < most_shapes; ++shape) {
    for (Fault fault :
         {Fault::fails, Fault::throws, Fault::miscounts, Fault::drops, Fault::duplicates}) {
      for (bool later : {false, true}) {
        bool happened = true;
        for (std::uint64_t nth = 1; happened; ++nth) {
          CAPTURE(shape, std::string(to_string(fault)), later, nth);
          const auto alive = std::make_shared<int>(0);
          {
            const ManualExecutor executor;
            const auto plan = std::make_shared<FaultPlan>(fault, nth);
            const auto graph = faulty_graph(shape, executor, plan, alive);
            const Outcomes<int> outcomes = ask(later, executor, graph);
            happened = plan->happened();
            REQUIRE(outcomes.size() == 4);
            for (std::size_t i = 0; i < 4; ++i) {
              const Status status = outcomes[i].status();
              if (status == Status::ok) REQUIRE(*outcomes[i] == numbers[i] + 300);
              REQUIRE((status == undisturbed(i) || allowed(fault).count(status) == 1));
            }
            // Once the fault is over, the same graph answers as if nothing had been.
            const Outcomes<int> after = ask(later, executor, graph);
            if (happened) {
              for (std::size_t i = 0; i < 4; ++i) REQUIRE(after[i].status() == undisturbed(i));
            }
          }
          REQUIRE(alive.use_count() == 1);
          REQUIRE(nth < 100);
        }
      }
    }
  }
}

TEST_CASE("a fault plan counts calls and strikes once", "[faults]") {
  FaultPlan plan(Fault::throws, 2);
  CHECK(plan.next() == Fault::none);
  CHECK_FALSE(plan.happened());
  CHECK(plan.next() == Fault::throws);
  CHECK(plan.next() == Fault::none);
  CHECK(plan.happened());
  CHECK(plan.calls() == 3);
  FaultPlan never(Fault::throws, 0);
  CHECK(never.next() == Fault::none);
  CHECK_FALSE(never.happened());
}
