// The laws of expand, logic and logic_batch: over any servables, whatever way they are called, each
// row becomes what a plain row-by-row program makes of it.
#include <galley/compose/expand.hpp>
#include <galley/compose/logic.hpp>
#include <galley/testing/faults.hpp>

#include <laws/graphs.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::BatchContext;
using galley::Context;
using galley::Fault;
using galley::FaultPlan;
using galley::ItemOutcomes;
using galley::Key;
using galley::ManualExecutor;
using galley::RequestRun;
using galley::RowIndex;
using galley::RowTask;
using namespace laws;
using namespace std::chrono_literals;

namespace {

/// A row that came to this is not what its program makes of it, and says so: it was late, stopped
/// or refused, or halving for it was given up. No drawn graph answers it otherwise.
bool is_given_up(Status status) {
  return status == Status::cancelled || status == Status::deadline_exceeded ||
         status == Status::resource_exhausted || status == Status::unavailable;
}

/// What a row does, drawn: it calls either model, some times, and may return early.
struct Program {
  int calls, turns, ends, fails, throws, forgives;

  static Program drawn(GraphMaker& make) {
    return {.calls = 1 + make.number(5),
            .turns = 2 + make.number(4),
            .ends = 3 + make.number(9),
            .fails = 5 + make.number(20),
            .throws = 7 + make.number(20),
            .forgives = make.number(3)};
  }
  /// Whether call number i of a row that has come to n is of the second model.
  bool asks_second(int n, int i) const { return (n + i) % turns == 0; }
  bool is_end(int n) const { return n % ends == 1; }
  bool is_failure(int n) const { return n % fails == 2; }
  bool is_throw(int n) const { return n % throws == 3; }
  bool is_forgiven(Status status) const { return forgives == 0 && !is_given_up(status); }
};

constexpr int forgiven = 41;

RowTask<int> row_program(Program p, int n, auto& first, auto& second) {
  for (int i = 0; i < p.calls; ++i) {
    if (p.is_end(n)) co_return n;
    if (p.is_failure(n)) co_return Error(Status::not_found, "fails at " + std::to_string(n));
    if (p.is_throw(n)) throw std::runtime_error("at " + std::to_string(n));
    Result<int> found = Error();
    if (p.asks_second(n, i)) {
      found = co_await second(n);
    } else {
      found = co_await first(n);
    }
    if (!found.has_value() && !p.is_forgiven(found.status())) co_return found;
    n = found.has_value() ? *found : forgiven;
  }
  co_return n;
}

/// The same, of plain functions.
Result<int> plain_program(Program p, int n, const Reference& first, const Reference& second) {
  for (int i = 0; i < p.calls; ++i) {
    if (p.is_end(n)) return n;
    if (p.is_failure(n)) return Error(Status::not_found, "fails at " + std::to_string(n));
    if (p.is_throw(n)) return Error(Status::internal, "threw: at " + std::to_string(n));
    Result<int> found = p.asks_second(n, i) ? second(n) : first(n);
    if (!found.has_value() && !p.is_forgiven(found.status())) return found;
    n = found.has_value() ? *found : forgiven;
  }
  return n;
}

Graph logic_of(GraphMaker& make, const Graph& first, const Graph& second) {
  const Program p = Program::drawn(make);
  return {
      galley::logic<int>(
          "logic", [p](int n, auto& a, auto& b) -> RowTask<int> { return row_program(p, n, a, b); },
          first.servable, second.servable),
      [=](int n) -> Result<int> {
        Result<int> found = plain_program(p, n, first.reference, second.reference);
        if (!found.has_value()) return within("logic", found.error());
        return found;
      }};
}

/// Rows that a rule or the first's failure sends on ask the second, with something else.
Graph logic_batch_of(GraphMaker& make, const galley::Executor& executor, const Graph& first,
                     const Graph& second) {
  const int turns = 2 + make.number(4), plus = make.number(7);
  const auto f = [=](const Batch<int>& rows, auto& a, auto& b) {
    Outcomes<int> found = a();
    std::vector<RowIndex> again;
    Rows<int> values;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] % turns != 0 && found[i].status() != Status::not_found) continue;
      again.push_back(static_cast<RowIndex>(i));
      values.push_back(rows[i] + plus);
    }
    return galley::with_later(std::move(found), again,
                              plus == 0 ? b(again) : b(again, std::move(values)));
  };
  const Reference reference = [=](int n) -> Result<int> {
    Result<int> found = first.reference(n);
    if (n % turns == 0 || found.status() == Status::not_found) found = second.reference(n + plus);
    if (!found.has_value()) return within("logic_batch", found.error());
    return found;
  };
  const bool waits = !first.servable.traits().inline_only || !second.servable.traits().inline_only;
  if (waits || make.number(4) == 0) {
    return {galley::logic_batch<int>(executor, "logic_batch", f, first.servable, second.servable),
            reference};
  }
  return {galley::logic_batch<int>("logic_batch", f, first.servable, second.servable), reference};
}

