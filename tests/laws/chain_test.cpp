// Cascades and fallbacks over generated graphs, against what they mean row by row.
#include <galley/compose/cascade.hpp>
#include <galley/compose/fallback.hpp>
#include <galley/testing/faults.hpp>

#include <laws/graphs.hpp>

#include <memory>
#include <vector>

#include <support/catch.hpp>

using galley::ManualExecutor;
using galley::TaskOrder;
using namespace laws;

namespace {

/// A chain of graphs, one of them a chain itself now and then.
Graph chain_of(GraphMaker& make, int depth) {
  std::vector<Servable<int, int>> levels;
  std::vector<Reference> references;
  for (int n = 1 + make.number(3); n > 0; --n) {
    Graph level = depth > 0 && make.number(3) == 0 ? chain_of(make, depth - 1) : make.graph(2);
    levels.push_back(level.servable);
    references.push_back(level.reference);
  }
  if (make.number(2) == 0) {
    const int divisor = 2 + make.number(4);
    const auto accept = [divisor](int answer) { return answer % divisor == 0; };
    return {galley::cascade(levels, accept), [references, accept](int row) {
              for (std::size_t i = 0; i + 1 < references.size(); ++i) {
                Result<int> said = references[i](row);
                if (!said.has_value() || accept(*said)) return said;
              }
              return references.back()(row);
            }};
  }
  const galley::FallbackOptions options{.on = {Status::invalid_argument, Status::internal}};
  return {galley::fallback(levels, options), [references](int row) {
            for (std::size_t i = 0; i + 1 < references.size(); ++i) {
              Result<int> said = references[i](row);
              if (said.has_value()) return said;
            }
            return references.back()(row);
          }};
}

}  // namespace

TEST_CASE("a cascade and a fallback answer as row by row, served or submitted", "[laws]") {
  for (unsigned seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor({.seed = seed, .order = TaskOrder::shuffled});
    GraphMaker make(seed, executor);
    const Graph graph = chain_of(make, 2);
    REQUIRE(graph.servable.check().has_value());
    const Rows<int> rows = make.rows(9);
    REQUIRE(first_wrong(rows, graph.servable.serve_rows(rows), graph.reference) == -1);
    Outcomes<int> later;
    graph.servable.submit_rows(
        rows, {},
        BatchCompletion<int>(rows.size(), [&](Outcomes<int> found) { later = std::move(found); }));
    executor.run_all();
    REQUIRE(first_wrong(rows, later, graph.reference) == -1);
  }
}

TEST_CASE("whatever a level does on whichever call, a fallback answers every row once", "[laws]") {
  using galley::Fault;
  int saved = 0;
  for (const Fault fault :
       {Fault::fails, Fault::throws, Fault::miscounts, Fault::drops, Fault::duplicates}) {
    for (const bool later : {false, true}) {
      for (std::uint64_t nth = 1; nth <= 8; ++nth) {
        CAPTURE(to_string(fault), later, nth);
        const ManualExecutor executor;
        const auto plan = std::make_shared<galley::FaultPlan>(fault, nth);
        Servable<int, int> model = galley::map("model", [](int n) { return n; });
        if (later) model = galley::on(executor, model);
        const auto graph = galley::fallback(
            {(later ? galley::faulty_later(model, plan) : galley::faulty_now(model, plan)),
             galley::constant<int>("unknown", -1)},
            {.on = {Status::resource_exhausted, Status::internal, Status::cancelled}});
        int answers = 0;
        for (int row = 0; row < 6; ++row) {
          graph.submit_rows(Rows<int>{row, row + 1}, {},
                            BatchCompletion<int>(2, [&, row](const Outcomes<int>& found) {
                              ++answers;
                              for (std::size_t i = 0; i < 2; ++i) {
                                REQUIRE(found[i].has_value());
                                if (*found[i] == -1) ++saved;
                                if (*found[i] != -1) CHECK(*found[i] == row + static_cast<int>(i));
                              }
                            }));
          executor.run_all();
        }
        CHECK(answers == 6);
      }
    }
  }
  CHECK(saved > 0);
}
