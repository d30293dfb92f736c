// The laws of traces: over random graphs, what a trace says is what happened, and it changes
// nothing.
#include <galley/compose/ensemble.hpp>
#include <galley/compose/fallback.hpp>
#include <galley/compose/guard.hpp>
#include <galley/compose/hedge.hpp>
#include <galley/compose/in_order.hpp>
#include <galley/compose/logic.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/compose/retry.hpp>
#include <galley/compose/route.hpp>
#include <galley/compose/shadow.hpp>
#include <galley/compose/timeout.hpp>
#include <galley/core/slot.hpp>
#include <galley/core/trace.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/traces.hpp>

#include <laws/graphs.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

namespace {

using galley::Batch;
using galley::BatchCompletion;
using galley::Completion;
using galley::Context;
using galley::Error;
using galley::ManualExecutor;
using galley::Outcomes;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Span;
using galley::Status;
using galley::Trace;
using namespace std::chrono_literals;

/// A row is its request and its number there.
constexpr int rows_each = 1000;

/// Which rows came to a leaf: by its name, of each request.
using Seen = std::map<std::string, std::map<int, std::set<std::size_t>>>;

/// A graph of leaves that pass rows on or refuse them, and which rows come through.
struct Drawn {
  Servable<int, int> servable;
  std::function<bool(int)> passes;
};

bool refuses(int salt, int row) {
  return (row * 7 + salt * 13) % 5 == 0;
}

class TracedGraphs {
 public:
  /// Timeouts are at least `least_time`.
  TracedGraphs(unsigned seed, galley::Executor executor, galley::Duration least_time)
      : random_(seed), executor_(std::move(executor)), least_time_(least_time) {}

