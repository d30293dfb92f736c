// The laws of routes, guards and filters: whatever they enclose and whoever batches, each row is
// answered as a plain reading of the rules says, row by row.
#include <galley/compose/filter.hpp>
#include <galley/compose/guard.hpp>
#include <galley/compose/route.hpp>
#include <galley/testing/faults.hpp>

#include <support/batching.hpp>

#include <laws/graphs.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::answering;
using galley::Context;
using galley::Fault;
using galley::FaultPlan;
using galley::filter;
using galley::guard;
using galley::Key;
using galley::ManualExecutor;
using galley::repairing;
using galley::route;
using galley::RouteView;
using galley::RouteWeights;
using galley::TaskOrder;
using support::IntEar;
using namespace laws;
using namespace std::chrono_literals;

namespace {

/// One row as routes see it.
struct Row {
  int value = 0;
  Key key = 0;
  int priority = 0;

  Row with(int other) const { return {other, key, priority}; }
};

/// What one row becomes, by a plain function of it, its key and its request.
using Meaning = std::function<Result<int>(const Row&)>;

struct Logic {
  Servable<int, int> servable;
  Meaning meaning;
};

int modulo(int n, int by) {
  return ((n % by) + by) % by;
}

/// Draws routes, guards and filters over the graphs of `GraphMaker`.
class LogicMaker {
 public:
  LogicMaker(unsigned seed, galley::Executor executor)
      : make_(seed, executor), executor_(std::move(executor)) {}

  GraphMaker& plain() { return make_; }

  Logic logic(int depth) {
    if (depth == 0) return leaf();
    switch (make_.number(9)) {
      case 0:
        return joined(logic(depth - 1), logic(depth - 1));
      case 1:
        return enclosed(logic(depth - 1));
      case 2:
      case 3:
        return routed_by_row(depth);
      case 4:
        return routed_by_request(depth);
      case 5:
        return classified(depth);
      case 6:
      case 7:
        return guarded(logic(depth - 1));
      default:
        return filtered(logic(depth - 1));
    }
  }

 private:
  std::string name() { return "n" + std::to_string(next_name_++); }

  Logic leaf() {
    Graph graph = make_.graph(1);
    return {graph.servable,
            [reference = graph.reference](const Row& row) { return reference(row.value); }};
  }

  static Logic joined(const Logic& a, const Logic& b) {
    return {a.servable | b.servable, [a = a.meaning, b = b.meaning](const Row& row) {
              const Result<int> mid = a(row);
              return mid.has_value() ? b(row.with(*mid)) : mid;
            }};
  }

  Logic enclosed(Logic inner) {
    switch (make_.number(4)) {
      case 0:
        inner.servable = galley::on(executor_, inner.servable);
        break;
      case 1:
        inner.servable =
            batched_by(make_.number(batchings), executor_, inner.servable, make_.options());
        break;
      case 2:
        inner.servable = galley::in_order(inner.servable);
        break;
      default:
        inner.servable = galley::slot("slot", inner.servable).servable;
    }
    return inner;
  }

  std::vector<Logic> arms(int depth) {
    std::vector<Logic> drawn;
    for (int n = 1 + make_.number(3); n > 0; --n) drawn.push_back(logic(depth - 1));
    return drawn;
  }

  static std::vector<Servable<int, int>> servables(const std::vector<Logic>& arms) {
    std::vector<Servable<int, int>> all;
    for (const Logic& arm : arms) all.push_back(arm.servable);
    return all;
  }

  static Meaning meaning(const std::vector<Logic>& arms,
                         std::function<Result<std::size_t>(const Row&)> pick) {
    std::vector<Meaning> all;
    for (const Logic& arm : arms) all.push_back(arm.meaning);
    return [all, pick = std::move(pick)](const Row& row) -> Result<int> {
      const Result<std::size_t> arm = pick(row);
      return arm.has_value() ? all[*arm](row) : Result<int>(arm.error());
    };
  }

