// Retries, timeouts, hedges, breakers and shadows from documents.
#include <galley/compose/breaker.hpp>
#include <galley/compose/hedge.hpp>
#include <galley/compose/retry.hpp>
#include <galley/compose/shadow.hpp>
#include <galley/compose/timeout.hpp>
#include <galley/io/graph/shadow.hpp>

#include <support/has.hpp>

#include <io/twins.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using galley::breaker;
using galley::hedge;
using galley::Result;
using galley::retry;
using galley::shadow;
using galley::Status;
using galley::Tensor;
using galley::timeout;
using support::has;
using twins::check_alike;
using twins::failing;
using twins::loaded;
using twins::Net;
using twins::number;
using twins::row;
namespace io = galley::io;
using namespace std::chrono_literals;

namespace {

struct Host : twins::Host {
  std::shared_ptr<int> failures = std::make_shared<int>(0);
  Net fails = failing(failures);
  Host() { registry.add("failing", fails); }
};

template <class T>
T asked(const Net& graph) {
  T statistics{};
  REQUIRE(graph.control("", statistics).has_value());
  return statistics;
}

}  // namespace

TEST_CASE("a retry's options are said, and failures are tried again", "[io][graph][retry]") {
  const Host host;
  check_alike(host, R"({"kind": "retry", "of": "twice"})", retry(host.twice));
  check_alike(host, R"({"kind": "retry", "of": "twice", "executor": "manual"})",
              retry(host.manual, host.twice));
  const std::string json = R"({"kind": "retry", "of": "failing", "clock": "clock",
      "options": {"attempts": 4, "statuses": ["unavailable"], "seed": 3,
                  "budget": {"ratio": 0, "per_second": 0, "burst": 5},
                  "backoff": "1ms", "max_backoff": "4ms"}})";
  const Net graph = loaded(host, json,
                           retry(host.fails,
                                 {.attempts = 4,
                                  .statuses = {Status::unavailable},
                                  .budget = {.ratio = 0, .per_second = 0, .burst = 5},
                                  .backoff = 1ms,
                                  .max_backoff = 4ms,
                                  .seed = 3},
                                 host.manual.now().clock));
  *host.failures = 3;
  CHECK(number(*graph.serve(row(4))) == 8);
  *host.failures = 3;  // the budget allows two more
  CHECK(graph.serve(row(4)).status() == Status::unavailable);
  has(host.error(R"({"kind": "retry", "of": "twice", "executor": "manual", "clock": "clock"})"),
      "$: expected \"executor\" or \"clock\", got both");
}

TEST_CASE("a retry of C++ is printed with its budget", "[io][graph][retry]") {
  const Host host;
  const auto printed = print_graph(retry(host.twice, {.attempts = 2}), host.registry);
  CHECK(*io::parse_json(printed) == *io::parse_json(R"({"kind": "retry", "of": {"use": "twice"},
      "options": {"attempts": 2, "statuses": ["resource_exhausted", "unavailable"],
                  "budget": {"ratio": 0.2, "per_second": 10.0, "burst": 100.0}}})"));
  CHECK(host.load(printed).has_value());
}

TEST_CASE("a timeout's duration is said, and kept", "[io][graph][timeout]") {
  Host host;
  const Net late("late", [](galley::Rows<Tensor>, const galley::BatchContext&,
                            galley::BatchCompletion<Tensor> done) {
    static std::vector<galley::BatchCompletion<Tensor>> kept;
    kept.push_back(std::move(done));
  });
  host.registry.add("late", late);
  const std::string json =
      R"({"kind": "timeout", "executor": "manual", "of": "late", "duration": "3ms"})";
  const Net graph = loaded(host, json, timeout(host.manual, late, 3ms));
  const auto before = host.manual.now();
  CHECK(graph.serve(row(1)).status() == Status::deadline_exceeded);
  CHECK(host.manual.now() == before + 3ms);
  CHECK(asked<galley::TimeoutStatistics>(graph).timed_out == 1);
  check_alike(host, R"({"kind": "timeout", "executor": "manual", "of": "twice", "duration": "1s"})",
              timeout(host.manual, host.twice, 1s));
}

