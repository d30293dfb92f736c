// The laws of DESIGN section 3 over random graphs of all combinators at once, against a plain
// row-by-row reading of them.
#include <galley/core/trace.hpp>

#include <support/traces.hpp>

#include <laws/mixed.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <memory_resource>
#include <numeric>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchCompletion;
using galley::BatchContext;
using galley::Completion;
using galley::Context;
using galley::Fault;
using galley::FaultPlan;
using galley::Key;
using galley::ManualExecutor;
using galley::RequestRun;
using galley::RowIndex;
using galley::TaskOrder;
using namespace mixed;
using namespace std::chrono_literals;

namespace {

constexpr int depth = 4;

/// A request: rows, their keys, how it was answered and how often.
struct Request {
  Rows<int> rows;
  std::vector<Key> keys;
  int answers = 0;
  Outcomes<int> heard = {};

  static Request drawn(Maker& make, int most) {
    Rows<int> rows = make.rows(most);
    std::vector<Key> keys = make.keys(rows.size());
    return {std::move(rows), std::move(keys)};
  }
  /// The rows at these places, in this order.
  Request at(const std::vector<RowIndex>& places) const {
    Request part{rows.select(places), {}};
    for (const RowIndex place : places) part.keys.push_back(keys[place]);
    return part;
  }
  Request part(std::size_t first, std::size_t end) const {
    std::vector<RowIndex> places(end - first);
    std::iota(places.begin(), places.end(), static_cast<RowIndex>(first));
    return at(places);
  }

  std::size_t size() const { return rows.size(); }
  Row row(std::size_t i, galley::VersionId version = 1) const {
    return {rows[i], keys[i], version};
  }
  /// True where all rows are answered as by this version, or not for want of a runner that does
  /// not wait.
  bool is_of(galley::VersionId version, const Meaning& meaning) const;

  Outcomes<int> serve(const Servable<int, int>& graph,
                      galley::Workspace* workspace = nullptr) const {
    return graph.serve_rows(rows, {}, {.keys = keys, .workspace = workspace});
  }
  void submit(const Servable<int, int>& graph, const Context& context = {}) {
    graph.submit_rows(Rows<int>(rows), context,
                      BatchCompletion<int>(size(),
                                           [this](auto outcomes) {
                                             ++answers;
                                             heard = std::move(outcomes);
                                           }),
                      {.keys = keys});
  }
};

template <class Got>
std::string text_of(const Got& got) {
  return got.has_value() ? std::to_string(*got) : galley::to_string(got.error());
}

/// True where a row is answered as wanted, or as law 3 allows where one executor is all there is:
/// who runs it waits for it.
template <class Got>
bool agrees(const Got& got, const Result<int>& wanted) {
  if (got.status() == Status::failed_precondition) return true;
  if (got.has_value() && wanted.has_value()) return *got == *wanted;
  return got.status() == wanted.status();
}

bool Request::is_of(galley::VersionId version, const Meaning& meaning) const {
  for (std::size_t i = 0; i < size(); ++i) {
    const Status status = heard[i].status();
    const bool waits = status == Status::failed_precondition || status == Status::deadline_exceeded;
    if (!waits && !agrees(heard[i], meaning(row(i, version)))) return false;
  }
  return true;
}

/// What is not as the meaning says; empty where all is.
std::string difference(const Request& request, const Outcomes<int>& outcomes,
                       const Meaning& meaning) {
  if (outcomes.size() != request.size()) return "another number of rows";
  for (std::size_t i = 0; i < request.size(); ++i) {
    const Result<int> wanted = meaning(request.row(i));
    if (agrees(outcomes[i], wanted)) continue;
    return "row " + std::to_string(i) + ", " + std::to_string(request.rows[i]) + " of key " +
           std::to_string(request.keys[i]) + ": got " + text_of(outcomes[i]) + ", wanted " +
           text_of(wanted);
  }
  return "";
}

/// Where one outcome is not the other, its text included; empty where all are the same.
std::string difference(const Outcomes<int>& one, std::size_t first, const Outcomes<int>& other) {
  for (std::size_t i = 0; i < one.size(); ++i) {
    const std::string a = text_of(one[i]), b = text_of(other[first + i]);
    if (a != b) return "row " + std::to_string(first + i) + ": got " + a + ", before it was " + b;
  }
  return "";
}

void count_kinds(const galley::Description& node, std::map<std::string, int>& kinds) {
  ++kinds[node.kind];
  for (const galley::Description& child : node.children) count_kinds(child, kinds);
}

bool is_given_up(Status status) {
  return status == Status::deadline_exceeded || status == Status::cancelled;
}

bool may_stand_for_a_value(Status status) {
  return status == Status::resource_exhausted || status == Status::deadline_exceeded ||
         status == Status::cancelled || status == Status::unavailable ||
         status == Status::failed_precondition;
}

ManualExecutor shuffled(unsigned seed) {
  return ManualExecutor({.seed = seed, .order = TaskOrder::shuffled});
}

}  // namespace