  Logic routed_by_row(int depth) {
    const std::string name = this->name();
    const std::vector<Logic> arms = this->arms(depth);
    const int n = static_cast<int>(arms.size()), shift = make_.number(10);
    const auto rule = [=](int value) -> Result<int> {
      if (modulo(value, 19) == 3) throw std::runtime_error("rule");
      if (modulo(value, 23) == 4) return Error(Status::not_found, "rule");
      if (modulo(value, 29) == 5) return n;
      return modulo(value + shift, n);
    };
    return {route(rule, servables(arms), {.name = name}),
            meaning(arms, [=](const Row& row) -> Result<std::size_t> {
              const int value = row.value;
              if (modulo(value, 19) == 3) return Error(Status::internal, name + ": threw: rule");
              if (modulo(value, 23) == 4) return Error(Status::not_found, name + ": rule");
              if (modulo(value, 29) == 5) {
                return Error(Status::internal, name + ": a row was sent to arm " +
                                                   std::to_string(n) + ", expected one below " +
                                                   std::to_string(n));
              }
              return static_cast<std::size_t>(modulo(value + shift, n));
            })};
  }

  Logic routed_by_request(int depth) {
    const std::string name = this->name();
    const std::vector<Logic> arms = this->arms(depth);
    const std::size_t n = arms.size();
    const galley::RouteOptions options{.name = name,
                                       .seed = static_cast<std::uint64_t>(make_.number(100))};
    switch (make_.number(4)) {
      case 0: {
        const auto arm = static_cast<std::size_t>(make_.number(static_cast<int>(n)));
        return {route(galley::always(arm), servables(arms), options),
                meaning(arms, [arm](const Row&) { return arm; })};
      }
      case 1: {
        std::vector<double> weights(n, 1);
        weights[0] = 0.5 + make_.number(3);
        const galley::Sticky policy = galley::sticky(RouteWeights(weights), {.salt = options.seed});
        return {route(policy, servables(arms), options), meaning(arms, [=](const Row& row) {
                  return policy.route({.arms = n, .key = row.key, .weights = weights});
                })};
      }
      case 2: {
        // By chance, between arms that answer the same.
        const std::vector<Servable<int, int>> same(3, arms[0].servable);
        return {route(galley::by_weight({1, 2, 0.5}), same, options), arms[0].meaning};
      }
      default: {
        const auto pick = [n](int priority) { return static_cast<std::size_t>(priority) % n; };
        return {route(galley::by_context([=](const RouteView& view) {
                        std::vector<double> weights(n);
                        weights[pick(view.priority)] = 1;
                        return RouteWeights(weights);
                      }),
                      servables(arms), options),
                meaning(arms, [=](const Row& row) { return pick(row.priority); })};
      }
    }
  }

  Logic classified(int depth) {
    const Logic before = logic(depth - 1);
    const std::vector<Logic> arms = this->arms(depth);
    const int n = static_cast<int>(arms.size());
    const auto classifier = before.servable | galley::map("class", [n](int value) {
                              return static_cast<std::size_t>(modulo(value, n));
                            });
    return {route(classifier, servables(arms)),
            meaning(arms, [before = before.meaning, n](const Row& row) -> Result<std::size_t> {
              const Result<int> value = before(row);
              if (!value.has_value()) return value.error();
              return static_cast<std::size_t>(modulo(*value, n));
            })};
  }