/// n gives up to five items, or too many, or an error, or throws.
Graph expand_of(GraphMaker& make, const Graph& inner) {
  const int most = 1 + make.number(5), odd = 6 + make.number(9);
  const auto split = [=](const int& n) -> Result<std::vector<int>> {
    if (n % odd == 1) return Error(Status::not_found, "no items");
    if (n % odd == 2) throw std::runtime_error("no items");
    std::vector<int> items;
    for (int i = 0; i < std::abs(n) % (most + 1) + (n % odd == 3 ? 5 : 0); ++i) {
      items.push_back(n + 7 * i);
    }
    return items;
  };
  const galley::ExpandOptions options{.max_items = 5,
                                      .max_batch = static_cast<std::size_t>(5 + make.number(12))};
  const std::string name = "expand(" + inner.servable.name() + ")";
  const bool forgives = make.number(2) == 0;
  const auto values = [odd](const int& n, const Rows<int>& found) -> Result<int> {
    if (n % odd == 4) return Error(Status::data_loss, "no answer");
    int sum = n;
    for (const int x : found) sum = (3 * sum + x) % 1000;
    return sum;
  };
  const auto outcomes = [](const int& n, const ItemOutcomes<int>& found) -> Result<int> {
    int sum = n;
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (is_given_up(found[i].status())) return found[i].error();
      sum = (3 * sum + (found[i] ? *found[i] : forgiven)) % 1000;
    }
    return sum;
  };
  const Reference reference = [=, of = inner.reference](int n) -> Result<int> {
    if (n % odd == 2) return Error(Status::internal, name + ": split: threw: no items");
    const Result<std::vector<int>> items = split(n);
    if (!items.has_value()) return within(name, within("split", items.error()));
    if (items->size() > 5) {
      return Error(Status::invalid_argument, name + ": split gave " +
                                                 std::to_string(items->size()) +
                                                 " items for a row, the most is 5");
    }
    Outcomes<int> found;
    for (std::size_t i = 0; i < items->size(); ++i) {
      const Result<int> one = of((*items)[i]);
      if (one.has_value()) {
        found.survivors().push_back(*one);
      } else if (forgives) {
        found.casualties().append(i, one.error());
      } else {
        return within(name, within("item " + std::to_string(i), one.error()));
      }
    }
    const Result<int> all = forgives ? outcomes(n, ItemOutcomes<int>(found, 0, found.size()))
                                     : values(n, found.survivors());
    if (!all.has_value()) return within(name, within("collapse", all.error()));
    return all;
  };
  return {forgives ? galley::expand(split, inner.servable, outcomes, options)
                   : galley::expand(split, inner.servable, values, options),
          reference};
}

/// One of the three over graphs of graphs.hpp, alone or within each other or a pipeline.
Graph drawn_of(GraphMaker& make, const galley::Executor& executor, int depth) {
  const auto inner = [&] {
    return depth > 0 && make.number(3) == 0 ? drawn_of(make, executor, depth - 1) : make.graph(2);
  };
  switch (make.number(4)) {
    case 0:
      return expand_of(make, inner());
    case 1: {
      const Graph first = inner();
      return logic_batch_of(make, executor, first, inner());
    }
    default: {
      const Graph first = inner();
      return logic_of(make, first, inner());
    }
  }
}

Graph surrounded(GraphMaker& make, const galley::Executor& executor) {
  Graph graph = drawn_of(make, executor, 1);
  switch (make.number(5)) {
    case 0:
      return {galley::on(executor, graph.servable), graph.reference};
    case 1:
      return {batched_by(make.number(batchings), executor, graph.servable, make.options()),
              graph.reference};
    case 2: {
      const Graph before = make.graph(1);
      return {before.servable | graph.servable,
              GraphMaker::then(before.reference, graph.reference)};
    }
    default:
      return graph;
  }
}

}  // namespace

