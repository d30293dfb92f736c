// The laws of timeout, retry, hedge, breaker and shadow: whatever they enclose, an answer is the
// bare graph's, or one of the statuses that law 3 allows in its place; and each row has one.
#include <galley/compose/breaker.hpp>
#include <galley/compose/hedge.hpp>
#include <galley/compose/retry.hpp>
#include <galley/compose/shadow.hpp>
#include <galley/compose/timeout.hpp>
#include <galley/testing/faults.hpp>

#include <laws/graphs.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Context;
using galley::Fault;
using galley::FaultPlan;
using galley::ManualExecutor;
using galley::ShadowBatch;
using galley::ShadowRow;
using galley::TaskOrder;
using namespace laws;
using namespace std::chrono_literals;

namespace {

/// How a generated graph may go wrong.
enum class Weather {
  fair,   ///< No time is too short, and what fails at first is tried again often enough.
  rough,  ///< Times are short, breakers open, budgets are small.
};

/// Graphs of `GraphMaker`, enclosed in what this file is about.
class ResilientMaker {
 public:
  ResilientMaker(unsigned seed, const ManualExecutor& executor, Weather weather)
      : make_(seed, executor), executor_(executor), weather_(weather) {}

  GraphMaker& maker() { return make_; }

  Graph graph(int depth) {
    Graph inner = depth > 0 ? graph(depth - 1) : make_.graph(1);
    if (depth > 0 && make_.number(4) == 0) {
      const Graph after = make_.graph(1);
      inner = {inner.servable | after.servable, GraphMaker::then(inner.reference, after.reference)};
    }
    return {enclosed(inner), inner.reference};
  }

 private:
  bool fair() const { return weather_ == Weather::fair; }

  Servable<int, int> enclosed(const Graph& inner) {
    switch (make_.number(7)) {
      case 0:
        return galley::timeout(executor_, inner.servable,
                               fair() ? galley::Duration(24h) : 1us * (1 + make_.number(1500)));
      case 1:
        return galley::retry(flaky() | inner.servable, retry_options());
      case 2:
        return galley::retry(executor_, flaky() | inner.servable, retry_options());
      case 3:
        return warm(galley::hedge(executor_, inner.servable, {.share = 1, .burst = 50}));
      case 4:
        return warm(galley::hedge(executor_, inner.servable, same(inner), {.share = 1}));
      case 5:
        return galley::breaker(executor_, inner.servable, breaker_options());
      default:
        return shadowed(inner);
    }
  }

  galley::RetryOptions retry_options() {
    galley::RetryOptions options{.attempts = 4,
                                 .seed = static_cast<std::uint64_t>(make_.number(9))};
    if (fair()) options.budget.burst = 1e6;
    if (!fair() && make_.number(2) == 0) options.budget = {.ratio = 0, .burst = 1};
    return options;
  }
  galley::BreakerOptions breaker_options() {
    if (fair()) return {.failures = {Status::data_loss}};  // which nothing here answers
    return {.failure_rate = 0.3, .window = 8, .least_rows = 2, .open_for = 1ms, .probes = 2};
  }

  /// Fails each value the first time it sees it.
  Servable<int, int> flaky() {
    return galley::map("flaky", [seen = std::make_shared<std::set<int>>()](int n) -> Result<int> {
      if (n % 3 == 0 && seen->insert(n).second) return Error(Status::unavailable, "flaky");
      return n;
    });
  }
  /// Another servable with the same answers.
  Servable<int, int> same(const Graph& inner) {
    return galley::map("same", [reference = inner.reference](int n) { return reference(n); });
  }
  /// Knows how long requests of one row take.
  Servable<int, int> warm(Servable<int, int> hedge) {
    if (make_.number(2) == 0) return hedge;
    for (int i = 0; i < 20; ++i) hedge.submit(2, {}, [](const Result<int>&) {});
    executor_.run_all();
    return hedge;
  }
  Servable<int, int> shadowed(const Graph& inner) {
    const galley::ShadowOptions options{
        .share = make_.number(2) == 0 ? 1.0 : 0.5,
        .max_requests = static_cast<std::size_t>(1 + make_.number(8)),
        .max_running = static_cast<std::size_t>(1 + make_.number(2))};
    const auto throws = [](const ShadowRow<int, int>& one) {
      if (one.row % 2 == 0) throw std::runtime_error("the sink");
    };
    if (make_.number(2) == 0) {
      return galley::shadow(executor_, inner.servable, make_.graph(1).servable, options, throws);
    }
    return galley::shadow(
        executor_, inner.servable, same(inner), options, [](const ShadowBatch<int, int>&) {},
        std::equal_to<>());
  }