TEST_CASE("a hedge's backup is the same servable or another", "[io][graph][hedge]") {
  const Host host;
  check_alike(host, R"({"kind": "hedge", "executor": "manual", "of": "twice"})",
              hedge(host.manual, host.twice));
  check_alike(host,
              R"({"kind": "hedge", "executor": "manual", "of": "twice", "backup": "minus",
                  "options": {"quantile": 0.5, "least_delay": "2ms", "share": 1, "burst": 3}})",
              hedge(host.manual, host.twice, host.minus,
                    {.quantile = 0.5, .least_delay = 2ms, .share = 1, .burst = 3}));
}

TEST_CASE("a breaker opens as its options say", "[io][graph][breaker]") {
  const Host host;
  check_alike(host, R"({"kind": "breaker", "of": "twice"})", breaker(galley::Clock(), host.twice));
  check_alike(host, R"({"kind": "breaker", "of": "twice", "executor": "manual"})",
              breaker(host.manual, host.twice));
  const Net graph = loaded(host,
                           R"({"kind": "breaker", "of": "failing", "clock": "clock",
                               "options": {"failure_rate": 0.25, "window": 4, "least_rows": 2,
                                           "open_for": "10ms", "probes": 1,
                                           "failures": ["unavailable"]}})",
                           breaker(host.manual.now().clock, host.fails,
                                   {.failure_rate = 0.25,
                                    .window = 4,
                                    .least_rows = 2,
                                    .open_for = 10ms,
                                    .probes = 1,
                                    .failures = {Status::unavailable}}));
  *host.failures = 2;
  for (int i = 0; i < 3; ++i) CHECK(graph.serve(row(1)).status() == Status::unavailable);
  CHECK(*host.failures == 0);  // the third was not asked
  CHECK(asked<galley::BreakerStatistics>(graph).state == galley::BreakerState::open);
  host.manual.pass(11ms);
  CHECK(number(*graph.serve(row(1))) == 2);
  has(host.error(R"({"kind": "breaker", "of": "twice", "executor": "manual", "clock": "clock"})"),
      "$: expected \"executor\" or \"clock\", got both");
}

TEST_CASE("a shadow's comparisons go to whom the document names", "[io][graph][shadow]") {
  Host host;
  const auto told = std::make_shared<std::vector<std::pair<float, float>>>();
  const io::TakeComparison<Tensor, Tensor> log =
      [told](const galley::ShadowRow<Tensor, Tensor>& one) {
        told->emplace_back(number(*one.primary), number(*one.shadow));
      };
  host.registry.add_value("log", log);
  const Net off = twins::net("off", [](float x) { return x > 2 ? -x : 2 * x + 1e-6F; });
  host.registry.add("off", off);
  const std::string start =
      R"({"kind": "shadow", "executor": "manual", "of": "twice", "other": "off", "sink": "log")";
  check_alike(host, start + "}", shadow(host.manual, host.twice, off, {}, log));
  host.manual.run_all();
  told->clear();
  const Net graph =
      loaded(host, start + R"(, "equal": {"kind": "near", "tolerance": {"absolute": 0.001}},
                 "options": {"share": 1, "by": "key", "max_requests": 8, "max_rows": 16,
                             "max_running": 2, "deadline": "5ms", "priority": -3, "seed": 9}})",
             shadow(host.manual, host.twice, off,
                    {.share = 1,
                     .by = galley::ShadowBy::key,
                     .max_requests = 8,
                     .max_rows = 16,
                     .max_running = 2,
                     .deadline = 5ms,
                     .priority = -3,
                     .seed = 9},
                    log));
  CHECK(number(*graph.serve(row(1))) == 2);
  CHECK(number(*graph.serve(row(4))) == 8);
  host.manual.run_all();
  REQUIRE(told->size() == 2);
  CHECK((*told)[1] == std::pair(8.F, -4.F));
  const auto counted = asked<galley::ShadowStatistics>(graph);
  CHECK(counted.compared == 2);
  CHECK(counted.mismatches == 1);
  const auto exact = host.load(start + R"(, "equal": {"kind": "exact"}, "options": {"share": 1}})");
  CHECK(number(*exact->serve(row(1))) == 2);
  host.manual.run_all();
  CHECK(asked<galley::ShadowStatistics>(*exact).mismatches == 1);
  has(host.error(R"({"kind": "shadow", "executor": "manual", "of": "twice", "other": "off"})"),
      "$: expected a member \"sink\", a sink of comparisons, got none");
}