TEST_CASE("user logic and expansion answer as a plain program, served and submitted", "[laws]") {
  for (unsigned seed = 1; seed <= 1500; ++seed) {
    const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
    GraphMaker make(seed, executor);
    const Graph graph = surrounded(make, executor);
    const Rows<int> rows = make.rows(9);
    CAPTURE(seed, graph.servable.name());
    REQUIRE(graph.servable.check().has_value());
    REQUIRE(first_wrong(rows, graph.servable.serve_rows(rows), graph.reference) == -1);
    REQUIRE(first_wrong(rows, graph.servable.serve_rows(Rows<int>(rows)), graph.reference) == -1);
    for (const int n : rows) REQUIRE(agrees(graph.servable.serve(n), graph.reference(n)));
    std::vector<RowIndex> order(rows.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<RowIndex>(i);
    std::shuffle(order.begin(), order.end(), std::mt19937(seed));
    const Outcomes<int> shuffled = graph.servable.serve_batch(Batch<int>(rows).at_places(order),
                                                              BatchContext(Context(), rows.size()));
    REQUIRE(first_wrong(rows.select(order), shuffled, graph.reference) == -1);
    int answers = 0, wrong = 0;
    for (int request = 0; request < 3; ++request) {
      graph.servable.submit_rows(rows, {}, BatchCompletion<int>(rows.size(), [&](Outcomes<int> o) {
                                   ++answers;
                                   wrong += first_wrong(rows, o, graph.reference) == -1 ? 0 : 1;
                                 }));
    }
    executor.run_all();
    REQUIRE(answers == 3);
    REQUIRE(wrong == 0);
    REQUIRE(executor.pending() == 0);
  }
}

TEST_CASE("rows of many requests in one batch answer as each alone, the late ones so", "[laws]") {
  for (unsigned seed = 5001; seed <= 5800; ++seed) {
    const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
    GraphMaker make(seed, executor);
    const Graph graph = surrounded(make, executor);
    const Rows<int> rows = make.rows(9);
    if (rows.empty()) continue;
    std::vector<Context> contexts(rows.size());
    std::vector<RequestRun> runs;
    std::vector<bool> late(rows.size());
    std::stop_source stop;
    stop.request_stop();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      late[i] = make.number(3) == 0;
      contexts[i].deadline = executor.now() + 1h;
      if (late[i] && make.number(2) == 0)
        contexts[i].deadline = executor.now() - 1ns;
      else if (late[i])
        contexts[i].stop = stop.get_token();
      runs.push_back({&contexts[i], 1});
    }
    const std::vector<Key> keys(rows.size(), 7);
    const BatchContext merged(
        runs, make.number(2) == 0 ? std::span<const Key>(keys) : std::span<const Key>());
    CAPTURE(seed, graph.servable.name());
    const Outcomes<int> served = graph.servable.serve_batch(Batch<int>(rows), merged);
    Outcomes<int> submitted;
    graph.servable.submit_apart(
        Rows<int>(rows), merged,
        BatchCompletion<int>(rows.size(), [&](Outcomes<int> o) { submitted = std::move(o); }));
    executor.run_all();
    for (const Outcomes<int>* outcomes : {&served, &std::as_const(submitted)}) {
      REQUIRE(outcomes->size() == rows.size());
      for (std::size_t i = 0; i < rows.size(); ++i) {
        CAPTURE(i);
        if (late[i]) {
          const Status status = (*outcomes)[i].status();
          REQUIRE((status == Status::deadline_exceeded || status == Status::cancelled));
        } else {
          REQUIRE(agrees((*outcomes)[i], graph.reference(rows[i])));
        }
      }
    }
  }
}