  GraphMaker make_;
  ManualExecutor executor_;
  Weather weather_;
};

/// As `agrees`, or what `same` says of it.
template <class Got>
bool agrees_in_all(const Got& got, const Result<int>& wanted) {
  if (agrees(got, wanted)) return true;
  return !got.has_value() && !wanted.has_value() && got.status() == wanted.status() &&
         got.error().detail == "same: " + wanted.error().detail;
}

int first_wrong_in(const Rows<int>& rows, const Outcomes<int>& outcomes,
                   const Reference& reference) {
  if (outcomes.size() != rows.size()) return static_cast<int>(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!agrees_in_all(outcomes[i], reference(rows[i]))) return static_cast<int>(i);
  }
  return -1;
}

bool may_stand_for_a_value(Status status) {
  return status == Status::resource_exhausted || status == Status::deadline_exceeded ||
         status == Status::cancelled || status == Status::unavailable ||
         status == Status::failed_precondition;
}

}  // namespace

TEST_CASE("where nothing goes wrong the answers are the bare graph's", "[laws]") {
  for (unsigned seed = 1; seed <= 2000; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor({.seed = seed, .order = TaskOrder::shuffled});
    ResilientMaker make(seed, executor, Weather::fair);
    const Graph graph = make.graph(static_cast<int>(seed % 3));
    const Rows<int> rows = make.maker().rows(7);
    CAPTURE(graph.servable.name());
    REQUIRE(graph.servable.check().has_value());
    REQUIRE(first_wrong_in(rows, graph.servable.serve_rows(rows), graph.reference) == -1);
    REQUIRE(first_wrong_in(rows, graph.servable.serve_rows(Rows<int>(rows)), graph.reference) ==
            -1);
    for (int n : rows) REQUIRE(agrees_in_all(graph.servable.serve(n), graph.reference(n)));
    int answers = 0, wrong = 0;
    graph.servable.submit_rows(Rows<int>(rows), {},
                               BatchCompletion<int>(rows.size(), [&](const Outcomes<int>& heard) {
                                 ++answers;
                                 wrong = first_wrong_in(rows, heard, graph.reference);
                               }));
    executor.run_all();
    REQUIRE(answers == 1);
    REQUIRE(wrong == -1);
    REQUIRE(executor.pending() + executor.timers() == 0);
  }
}

TEST_CASE("rows of many requests merged answer as each request alone, by its own deadline",
          "[laws]") {
  for (unsigned seed = 2001; seed <= 3000; ++seed) {
    CAPTURE(seed);
    const ManualExecutor executor({.seed = seed, .order = TaskOrder::shuffled});
    ResilientMaker make(seed, executor, Weather::fair);
    const Graph inner = make.graph(static_cast<int>(seed % 3));
    GraphMaker& draw = make.maker();
    const Servable<int, int> graph =
        draw.number(2) == 0 ? inner.servable : batched_by(0, executor, inner.servable);
    const Rows<int> rows = draw.rows(9);
    if (rows.empty()) continue;
    CAPTURE(graph.name());
    std::vector<Context> contexts(rows.size());
    std::vector<galley::RequestRun> runs;
    std::vector<bool> expired;
    for (std::size_t first = 0; first < rows.size();) {
      const auto count =
          std::min<std::size_t>(rows.size() - first, static_cast<std::size_t>(draw.number(3)));
      const bool late = draw.number(3) == 0;
      contexts[first].deadline = late ? executor.now() - 1ns : executor.now() + 1h;
      runs.push_back({&contexts[first], static_cast<galley::RowIndex>(count)});
      expired.insert(expired.end(), count, late);
      first += count;
    }
    const std::vector<galley::Key> keys(rows.size(), 7);
    const Outcomes<int> outcomes =
        graph.serve_batch(Batch<int>(rows), galley::BatchContext(runs, keys));
    REQUIRE(outcomes.size() == rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      CAPTURE(i);
      if (expired[i]) {
        REQUIRE(outcomes[i].status() == Status::deadline_exceeded);
      } else {
        REQUIRE(agrees_in_all(outcomes[i], inner.reference(rows[i])));
      }
    }
  }
}

