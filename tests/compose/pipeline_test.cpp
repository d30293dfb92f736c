#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/rows.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchCompletion;
using galley::Completion;
using galley::Context;
using galley::Error;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using support::Counted;
using support::MoveOnly;
using support::Particle;
using support::Wide;

namespace {

/// Fails the rows that `divisor` divides, with its own name.
Servable<int, int> sieve(int divisor) {
  return galley::map("sieve " + std::to_string(divisor), [divisor](int n) -> Result<int> {
    if (n % divisor == 0) return Error(Status::invalid_argument, std::to_string(n));
    return n;
  });
}

std::vector<std::string> said(const Outcomes<int>& outcomes) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    all.push_back(outcomes[i].has_value() ? std::to_string(*outcomes[i])
                                          : outcomes[i].error().detail);
  }
  return all;
}

const Rows<int> first_numbers{1, 2, 3, 4, 5, 6, 7};
const std::vector<std::string> sieved{"1",          "sieve 2: 2", "sieve 3: 3", "sieve 2: 4",
                                      "sieve 5: 5", "sieve 2: 6", "7"};

}  // namespace

TEST_CASE("rows that fail in one stage skip the next, and keep their place", "[pipeline]") {
  const ManualExecutor executor;
  const auto on = [&](Servable<int, int> s) { return galley::on(executor, std::move(s)); };
  const std::vector<Servable<int, int>> graphs{
      sieve(2) | sieve(3) | sieve(5),
      sieve(2) | (sieve(3) | sieve(5)),
      on(sieve(2)) | sieve(3) | sieve(5),
      sieve(2) | on(sieve(3)) | sieve(5),
      sieve(2) | (sieve(3) | on(sieve(5))),
      on(sieve(2)) | (on(sieve(3)) | on(sieve(5))),
      on(on(sieve(2)) | sieve(3)) | on(sieve(5)),
  };
  for (const auto& graph : graphs) {
    CAPTURE(graph.name());
    CHECK(said(graph.serve_rows(first_numbers)) == sieved);
    std::vector<std::string> heard;
    graph.submit_rows(first_numbers, {}, BatchCompletion<int>(7, [&](Outcomes<int> outcomes) {
                        heard = said(outcomes);
                      }));
    executor.run_ready();
    CHECK(heard == sieved);
  }
}

TEST_CASE("when every row fails the next stage is not called", "[pipeline]") {
  const ManualExecutor executor;
  int calls = 0;
  const auto counting = galley::map_batch("counting", [&calls](const Rows<int>& rows) {
    ++calls;
    return rows;
  });
  for (const auto& graph : {sieve(1) | counting, galley::on(executor, sieve(1)) | counting,
                            sieve(1) | galley::on(executor, counting)}) {
    CHECK(said(graph.serve_rows(Rows<int>{4, 5})) ==
          std::vector<std::string>{"sieve 1: 4", "sieve 1: 5"});
  }
  CHECK(calls == 0);
}

TEST_CASE("functions may follow a servable directly", "[pipeline]") {
  const auto graph = sieve(2) | [](int n) { return 0.5 * n; } | [](auto x) { return x + 1; } |
                     [](const Rows<double>& rows) {
                       Rows<std::string> out;
                       for (double x : rows) out.push_back(std::to_string(x).substr(0, 3));
                       return out;
                     };
  static_assert(std::is_same_v<decltype(graph), const Servable<int, std::string>>);
  CHECK(graph.serve(3) == Result<std::string>("2.5"));
  CHECK(graph.serve(4).status() == Status::invalid_argument);
}