TEST_CASE("stops and deadlines at any time leave each row answered once, right or given up",
          "[laws]") {
  int given_up = 0;
  for (unsigned seed = 8001; seed <= 8500; ++seed) {
    const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
    GraphMaker make(seed, executor);
    auto graph = std::make_unique<Graph>(surrounded(make, executor));
    const Reference reference = graph->reference;
    CAPTURE(seed, graph->servable.name());
    constexpr std::size_t requests = 5;
    std::vector<std::stop_source> stops(requests);
    int answers = 0, asked = 0, wrong = 0;
    for (std::size_t i = 0; i < requests; ++i) {
      const Rows<int> rows = make.rows(5);
      Context context{.stop = stops[i].get_token()};
      if (make.number(2) == 0) context.deadline = executor.now() + 1us * make.number(1500);
      ++asked;
      graph->servable.submit_rows(
          rows, context, BatchCompletion<int>(rows.size(), [&, rows](const Outcomes<int>& o) {
            ++answers;
            for (std::size_t r = 0; r < rows.size(); ++r) {
              const Status status = o[r].status();
              if (is_given_up(status)) {
                ++given_up;
              } else if (!agrees(o[r], reference(rows[r]))) {
                ++wrong;
              }
            }
          }));
      if (make.number(2) == 0) executor.run_one();
      if (make.number(3) == 0) stops[static_cast<std::size_t>(make.number(5))].request_stop();
      if (make.number(3) == 0) executor.advance(1us * make.number(700));
    }
    graph.reset();  // the requests own it
    if (make.number(3) == 0) executor.shutdown();
    executor.run_all();
    REQUIRE(answers == asked);
    REQUIRE(wrong == 0);
  }
  CHECK(given_up > 500);
}

TEST_CASE("whichever call beneath user logic goes wrong, each row is answered once", "[laws]") {
  for (int shape = 0; shape < 6; ++shape) {
    for (Fault fault :
         {Fault::fails, Fault::throws, Fault::miscounts, Fault::drops, Fault::duplicates}) {
      bool happened = true;
      for (std::uint64_t nth = 1; happened; ++nth) {
        CAPTURE(shape, std::string(to_string(fault)), nth);
        const auto alive = std::make_shared<int>(0);
        {
          const ManualExecutor executor;
          const auto plan = std::make_shared<FaultPlan>(fault, nth);
          const auto plus = galley::map("plus", [alive](int n) { return n + 100; });
          const auto now = galley::faulty_now(plus, plan);
          const auto later = galley::faulty_later(plus, plan);
          const auto twice = [alive](int n, auto& a, auto& b) -> RowTask<int> {
            const std::shared_ptr<int> held = alive;
            const Result<int> found = co_await a(n);
            if (!found.has_value() || n == 2) co_return found;
            co_return co_await b(*found);
          };
          const auto split = [alive](const int& n) { return Rows<int>{n, n + 1}; };
          const auto sum = [](const int&, const Rows<int>& f) { return f[0] + f[1]; };
          const auto on = [&](Servable<int, int> s) { return galley::on(executor, std::move(s)); };
          const auto both = [](const Batch<int>&, auto& a, auto& b) {
            Outcomes<int> found = a();
            const std::vector<RowIndex> some{0, 2};
            return galley::with_later(std::move(found), some, b(some));
          };
          const Servable<int, int> graph =
              shape == 0   ? galley::logic<int>("l", twice, now, now)
              : shape == 1 ? galley::logic<int>("l", twice, later, on(now))
              : shape == 2 ? galley::expand(split, now, sum, {.max_items = 2, .max_batch = 2})
              : shape == 3 ? galley::expand(split, on(later), sum, {.max_items = 2, .max_batch = 4})
              : shape == 4 ? galley::logic_batch<int>("b", both, now, now)
                           : galley::logic_batch<int>(executor, "b", both, later, on(now));
          int answers = 0;
          for (int again = 0; again < 2; ++again) {
            Outcomes<int> heard;
            graph.submit_rows(Rows<int>{1, 2, 3}, {}, BatchCompletion<int>(3, [&](Outcomes<int> o) {
                                ++answers;
                                heard = std::move(o);
                              }));
            executor.run_all();
            REQUIRE(answers == again + 1);
            if (again == 0) happened = plan->happened();
            for (std::size_t i = 0; i < 3; ++i) {
              const Status status = heard[i].status();
              if (again == 1 && happened) REQUIRE(status == Status::ok);
              REQUIRE((status == Status::ok || status == Status::internal ||
                       status == Status::resource_exhausted || status == Status::cancelled));
            }
          }
        }
        REQUIRE(alive.use_count() == 1);
        REQUIRE(nth < 100);
      }
    }
  }
}