  Logic guarded(const Logic& inner) {
    const std::string name = "guard(" + inner.servable.name() + ")";
    const int divisor = 3 + make_.number(10);
    const auto error = [name](Status status, const char* why) {
      return Error(status, name + ": input: " + why);
    };
    const auto bad = [divisor](int value) {
      if (modulo(value, 31) == 7) throw std::runtime_error("check");
      return modulo(value, divisor) == 1;
    };
    const auto throws = [](const Row& row) { return modulo(row.value, 31) == 7; };
    const auto is_bad = [divisor](const Row& row) { return modulo(row.value, divisor) == 1; };
    const Meaning go_on = inner.meaning;
    switch (make_.number(3)) {
      case 0:
        return {guard([bad](int value) { return !bad(value); }, inner.servable),
                [=](const Row& row) -> Result<int> {
                  if (throws(row)) return error(Status::internal, "threw: check");
                  if (is_bad(row)) return error(Status::invalid_argument, "refused");
                  return go_on(row);
                }};
      case 1:
        return {guard(repairing([bad](int value) {
                        return bad(value) ? std::optional(value + 1) : std::nullopt;
                      }),
                      inner.servable),
                [=](const Row& row) -> Result<int> {
                  if (throws(row)) return error(Status::internal, "threw: check");
                  return go_on(is_bad(row) ? row.with(row.value + 1) : row);
                }};
      default:
        return {guard(answering([bad](int value) {
                        return bad(value) ? std::optional(-value) : std::nullopt;
                      }),
                      inner.servable),
                [=](const Row& row) -> Result<int> {
                  if (throws(row)) return error(Status::internal, "threw: check");
                  return is_bad(row) ? Result<int>(-row.value) : go_on(row);
                }};
    }
  }

  Logic filtered(const Logic& inner) {
    const std::string name = "filter(" + inner.servable.name() + ")";
    const int divisor = 2 + make_.number(10);
    const Meaning before = inner.meaning;
    if (make_.number(2) == 0) {
      return {filter([divisor](int made) { return modulo(made, divisor) != 1; }, inner.servable),
              [=](const Row& row) -> Result<int> {
                const Result<int> made = before(row);
                if (!made.has_value() || modulo(*made, divisor) != 1) return made;
                return Error(Status::unavailable, name + ": the prediction was rejected");
              }};
    }
    const auto rule = [divisor](int value, int made) -> Result<int> {
      if (modulo(made, 37) == 5) throw std::runtime_error("rule");
      if (modulo(made, divisor) == 1) return value;
      return made;
    };
    return {filter(rule, inner.servable), [=](const Row& row) -> Result<int> {
              const Result<int> made = before(row);
              if (!made.has_value()) return made;
              if (modulo(*made, 37) == 5) return Error(Status::internal, name + ": threw: rule");
              return modulo(*made, divisor) == 1 ? row.value : *made;
            }};
  }

  GraphMaker make_;
  galley::Executor executor_;
  int next_name_ = 0;
};

struct Asked {
  Rows<int> rows;
  std::vector<Key> keys;
  Context context;
  IntEar ear;

  int first_wrong(const Meaning& meaning) const {
    if (ear.answers != 1 || ear.heard.size() != rows.size()) return static_cast<int>(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Row row{rows[i], keys[i], context.priority};
      if (!agrees(ear.heard[i], meaning(row))) return static_cast<int>(i);
    }
    return -1;
  }
};

std::vector<std::unique_ptr<Asked>> draw_requests(GraphMaker& make) {
  std::vector<std::unique_ptr<Asked>> all;
  for (int n = 1 + make.number(5); n > 0; --n) {
    Asked& asked = *all.emplace_back(std::make_unique<Asked>());
    asked.rows = make.rows(make.number(4) == 0 ? 20 : 4);
    for (std::size_t i = 0; i < asked.rows.size(); ++i) {
      asked.keys.push_back(static_cast<Key>(make.number(50)));
    }
    asked.context.priority = make.number(3);
  }
  return all;
}

}  // namespace