TEST_CASE("rows between stages are moved, never copied", "[pipeline]") {
  const auto make = galley::map("make", [](int n) { return Counted(n); });
  const auto pass = galley::map("pass", [](Counted c) { return c; });
  const auto fail_odd = galley::map("odd", [](Counted c) -> Result<Counted> {
    if (c.value % 2 != 0) return Error(Status::invalid_argument);
    return c;
  });
  const ManualExecutor executor;
  Counted::copies = 0;
  const auto graph = make | pass | fail_odd | pass;
  CHECK(graph.serve(4)->value == 4);
  CHECK(graph.serve_rows(Rows<int>{1, 2, 3})[1].has_value());
  const auto later = make | galley::on(executor, fail_odd) | pass;
  CHECK(later.serve_rows(Rows<int>{1, 2, 3})[1].has_value());
  CHECK(Counted::copies == 0);
}

TEST_CASE("rows that can only be moved flow through a pipeline", "[pipeline]") {
  const auto graph = galley::map("make", [](int n) { return MoveOnly(n); }) | [](MoveOnly m) {
    return MoveOnly(m.get() + 1);
  } | [](const MoveOnly& m) { return m.get(); };
  CHECK(graph.serve(4) == Result<int>(5));
  CHECK(*graph.serve_rows(Rows<int>{1, 2, 3})[2] == 4);
}

TEST_CASE("over-aligned rows flow through inline and asynchronous stages", "[pipeline]") {
  const ManualExecutor executor;
  const auto bump = galley::map("bump", [](const Wide& w) {
    return Wide{reinterpret_cast<std::uintptr_t>(&w) % alignof(Wide) == 0 ? w.value + 1 : -99};
  });
  const auto graph = bump | galley::on(executor, bump) | bump;
  CHECK(graph.serve(Wide{1}) == Result<Wide>(Wide{4}));
  CHECK(*graph.serve_rows(Rows<Wide>{Wide{1}, Wide{2}, Wide{3}})[2] == Wide{6});
}

TEST_CASE("a user's own layout flows as it is, row by row and whole", "[pipeline]") {
  const ManualExecutor executor;
  const auto move = galley::map_batch("move", [](const Rows<Particle>& rows) {
    Rows<Particle> moved;
    for (std::size_t i = 0; i < rows.size(); ++i) moved.push_back({rows.xs()[i] + 1, rows[i].id});
    return moved;
  });
  const auto check = galley::map("check", [](const Particle& p) -> Result<Particle> {
    if (p.id == 2) return Error(Status::invalid_argument, "2");
    return p;
  });
  Rows<Particle> rows;
  for (int i = 0; i < 4; ++i) rows.push_back({static_cast<float>(i), i});
  for (const auto& graph :
       {check | move, galley::on(executor, check) | move, check | galley::on(executor, move)}) {
    const Outcomes<Particle> outcomes = graph.serve_rows(rows);
    CHECK(*outcomes[3] == Particle{4, 3});
    CHECK(outcomes[2].status() == Status::invalid_argument);
    CHECK(graph.serve(Particle{7, 7}) == Result<Particle>(Particle{8, 7}));
  }
}

TEST_CASE("a cancelled request stops before the next stage", "[pipeline]") {
  std::stop_source stop;
  const auto stops = galley::map("stops", [&stop](int n) {
    if (n == 2) stop.request_stop();
    return n;
  });
  int reached = 0;
  const auto counting = galley::map("counting", [&reached](int n) {
    ++reached;
    return n;
  });
  const auto graph = stops | counting;
  const Context context{.stop = stop.get_token()};
  CHECK(graph.serve(1, context) == Result<int>(1));
  CHECK(graph.serve(2, context).status() == Status::cancelled);
  CHECK(reached == 1);
  CHECK(graph.serve(3, context).status() == Status::cancelled);
}

TEST_CASE("the traits of a pipeline are those of its stages together", "[pipeline]") {
  const auto plain = sieve(2);
  const Servable<int, int> moody("moody", [](int n) { return n; },
                                 {.stateful = true, .repeatable = false});
  const ManualExecutor executor;
  CHECK((plain | plain).traits() == galley::NodeTraits());
  CHECK((plain | moody).traits().stateful);
  CHECK_FALSE((moody | plain).traits().repeatable);
  CHECK_FALSE((plain | galley::on(executor, plain)).traits().inline_only);
}