TEST_CASE("a row of any graph is answered the same alone, in any batch, split and order",
          "[laws]") {
  std::map<std::string, int> kinds;
  std::size_t values = 0, errors = 0;
  for (unsigned seed = 1; seed <= 4000; ++seed) {
    const ManualExecutor executor = shuffled(seed);
    Maker make(seed, executor);
    const Graph graph = make.graph(depth);
    const Request request = Request::drawn(make, 9);
    const std::size_t n = request.size();
    CAPTURE(seed, graph.servable.name());
    REQUIRE(graph.servable.check().has_value());
    count_kinds(graph.servable.describe(), kinds);

    const Outcomes<int> all = request.serve(graph.servable);
    REQUIRE(difference(request, all, graph.meaning) == "");
    const bool exact = make.has_one_voice();
    const auto is_same = [&](const Outcomes<int>& outcomes, std::size_t first) {
      return exact ? difference(outcomes, first, all) : "";
    };
    for (std::size_t i = 0; i < n; ++i) {
      const Outcomes<int> one = Outcomes<int>::single(
          graph.servable.serve(request.rows[i], {}, {.keys = {&request.keys[i], 1}}));
      REQUIRE(difference(request.part(i, i + 1), one, graph.meaning) == "");
      REQUIRE(is_same(one, i) == "");
      ++(one.all_ok() ? values : errors);
    }
    // Split anywhere, in memory that is gone before what was put off is done.
    for (std::size_t first = 0; first < n;) {
      const std::size_t end = std::min(n, first + 1 + static_cast<std::size_t>(make.number(4)));
      const Request part = request.part(first, end);
      std::pmr::monotonic_buffer_resource lent;
      const Outcomes<int> some = part.serve(graph.servable, &lent);
      REQUIRE(difference(part, some, graph.meaning) == "");
      REQUIRE(is_same(some, first) == "");
      first = end;
    }
    // In another order, by value and as a view.
    std::vector<RowIndex> order(n);
    std::iota(order.begin(), order.end(), RowIndex{0});
    std::shuffle(order.begin(), order.end(), std::mt19937(seed));
    const Request other = request.at(order);
    REQUIRE(difference(other, other.serve(graph.servable), graph.meaning) == "");
    const Context context;
    REQUIRE(difference(other,
                       graph.servable.serve_batch(Batch<int>(request.rows).at_places(order),
                                                  BatchContext(context, n, other.keys)),
                       graph.meaning) == "");
    // Without those that fail.
    std::vector<RowIndex> good;
    for (std::size_t i = 0; i < n; ++i) {
      if (all[i].has_value()) good.push_back(static_cast<RowIndex>(i));
    }
    const Request fine = request.at(good);
    REQUIRE(difference(fine, fine.serve(graph.servable), graph.meaning) == "");
    executor.run_all();
    REQUIRE(executor.pending() + executor.timers() == 0);
  }
  for (const char* kind :
       {"pipeline", "on",      "batched",  "in_order",    "slot",    "ensemble", "route", "guard",
        "filter",   "cascade", "fallback", "last_good",   "timeout", "retry",    "hedge", "breaker",
        "shadow",   "expand",  "logic",    "logic_batch", "padded",  "map"}) {
    CAPTURE(kind);
    CHECK(kinds[kind] > 200);
  }
  CHECK(values > 5000);
  CHECK(errors > 5000);
}