TEST_CASE("a graph of routes, guards and filters answers as its rules read, row by row", "[laws]") {
  int cases = 0;
  std::size_t rows = 0;
  for (unsigned seed = 1; seed <= 2500; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor({.seed = seed, .order = TaskOrder::shuffled});
    LogicMaker make(seed, executor);
    GraphMaker& draw = make.plain();
    const Logic logic = make.logic(3);
    REQUIRE(logic.servable.check().has_value());
    const bool merge = draw.number(2) == 0;
    const Servable<int, int> graph =
        merge ? batched_by(draw.number(batchings), executor, logic.servable, draw.options())
              : logic.servable;
    const auto all = draw_requests(draw);
    for (const auto& asked : all) {
      const std::size_t n = asked->rows.size();
      if (draw.number(3) == 0) {
        asked->ear.listen(n)(graph.serve_rows(asked->rows, asked->context, {.keys = asked->keys}));
      } else {
        graph.submit_rows(Rows<int>(asked->rows), asked->context, asked->ear.listen(n),
                          {.keys = asked->keys});
      }
      if (draw.number(3) == 0) executor.run_one();
      rows += n;
    }
    executor.run_all();
    for (const auto& asked : all) REQUIRE(asked->first_wrong(logic.meaning) == -1);
    REQUIRE(executor.pending() == 0);
    ++cases;
  }
  CHECK(cases >= 2000);
  CHECK(rows > 20'000);
}

TEST_CASE("rows alone, served and submitted, are answered as in their batch", "[laws]") {
  for (unsigned seed = 1; seed <= 600; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor({.seed = seed});
    LogicMaker make(seed, executor);
    const Logic logic = make.logic(2);
    const Rows<int> rows = make.plain().rows(8);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::vector<Key> key{static_cast<Key>(i)};
      const Result<int> wanted = logic.meaning({rows[i], key[0], 0});
      REQUIRE(agrees(logic.servable.serve(rows[i], {}, {.keys = key}), wanted));
      IntEar ear;
      logic.servable.submit(rows[i], {}, ear.listen(), {.keys = key});
      executor.run_all();
      REQUIRE(ear.answers == 1);
      REQUIRE(agrees(ear.heard[0], wanted));
    }
  }
}

TEST_CASE("a route that always takes one arm is that arm", "[laws]") {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor({.seed = seed});
    GraphMaker make(seed, executor);
    std::vector<Servable<int, int>> arms;
    std::vector<Reference> references;
    for (int i = 0; i < 3; ++i) {
      Graph graph = make.graph(1);
      arms.push_back(graph.servable);
      references.push_back(graph.reference);
    }
    const auto i = static_cast<std::size_t>(make.number(3));
    const Rows<int> rows = make.rows(9);
    const auto graph = route(galley::always(i), arms);
    REQUIRE(first_wrong(rows, graph.serve_rows(rows), references[i]) == -1);
    REQUIRE(first_wrong(rows, arms[i].serve_rows(rows), references[i]) == -1);
  }
}

TEST_CASE("in a split, rows that expire or are stopped answer so, and the others are not moved",
          "[laws]") {
  for (unsigned seed = 1; seed <= 600; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor({.seed = seed, .order = TaskOrder::shuffled});
    LogicMaker make(seed, executor);
    GraphMaker& draw = make.plain();
    const Logic logic = make.logic(2);
    const auto graph = batched_by(draw.number(batchings), executor, logic.servable, draw.options());
    auto all = draw_requests(draw);
    std::vector<std::stop_source> stops(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      Asked& asked = *all[i];
      asked.context.stop = stops[i].get_token();
      if (draw.number(2) == 0) asked.context.deadline = executor.now() + 1us * draw.number(2000);
      graph.submit_rows(Rows<int>(asked.rows), asked.context, asked.ear.listen(asked.rows.size()),
                        {.keys = asked.keys});
      if (draw.number(3) == 0) {
        stops[static_cast<std::size_t>(draw.number(static_cast<int>(all.size())))].request_stop();
      }
      if (draw.number(4) == 0) executor.run_one();
      if (draw.number(4) == 0) executor.advance(1us * draw.number(700));
    }
    executor.run_all();
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Asked& asked = *all[i];
      REQUIRE(asked.ear.answers == 1);
      REQUIRE(asked.ear.heard.size() == asked.rows.size());
      for (std::size_t r = 0; r < asked.rows.size(); ++r) {
        const auto got = asked.ear.heard[r];
        const bool hurried = !asked.context.deadline.is_never();
        // A classifier, or a prediction, that was given up is not one that failed: a rule over it
        // does not see it.
        const bool given_up = (stops[i].stop_requested() && got.status() == Status::cancelled) ||
                              (hurried && (got.status() == Status::deadline_exceeded ||
                                           got.status() == Status::resource_exhausted));
        REQUIRE((given_up || agrees(got, logic.meaning({asked.rows[r], asked.keys[r],
                                                        asked.context.priority}))));
      }
    }
  }
}