  int number(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  Drawn graph(int depth) {
    switch (depth > 0 ? number(18) : 0) {
      case 1:
      case 2:
      case 3:
      case 4: {
        Drawn a = graph(depth - 1), b = graph(depth - 1);
        return {a.servable | b.servable,
                [a, b](int row) { return a.passes(row) && b.passes(row); }};
      }
      case 5:
        return enclosed(depth, [this](auto s) { return galley::on(executor_, std::move(s)); });
      case 6:
        return enclosed(depth, [](auto s) { return galley::slot("slot", std::move(s)).servable; });
      case 7:
        return enclosed(depth, [this](const auto& s) { return batched(s); });
      case 8:
        return enclosed(depth, [](auto s) { return galley::in_order(std::move(s)); });
      case 9: {
        Drawn a = graph(depth - 1), b = graph(depth - 1);
        const auto way = [](const int& row) { return static_cast<std::size_t>(row % 3 == 0); };
        return {galley::route(way, {a.servable, b.servable}),
                [a, b, way](int row) { return (way(row) == 0 ? a : b).passes(row); }};
      }
      case 10: {
        Drawn inner = graph(depth - 1);
        const auto valid = [](const int& row) { return row % 6 != 1; };
        return {galley::guard(valid, inner.servable),
                [inner, valid](int row) { return valid(row) && inner.passes(row); }};
      }
      case 11: {
        Drawn a = graph(depth - 1), b = graph(depth - 1);
        const galley::FallbackOptions any{
            .on = {Status::invalid_argument, Status::internal, Status::unavailable}};
        return {galley::fallback({a.servable, b.servable}, any),
                [a, b](int row) { return a.passes(row) || b.passes(row); }};
      }
      case 12:
        return enclosed(depth, [this](auto s) {
          return galley::timeout(executor_, std::move(s), least_time_ + 1us * number(900));
        });
      case 13:
        return enclosed(depth, [this](const auto& s) {
          galley::RetryOptions often;
          often.budget.burst = 1e6;
          return galley::retry(executor_, flaky() | s, often);
        });
      case 14:
        return hedged(graph(depth - 1));
      case 15: {
        const Drawn a = graph(depth - 1);
        const auto sink = [](const galley::ShadowBatch<int, int>&) {};
        return {galley::shadow(executor_, a.servable, graph(depth - 1).servable,
                               {.share = 0.5, .max_requests = 2}, sink),
                a.passes};
      }
      case 16:
      case 17: {
        const Drawn a = graph(depth - 1), b = graph(depth - 1);
        return number(2) == 0 ? voted(a, b) : programmed(a, b);
      }
      default:
        return leaf();
    }
  }

  Seen seen;
  /// True once a graph was drawn that stops what it asked for: a leaf's span then tells of rows
  /// that came to it, and that it did not look at.
  bool may_stop = false;

 private:
  template <class Enclose>
  Drawn enclosed(int depth, Enclose&& enclose) {
    Drawn inner = graph(depth - 1);
    return {enclose(inner.servable), std::move(inner.passes)};
  }

  Servable<int, int> batched(const Servable<int, int>& inner) {
    galley::BatchOptions options;
    options.max_rows = static_cast<std::size_t>(1 + number(9));
    if (number(2) == 0) options.caller_runs = galley::CallerRuns::never;
    if (number(3) == 0) options.sizes = {options.max_rows};
    return laws::batched_by(number(laws::batchings), executor_, inner, options);
  }

  Drawn hedged(const Drawn& inner) {
    may_stop = true;
    const auto made = galley::hedge(executor_, inner.servable, {.share = 1, .burst = 50});
    if (number(2) == 0) return {made, inner.passes};
    // It learns how long requests of one row take, from one that nobody looks at.
    int row = nobodys_request * rows_each;
    while (row % rows_each < rows_each - 1 && !inner.passes(row)) ++row;
    for (int i = 0; i < 20; ++i) (void)made.serve(row);
    return {made, inner.passes};
  }

  Drawn voted(const Drawn& a, const Drawn& b) {
    galley::EnsembleOptions options;
    options.fork = static_cast<galley::EnsembleOptions::Fork>(number(3));
    const auto passes = [a, b](int row) { return a.passes(row) || b.passes(row); };
    if (number(2) == 0) {
      return {galley::ensemble(galley::First(), {a.servable, b.servable}, options), passes};
    }
    return {galley::ensemble(executor_, galley::First(), {a.servable, b.servable}, options),
            passes};
  }

  static Drawn programmed(const Drawn& a, const Drawn& b) {
    return {galley::logic<int>(
                "logic",
                [](int row, auto& first, auto& second) -> galley::RowTask<int> {
                  if (row % 2 == 0) {
                    Result<int> said = co_await first(row);
                    if (!said.has_value()) co_return said;
                  }
                  co_return co_await second(row);
                },
                a.servable, b.servable),
            [a, b](int row) { return (row % 2 != 0 || a.passes(row)) && b.passes(row); }};
  }

  /// A leaf that fails each row the first time.
  Servable<int, int> flaky() {
    const std::string name = "leaf" + std::to_string(leaves_++);
    auto& log = seen[name];
    return galley::map(name, [&log, known = std::make_shared<std::set<int>>()](int row) {
      log[row / rows_each].insert(static_cast<std::size_t>(row % rows_each));
      const bool first = known->insert(row).second;
      return first ? Result<int>(Error(Status::unavailable, "flaky")) : Result<int>(row);
    });
  }

  Drawn leaf() {
    const int salt = leaves_++;
    const std::string name = "leaf" + std::to_string(salt);
    auto& log = seen[name];
    const auto one = [&log, salt](int row) -> Result<int> {
      log[row / rows_each].insert(static_cast<std::size_t>(row % rows_each));
      if (refuses(salt, row)) return Error(Status::invalid_argument, "refused");
      return row;
    };
    const auto passes = [salt](int row) { return !refuses(salt, row); };
    switch (number(4)) {
      case 0:
        return {galley::map(name, one), passes};
      case 1:
        return {galley::map(name,
                            [one](int row) {
                              if (!one(row).has_value()) throw std::runtime_error("refused");
                              return row;
                            }),
                passes};
      case 2:
        return {galley::map(name, [one](int row, Completion<int> done) { done(one(row)); }),
                passes};
      default:
        return {Servable<int, int>(name, Each{one}), passes};
    }
  }

  struct Each {
    std::function<Result<int>(int)> one;
    Outcomes<int> operator()(const Batch<int>& rows) const {
      Outcomes<int> outcomes;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        Result<int> answer = one(rows[i]);
        if (answer.has_value()) {
          outcomes.survivors().push_back(*answer);
        } else {
          outcomes.casualties().append(i, answer.error());
        }
      }
      return outcomes;
    }
  };

  static constexpr int nobodys_request = 99;