TEST_CASE("a row of any graph is answered the same served and submitted, among any others",
          "[laws]") {
  for (unsigned seed = 10'001; seed <= 14'000; ++seed) {
    const ManualExecutor executor = shuffled(seed);
    Maker make(seed, executor);
    const Graph graph = make.graph(depth);
    CAPTURE(seed, graph.servable.name());
    std::vector<Request> requests;
    for (int i = 0; i < 4; ++i) requests.push_back(Request::drawn(make, 5));
    const Outcomes<int> served = requests[0].serve(graph.servable);
    // A trace changes nothing.
    const auto trace = std::make_shared<galley::Trace>(executor.now().clock,
                                                       galley::TraceOptions{.max_spans = 10'000});
    for (Request& request : requests) {
      const bool is_traced = &request == &requests[1];
      request.submit(graph.servable, {.trace = is_traced ? trace : nullptr});
      if (make.one_in(4)) executor.run_one();
    }
    Request alone = Request::drawn(make, 1);
    for (std::size_t i = 0; i < alone.size(); ++i) {
      graph.servable.submit(alone.rows[i], {}, Completion<int>([&alone](Result<int> one) {
                              ++alone.answers;
                              alone.heard = Outcomes<int>::single(std::move(one));
                            }),
                            {.keys = alone.keys});
    }
    executor.run_all();
    for (const Request& request : requests) {
      REQUIRE(request.answers == 1);
      REQUIRE(difference(request, request.heard, graph.meaning) == "");
    }
    REQUIRE(alone.answers == static_cast<int>(alone.size()));
    REQUIRE(difference(alone, alone.heard, graph.meaning) == "");
    if (make.has_one_voice()) REQUIRE(difference(requests[0].heard, 0, served) == "");
    REQUIRE(trace->lost() == 0);
    REQUIRE(support::wrong_with(trace->spans()) == "");
    REQUIRE(executor.pending() + executor.timers() == 0);
  }
}

TEST_CASE("in one batch of many requests, the late and the stopped harm nobody else", "[laws]") {
  std::size_t over = 0, known = 0;
  for (unsigned seed = 20'001; seed <= 22'000; ++seed) {
    const ManualExecutor executor = shuffled(seed);
    Maker make(seed, executor, Weather::faulty);
    const Graph graph = make.graph(depth);
    const Request request = Request::drawn(make, 9);
    if (request.rows.empty()) continue;
    CAPTURE(seed, graph.servable.name());
    std::stop_source stop;
    stop.request_stop();
    std::vector<Context> contexts(request.size());
    std::vector<RequestRun> runs;
    for (Context& context : contexts) {
      context.deadline = executor.now() + 48h;
      if (make.one_in(4)) context.deadline = executor.now() - 1ns;
      if (make.one_in(5)) context.stop = stop.get_token();
      runs.push_back({&context, 1});
    }
    const BatchContext merged(runs, request.keys);
    const Outcomes<int> served = graph.servable.serve_batch(Batch<int>(request.rows), merged);
    Outcomes<int> submitted;
    graph.servable.submit_apart(
        Rows<int>(request.rows), merged,
        BatchCompletion<int>(request.size(), [&](auto all) { submitted = std::move(all); }));
    executor.run_all();
    for (const Outcomes<int>* outcomes : {&served, &std::as_const(submitted)}) {
      REQUIRE(outcomes->size() == request.size());
      for (std::size_t i = 0; i < request.size(); ++i) {
        const auto got = (*outcomes)[i];
        const Result<int> wanted = graph.meaning(request.row(i));
        CAPTURE(i, text_of(got), text_of(wanted));
        const bool is_over =
            contexts[i].deadline < executor.now() || contexts[i].stop.stop_requested();
        REQUIRE((agrees(got, wanted) || (is_over && !got.has_value())));
        if (is_over) ++(is_given_up(got.status()) ? over : known);
      }
    }
  }
  CHECK(over > 2000);
  CHECK(known * 10 < over);  // what a guard or a rule says is known without any work
}

TEST_CASE("a request that is over before it begins has no value that takes work", "[laws]") {
  std::size_t over = 0, known = 0;
  for (unsigned seed = 30'001; seed <= 31'000; ++seed) {
    const ManualExecutor executor = shuffled(seed);
    Maker make(seed, executor, Weather::faulty);
    const Graph graph = make.graph(depth);
    Request request = Request::drawn(make, 5);
    CAPTURE(seed, graph.servable.name());
    std::stop_source stop;
    stop.request_stop();
    const bool late = make.one_in(2);
    const Context context =
        late ? Context{.deadline = executor.now()} : Context{.stop = stop.get_token()};
    const Status status = late ? Status::deadline_exceeded : Status::cancelled;
    const Outcomes<int> served =
        graph.servable.serve_rows(request.rows, context, {.keys = request.keys});
    request.submit(graph.servable, context);
    executor.run_all();
    REQUIRE(request.answers == 1);
    for (const Outcomes<int>* outcomes : {&served, &std::as_const(request.heard)}) {
      REQUIRE(outcomes->size() == request.size());
      for (std::size_t i = 0; i < request.size(); ++i) {
        const auto got = (*outcomes)[i];
        CAPTURE(i, text_of(got));
        ++(got.status() == status ? over : known);
        REQUIRE((agrees(got, graph.meaning(request.row(i))) || !got.has_value()));
      }
    }
  }
  CHECK(over > 2000);
  CHECK(known * 10 < over);
}

TEST_CASE("whatever is stopped, late, shut down or dropped in flight, each row has one answer",
          "[laws]") {
  std::size_t values = 0, other = 0;
  for (unsigned seed = 40'001; seed <= 43'000; ++seed) {
    std::weak_ptr<int> kept;
    {
      const ManualExecutor executor = shuffled(seed);
      Maker make(seed, executor, Weather::rough);
      std::optional<Graph> graph = make.graph(depth);
      kept = make.alive();
      const Meaning meaning = graph->meaning;
      CAPTURE(seed, graph->servable.name());
      constexpr int most = 8;
      const int shut_down_at = make.number(2 * most), dropped_at = make.number(2 * most);
      std::vector<std::stop_source> stops(most);
      std::vector<Request> requests;
      requests.reserve(most);
      for (int i = 0; i < most && graph.has_value(); ++i) {
        Request& request = requests.emplace_back(Request::drawn(make, 4));
        Context context{.stop = stops[static_cast<std::size_t>(i)].get_token()};
        if (make.one_in(3)) context.deadline = executor.now() + 1us * make.number(2000);
        request.submit(graph->servable, context);
        if (make.one_in(5)) stops[static_cast<std::size_t>(make.number(most))].request_stop();
        if (make.one_in(3)) executor.run_one();
        if (make.one_in(3)) executor.advance(1us * make.number(900));
        if (i == shut_down_at) executor.shutdown();
        if (i == dropped_at) graph.reset();
      }
      if (make.one_in(2)) executor.run_ready(5);
      graph.reset();
      if (make.one_in(4)) executor.shutdown();
      executor.run_all();
      for (const Request& request : requests) {
        REQUIRE(request.answers == 1);
        REQUIRE(request.heard.size() == request.size());
        for (std::size_t r = 0; r < request.size(); ++r) {
          const auto got = request.heard[r];
          const Result<int> wanted = meaning(request.row(r));
          CAPTURE(r, text_of(got), text_of(wanted));
          ++(got.has_value() ? values : other);
          REQUIRE((agrees(got, wanted) || may_stand_for_a_value(got.status())));
        }
      }
    }
    REQUIRE(kept.expired());
  }
  CHECK(values > 3000);
  CHECK(other > 3000);
}

TEST_CASE("rows of a request see one version of a slot, which is no older than the request",
          "[laws]") {
  std::size_t graphs = 0, later = 0;
  for (unsigned seed = 60'001; seed <= 63'000; ++seed) {
    const ManualExecutor executor = shuffled(seed);
    Maker make(seed, executor, Weather::faulty);
    make.want_versions();
    const Graph graph = make.graph(depth);
    if (!graph.servable.traits().versioned) continue;
    CAPTURE(seed, graph.servable.name());
    std::vector<Request> requests;
    std::vector<galley::VersionId> before;
    requests.reserve(6);
    galley::VersionId latest = 1;
    const auto publish = [&] {
      if (!make.one_in(4)) return;
      const galley::VersionId next = make.publish();
      CHECK((next == latest + 1 || next == 0));
      latest = std::max(next, latest);
    };
    make.whenever_asked(publish);
    for (int i = 0; i < 6; ++i) {
      Request& request = requests.emplace_back(Request::drawn(make, 6));
      before.push_back(latest);
      if (make.one_in(3)) {
        ++request.answers;
        request.heard = request.serve(graph.servable);
      } else {
        request.submit(graph.servable);
      }
      for (int n = make.number(3); n > 0; --n) {
        executor.run_one();
        publish();
      }
    }
    executor.run_all();
    graphs += latest > 1 ? 1 : 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const Request& request = requests[i];
      REQUIRE(request.answers == 1);
      REQUIRE(request.heard.size() == request.size());
      galley::VersionId version = before[i];
      while (version < latest && !request.is_of(version, graph.meaning)) ++version;
      later += version > before[i] ? 1 : 0;
      CAPTURE(i, before[i], latest);
      REQUIRE(request.is_of(version, graph.meaning));
    }
  }
  CHECK(graphs > 1000);
  CHECK(later > 200);
}

namespace {

bool is_expected(Fault fault, Status status) {
  if (fault == Fault::fails) return status == Status::resource_exhausted;
  if (fault == Fault::drops) {
    return status == Status::cancelled || status == Status::resource_exhausted;
  }
  return (fault == Fault::throws || fault == Fault::miscounts) && status == Status::internal;
}

}  // namespace

TEST_CASE("whichever call of any leaf goes wrong, each row has one answer and nothing is kept",
          "[laws]") {
  std::size_t struck = 0;
  for (unsigned seed = 50'001; seed <= 50'200; ++seed) {
    for (const Fault fault :
         {Fault::fails, Fault::throws, Fault::miscounts, Fault::drops, Fault::duplicates}) {
      for (const bool later : {false, true}) {
        bool happened = true;
        for (std::uint64_t nth = 1; happened; ++nth) {
          std::weak_ptr<int> kept;
          {
            const ManualExecutor executor;
            const auto plan = std::make_shared<FaultPlan>(fault, nth);
            Maker make(seed, executor, Weather::faulty);
            make.strike(plan);
            const Graph graph = make.graph(depth);
            kept = make.alive();
            const Request request = Request::drawn(make, 4);
            CAPTURE(seed, graph.servable.name(), std::string(to_string(fault)), later, nth);
            for (const bool first : {true, false}) {
              Request asked = request.part(0, request.size());
              if (later) {
                asked.submit(graph.servable);
                executor.run_all();
              } else {
                ++asked.answers;
                asked.heard = asked.serve(graph.servable);
              }
              if (first) happened = plan->happened();
              REQUIRE(asked.answers == 1);
              REQUIRE(asked.heard.size() == asked.size());
              for (std::size_t i = 0; i < asked.size(); ++i) {
                const auto got = asked.heard[i];
                const Result<int> wanted = graph.meaning(asked.row(i));
                CAPTURE(i, first, text_of(got), text_of(wanted));
                // A shadow's copy may be the call that goes wrong, and later than the answer.
                const bool disturbed = first || !happened;
                REQUIRE((agrees(got, wanted) || (disturbed && is_expected(fault, got.status()))));
                if (!agrees(got, wanted)) ++struck;
              }
              executor.run_all();
            }
          }
          REQUIRE(kept.expired());
          REQUIRE(nth < 500);
        }
      }
    }
  }
  CHECK(struck > 1000);
}