TEST_CASE("whatever goes wrong, each row has one answer, and a value is the bare graph's",
          "[laws]") {
  std::size_t values = 0, other = 0;
  for (unsigned seed = 1; seed <= 2000; ++seed) {
    CAPTURE(seed);
    std::optional<ManualExecutor> executor(
        std::in_place, galley::ManualExecutorOptions{.seed = seed, .order = TaskOrder::shuffled});
    ResilientMaker make(seed, *executor, Weather::rough);
    GraphMaker& draw = make.maker();
    std::optional<Graph> graph = make.graph(static_cast<int>(seed % 3));
    const Reference reference = graph->reference;
    CAPTURE(graph->servable.name());
    constexpr std::size_t requests = 10;
    std::vector<std::stop_source> stops(requests);
    std::vector<int> answers(requests, 0);
    std::vector<std::size_t> asked;
    int wrong = 0;
    for (std::size_t i = 0; i < requests && graph.has_value(); ++i) {
      const Rows<int> rows = draw.rows(4);
      if (rows.empty()) continue;
      Context context{.stop = stops[i].get_token()};
      if (draw.number(3) == 0) context.deadline = executor->now() + 1us * draw.number(2000);
      asked.push_back(i);
      graph->servable.submit_rows(
          Rows<int>(rows), context,
          BatchCompletion<int>(rows.size(), [&, i, rows](const Outcomes<int>& outcomes) {
            ++answers[i];
            for (std::size_t r = 0; r < rows.size(); ++r) {
              const Result<int> wanted = reference(rows[r]);
              ++(outcomes[r].has_value() ? values : other);
              if (outcomes[r].has_value() && !agrees_in_all(outcomes[r], wanted)) ++wrong;
              if (!outcomes[r].has_value() && !agrees_in_all(outcomes[r], wanted) &&
                  !may_stand_for_a_value(outcomes[r].status())) {
                ++wrong;
              }
            }
          }));
      if (draw.number(5) == 0) stops[static_cast<std::size_t>(draw.number(10))].request_stop();
      if (draw.number(3) == 0) executor->run_one();
      if (draw.number(3) == 0) executor->advance(1us * draw.number(900));
      if (draw.number(40) == 0) executor->shutdown();
      if (draw.number(30) == 0) graph.reset();
    }
    executor->run_all();
    for (const std::size_t i : asked) REQUIRE(answers[i] == 1);
    REQUIRE(wrong == 0);
  }
  CHECK(values > 5000);
  CHECK(other > 5000);
}

namespace {

constexpr int shapes = 10;

/// A graph of this file's nodes, with faulty stages within, and something whose life can be
/// watched.
Servable<int, int> faulty_graph(int shape, const ManualExecutor& executor,
                                const std::shared_ptr<FaultPlan>& plan,
                                const std::shared_ptr<int>& alive) {
  const auto plus = galley::map("plus", [alive](int n) -> Result<int> {
    if (n == 3) return Error(Status::invalid_argument, "3");
    return n + 100;
  });
  const auto now = galley::faulty_now(plus, plan);
  const auto later = galley::faulty_later(plus, plan);
  const auto sink = [alive](const ShadowBatch<int, int>&) {};
  switch (shape) {
    case 0:
      return galley::timeout(executor, now, 1s);
    case 1:
      return galley::timeout(executor, later | now, 1s);
    case 2:
      return galley::retry(now);
    case 3:
      return galley::retry(executor, now | later);
    case 4:
      return galley::retry(executor, galley::timeout(executor, later, 1s), {.attempts = 2});
    case 5:
      return galley::hedge(executor, later | now, {.share = 1});
    case 6:
      return galley::breaker(executor, galley::hedge(executor, now, {.share = 1}));
    case 7:
      return galley::breaker(executor, now) | galley::breaker(executor, later);
    case 8:
      return galley::shadow(executor, now, later, {.share = 1}, sink, std::equal_to<>());
    default:
      return galley::shadow(executor, galley::retry(executor, later), now | now, {.share = 1},
                            sink);
  }
}

/// How many hundreds the shape adds.
int stages(int shape) {
  return shape == 1 || shape == 3 || shape == 5 || shape == 7 ? 2 : 1;
}

bool is_expected(Fault fault, Status status) {
  if (fault == Fault::fails) return status == Status::resource_exhausted;
  if (fault == Fault::drops) {
    return status == Status::cancelled || status == Status::resource_exhausted;
  }
  return (fault == Fault::throws || fault == Fault::miscounts) && status == Status::internal;
}

const Rows<int> numbers{1, 2, 3, 4};

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

TEST_CASE("whichever call beneath goes wrong, each row is answered once and nothing is kept",
          "[laws]") {
  for (int shape = 0; shape < shapes; ++shape) {
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
            for (const bool first : {true, false}) {
              const Outcomes<int> outcomes = ask(later, executor, graph);
              if (first) happened = plan->happened();
              REQUIRE(outcomes.size() == 4);
              for (std::size_t i = 0; i < 4; ++i) {
                const Status status = outcomes[i].status();
                if (status == Status::ok) REQUIRE(*outcomes[i] == numbers[i] + 100 * stages(shape));
                const Status undisturbed = numbers[i] == 3 ? Status::invalid_argument : Status::ok;
                // A shadow's copy may be the call that goes wrong, and later than the answer.
                const bool disturbed = first || !happened;
                REQUIRE((status == undisturbed || (disturbed && is_expected(fault, status))));
              }
              executor.run_all();
            }
          }
          REQUIRE(alive.use_count() == 1);
          REQUIRE(nth < 100);
        }
      }
    }
  }
}