  std::mt19937 random_;
  galley::Executor executor_;
  galley::Duration least_time_;
  int leaves_ = 0;
};

struct Request {
  Rows<int> rows;
  std::shared_ptr<Trace> trace;
  std::optional<Outcomes<int>> heard;
};

/// Several requests at once, some of them traced.
std::vector<Request> ask(TracedGraphs& random, const Drawn& graph, const ManualExecutor& executor,
                         galley::Duration deadline) {
  std::vector<Request> requests(static_cast<std::size_t>(1 + random.number(4)));
  for (std::size_t r = 0; r < requests.size(); ++r) {
    Request& request = requests[r];
    const int n = 1 + random.number(12);
    for (int i = 0; i < n; ++i) request.rows.push_back(static_cast<int>(r) * rows_each + i);
    Context context{.request_id = r + 1};
    if (random.number(3) != 0) {
      request.trace =
          std::make_shared<Trace>(executor.now().clock, galley::TraceOptions{.max_spans = 4096});
      context.trace = request.trace;
    }
    if (deadline != 0ns && random.number(2) == 0) context.deadline = executor.now() + deadline;
    if (random.number(4) == 0) {
      request.heard = graph.servable.serve_rows(request.rows, context);
    } else {
      graph.servable.submit_rows(
          request.rows, context,
          BatchCompletion<int>(request.rows.size(), [&request](Outcomes<int> outcomes) {
            request.heard = std::move(outcomes);
          }));
    }
    if (random.number(4) == 0) executor.run_ready(3);
    if (deadline != 0ns) executor.pass(deadline / 2);
  }
  executor.run_all();
  return requests;
}

/// What leaf saw which rows, as the trace tells it.
std::map<std::string, std::set<std::size_t>> rows_by_leaf(const std::vector<Span>& spans) {
  std::map<std::string, std::set<std::size_t>> rows;
  for (const Span& span : spans) {
    if (span.name.rfind("leaf", 0) == 0 && span.kind != "pipeline") {
      rows[span.name].merge(support::rows_of(span));
    }
  }
  return rows;
}

}  // namespace

TEST_CASE("a trace says which rows came to which leaf, and changes no answer", "[laws][trace]") {
  constexpr unsigned graphs = 2500;
  std::size_t spans_seen = 0;
  std::map<std::string, int> kinds;
  for (unsigned seed = 1; seed <= graphs; ++seed) {
    const ManualExecutor executor;
    TracedGraphs random(seed, executor, 24h);
    const Drawn graph = random.graph(4);
    const auto requests = ask(random, graph, executor, 0ns);
    INFO("seed " << seed << ", graph " << graph.servable.name());
    for (std::size_t r = 0; r < requests.size(); ++r) {
      const Request& request = requests[r];
      REQUIRE(request.heard.has_value());
      std::size_t failed = 0;
      for (std::size_t i = 0; i < request.rows.size(); ++i) {
        const auto outcome = (*request.heard)[i];
        REQUIRE(outcome.has_value() == graph.passes(request.rows[i]));
        if (outcome.has_value()) REQUIRE(*outcome == request.rows[i]);
        failed += outcome.has_value() ? 0 : 1;
      }
      if (request.trace == nullptr) continue;
      REQUIRE(request.trace->lost() == 0);
      const auto spans = request.trace->spans();
      spans_seen += spans.size();
      for (const Span& span : spans) ++kinds[span.kind];
      REQUIRE(support::wrong_with(spans) == "");
      REQUIRE(galley::children_of(spans, galley::no_span).size() == 1);
      REQUIRE(spans[0].row_count() == request.rows.size());
      REQUIRE(spans[0].failed == failed);
      REQUIRE(spans[0].request_id == r + 1);
      auto told = rows_by_leaf(spans);
      for (auto& [leaf, by_request] : random.seen) {
        INFO(leaf << "\n" << galley::to_text(spans));
        auto& rows = by_request[static_cast<int>(r)];
        if (random.may_stop) rows.merge(std::set<std::size_t>(told[leaf]));
        REQUIRE(told[leaf] == rows);
      }
    }
  }
  CHECK(spans_seen > 10 * graphs);
  for (const char* kind : {"shadow", "hedge", "retry", "timeout", "ensemble", "logic", "route"}) {
    CAPTURE(kind);
    CHECK(kinds[kind] > 1000);
  }
}

TEST_CASE("traces of requests that come too late are whole", "[laws][trace]") {
  constexpr unsigned graphs = 1000;
  std::size_t late = 0;
  for (unsigned seed = 1; seed <= graphs; ++seed) {
    const ManualExecutor executor;
    TracedGraphs random(seed, executor, 1us);
    const Drawn graph = random.graph(4);
    const auto requests = ask(random, graph, executor, 1ms);
    INFO("seed " << seed << ", graph " << graph.servable.name());
    for (std::size_t r = 0; r < requests.size(); ++r) {
      const Request& request = requests[r];
      REQUIRE(request.heard.has_value());
      for (std::size_t i = 0; i < request.rows.size(); ++i) {
        late += (*request.heard)[i].status() == Status::deadline_exceeded ? 1 : 0;
      }
      if (request.trace == nullptr) continue;
      const auto spans = request.trace->spans();
      REQUIRE(support::wrong_with(spans) == "");
      auto told = rows_by_leaf(spans);
      for (auto& [leaf, by_request] : random.seen) {
        for (const std::size_t row : by_request[static_cast<int>(r)]) {
          REQUIRE(told[leaf].count(row) == 1);
        }
      }
    }
  }
  CHECK(late > 0);
}