namespace {

/// Faulty stages at every joint of a route, a guard and a filter.
Servable<int, int> faulty_logic(int shape, const ManualExecutor& executor,
                                const std::shared_ptr<FaultPlan>& plan,
                                const std::shared_ptr<int>& alive) {
  const auto plus = galley::map("plus", [alive](int n) { return n + 100; });
  const auto now = galley::faulty_now(plus, plan);
  const auto later = galley::faulty_later(plus, plan);
  const auto on = [&](Servable<int, int> s) { return galley::on(executor, std::move(s)); };
  const auto odd = [alive](int n) { return n % 2 != 0; };
  const auto classify = [&](const Servable<int, int>& s) {
    return s | galley::map("class", [](int n) { return static_cast<std::size_t>(n % 2); });
  };
  const auto fit = [alive](int n) { return n < 1000; };
  switch (shape) {
    case 0:
      return route(odd, {now, now});
    case 1:
      return route(odd, {on(now), on(later)});
    case 2:
      return route(odd, {later, now});
    case 3:
      return route(classify(now), {now, on(now)});
    case 4:
      return route(classify(on(now)), {on(later), on(now)});
    case 5:
      return guard(fit, filter(fit, on(now)));
    case 6:
      return filter([alive](int row, int made) { return made >= row; }, guard(fit, later));
    case 7: {
      const auto slot = galley::slot("slot", on(now)).servable;
      return route(odd, {slot, slot});
    }
    default:
      return batched_by(shape % batchings, executor, route(odd, {on(now), on(now)}));
  }
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

}  // namespace

TEST_CASE("whichever call of an arm goes wrong, each row is answered once and nothing is kept",
          "[laws]") {
  const Rows<int> numbers{1, 2, 3, 4};
  for (int shape = 0; shape < 8 + batchings; ++shape) {
    for (const Fault fault :
         {Fault::fails, Fault::throws, Fault::miscounts, Fault::drops, Fault::duplicates}) {
      for (const bool later : {false, true}) {
        bool happened = true;
        for (std::uint64_t nth = 1; happened; ++nth) {
          CAPTURE(shape, std::string(to_string(fault)), later, nth);
          const auto alive = std::make_shared<int>(0);
          {
            const ManualExecutor executor;
            const auto plan = std::make_shared<FaultPlan>(fault, nth);
            const auto graph = faulty_logic(shape, executor, plan, alive);
            IntEar ear;
            if (later) {
              graph.submit_rows(numbers, {}, ear.listen(4));
              executor.run_all();
            } else {
              ear.listen(4)(graph.serve_rows(numbers));
            }
            happened = plan->happened();
            REQUIRE(ear.answers == 1);
            REQUIRE(ear.heard.size() == 4);
            for (std::size_t i = 0; i < 4; ++i) {
              const Status status = ear.heard[i].status();
              if (status == Status::ok) REQUIRE(*ear.heard[i] == numbers[i] + 100);
              REQUIRE((status == Status::ok || allowed(fault).count(status) == 1));
            }
          }
          REQUIRE(alive.use_count() == 1);
          REQUIRE(nth < 100);
        }
      }
    }
  }
}
