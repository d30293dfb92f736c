#include <galley/core/status.hpp>
#include <galley/load/report.hpp>
#include <galley/load/run.hpp>
#include <galley/load/sweep.hpp>

#include <nlohmann/json.hpp>

#include <chrono>
#include <iterator>
#include <limits>
#include <string>

#include <support/catch.hpp>

using galley::Status;
using galley::load::Run;
using galley::load::Sweep;
using galley::load::Verdict;
using namespace std::chrono_literals;

TEST_CASE("the JSON is JSON and says all there is", "[report]") {
  Run run{.offered = 500.5, .requests = 3, .warm_up = 1, .window = 2s, .in_time = 1};
  run.by_status[0] = 2;
  run.by_status[static_cast<std::size_t>(Status::unavailable)] = 1;
  run.latency = {.samples = 2, .mean = 1500us, .p50 = 1ms, .max = 2ms};
  run.lag = {.samples = 3, .mean = 1us, .p50 = 1us, .max = 2us};
  run.lag_p99 = 2us;
  run.sending = 4s;
  run.generator_cpu = 1s;
  run.verdict = judge(run);
  Run closed = run;
  closed.loop = Run::Loop::closed;
  closed.clients = 4;
  const Sweep sweep{.name = "a \"quoted\" \\ name\n",
                    .machine = {.cpu = "cpu", .cores = 2, .compiler = "cc", .load = -1},
                    .arrivals = galley::load::Arrivals::bursty,
                    .seed = 18'000'000'000'000'000'000U,
                    .deadline = 10ms,
                    .capacity = {.rate = 1000, .clients = 4, .runs = {closed}},
                    .again = closed,
                    .points = {run, run}};

  const auto read = nlohmann::json::parse(to_json(sweep));
  CHECK(read["load"] == sweep.name);
  CHECK(read["machine"]["cpu"] == "cpu");
  CHECK(read["machine"]["load"].is_null());
  CHECK(read["arrivals"] == "bursty");
  CHECK(read["seed"] == sweep.seed);
  CHECK(read["deadline"] == 10'000'000);
  CHECK(read["wrong"] == 0);
  CHECK(read["capacity"] == 1000);
  CHECK(read["capacity_clients"] == 4);
  CHECK(read["capacity_again"] == 0.5);
  CHECK(read["capacity_runs"].size() == 1);
  CHECK(read["capacity_runs"][0]["loop"] == "closed");
  CHECK(read["capacity_runs"][0]["clients"] == 4);
  CHECK_FALSE(read["capacity_runs"][0].contains("lag"));
  CHECK(read["again"]["verdict"] == "valid");

  REQUIRE(read["points"].size() == 2);
  const auto& point = read["points"][0];
  CHECK(point["loop"] == "open");
  CHECK(point["offered"] == 500.5);
  CHECK(point["unanswered"] == 0);
  CHECK(point["share"] == Approx(0.5005));
  CHECK(point["requests"] == 3);
  CHECK(point["warm_up"] == 1);
  CHECK(point["window"] == 2'000'000'000);
  CHECK(point["throughput"] == 1);
  CHECK(point["goodput"] == 0.5);
  CHECK(point["status"] == nlohmann::json({{"ok", 2}, {"unavailable", 1}}));
  CHECK(point["latency"]["samples"] == 2);
  CHECK(point["latency"]["mean"] == 1'500'000);
  CHECK(point["latency"]["p50"] == 1'000'000);
  CHECK(point["latency"]["p99"].is_null());
  CHECK(point["lag"]["max"] == 2000);
  CHECK(point["lag_p99"] == 2000);
  CHECK(point["generator_share"] == 0.25);
  CHECK(point["computed_by_sender"] == false);
  CHECK(point["verdict"] == "valid");
  CHECK(point["why"] == run.why());
}

TEST_CASE("the JSON's members are in the order of its reader, and a bad name does no harm",
          "[report]") {
  Sweep sweep;
  sweep.name = "half a letter: \xc3";
  sweep.capacity.rate = std::numeric_limits<double>::infinity();
  const auto read = nlohmann::ordered_json::parse(to_json(sweep));
  CHECK(read.begin().key() == "load");
  CHECK(std::prev(read.end()).key() == "points");
  CHECK(read["capacity"].is_null());
}

TEST_CASE("a sweep of nothing is JSON too", "[report]") {
  const auto read = nlohmann::json::parse(to_json(Sweep{}));
  CHECK(read["points"].empty());
  CHECK(read["deadline"].is_null());
}
