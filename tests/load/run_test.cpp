#include <galley/core/status.hpp>
#include <galley/core/time.hpp>
#include <galley/load/run.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::Duration;
using galley::Status;
using galley::TimePoint;
using galley::load::judge;
using galley::load::Request;
using galley::load::Run;
using galley::load::tally;
using galley::load::Verdict;
using namespace std::chrono_literals;

namespace {

/// Each request is intended 1 ms after the last, and sent and answered this much after that.
struct Plan {
  Duration lag = 0us;
  Duration latency = 100us;
  Status status = Status::ok;
  bool wrong = false;
};

std::vector<Request> requests(const std::vector<Plan>& plans) {
  std::vector<Request> made(plans.size());
  for (std::size_t i = 0; i < plans.size(); ++i) {
    made[i].intended = TimePoint(std::chrono::hours(1)) + i * 1ms;
    made[i].sent = made[i].intended + plans[i].lag;
    made[i].answered = made[i].intended + plans[i].latency;
    made[i].status = plans[i].status;
    made[i].wrong = plans[i].wrong;
  }
  return made;
}

Run judged(Duration lag, Duration latency) {
  Run run;
  run.latency.p50 = latency;
  run.lag_p99 = lag;
  run.verdict = judge(run);
  return run;
}

}  // namespace

TEST_CASE("latency counts from the intended time, whenever a request was sent", "[run]") {
  const Run run = tally(requests({{.lag = 40us, .latency = 50us}, {.latency = 70us}}), {});
  CHECK(run.latency.p50 == 50us);
  CHECK(run.latency.max == 70us);
  CHECK(run.lag.max == 40us);
  CHECK(run.lag_p99 == 40us);
  CHECK(run.window == 1070us);
}

TEST_CASE("what was answered is counted by its status", "[run]") {
  const Run run = tally(requests({{.latency = 3ms},
                                  {.latency = 1ms},
                                  {.latency = 1us, .status = Status::resource_exhausted},
                                  {.latency = 2ms, .status = Status::deadline_exceeded},
                                  {.latency = 1001us}}),
                        {.deadline = 1ms});
  CHECK(run.requests == 5);
  CHECK(run.count(Status::ok) == 3);
  CHECK(run.count(Status::resource_exhausted) == 1);
  CHECK(run.count(Status::deadline_exceeded) == 1);
  CHECK(run.failed() == 2);
  CHECK(run.in_time == 1);
  CHECK(run.latency.samples == 3);
  CHECK(run.lag.samples == 5);
  CHECK(run.window == 5001us);
  CHECK(run.throughput() == Approx(3 / 5.001e-3));
  CHECK(run.goodput() == Approx(1 / 5.001e-3));
}

TEST_CASE("without a deadline every answer is in time", "[run]") {
  CHECK(tally(requests({{.latency = 3h}, {}}), {}).in_time == 2);
}

TEST_CASE("warm-up is left out, by time and by number", "[run]") {
  const std::vector<Request> sent =
      requests({{.latency = 9ms}, {.latency = 9ms}, {.latency = 1ms}, {.latency = 2ms}});
  const Run by_number = tally(sent, {.warm_up = 2});
  CHECK(by_number.warm_up == 2);
  CHECK(by_number.requests == 2);
  CHECK(by_number.latency.max == 2ms);
  CHECK(tally(sent, {.warm_until = sent[2].intended}) == by_number);
  CHECK(tally(sent, {.warm_until = sent[1].intended, .warm_up = 2}) == by_number);

  const Run all = tally(sent, {.warm_up = 10});
  CHECK(all.requests == 0);
  CHECK(all.warm_up == 4);
  CHECK(all.throughput() == 0);
  CHECK(all.verdict == Verdict::no_answers);
}

TEST_CASE("a lag of more than a twentieth of the median latency voids a run", "[run]") {
  CHECK(judged(5us, 100us).verdict == Verdict::valid);
  CHECK(judged(5001ns, 100us).verdict == Verdict::void_lag);
  CHECK(judged(5001ns, 100us).why() ==
        "the p99 of the lag, 5.0 us, is 5.0 % of the median latency, 100.0 us; above 5 % a run is "
        "void");
  Run inlined = judged(1ms, 1ms);
  inlined.computed_by_sender = true;
  CHECK(inlined.why().ends_with("serve it on(executor, graph))"));
}

TEST_CASE("a latency too small to judge the lag by is said to be", "[run]") {
  CHECK(judged(1us, 999ns).verdict == Verdict::too_fast);
  CHECK(judged(0us, 999ns).verdict == Verdict::too_fast);
  CHECK(judged(0us, 1us).verdict == Verdict::valid);
}

TEST_CASE("nothing is late in a closed loop", "[run]") {
  const Run run = tally(requests({{.lag = 0us, .latency = 500ns}}), {.loop = Run::Loop::closed});
  CHECK(run.verdict == Verdict::valid);
}

TEST_CASE("a run without answers and one with a wrong answer are not valid", "[run]") {
  CHECK(tally(requests({{.status = Status::unavailable}}), {}).verdict == Verdict::no_answers);
  const Run wrong = tally(requests({{}, {}, {.wrong = true}}), {});
  CHECK(wrong.wrong == 1);
  CHECK(wrong.verdict == Verdict::wrong_answers);
  CHECK(wrong.why() == "1 answers were wrong");
  // While warming up too, and whatever the lag.
  const Run early = tally(requests({{.wrong = true}, {.lag = 1ms}}), {.warm_up = 1});
  CHECK(early.verdict == Verdict::wrong_answers);
}

TEST_CASE("the generator's share of a processor is what it used while sending", "[run]") {
  Run run;
  CHECK(run.generator_share() == 0);
  run.generator_cpu = 30ms;
  run.sending = 120ms;
  CHECK(run.generator_share() == Approx(0.25));
}
