#include <galley/compose/map.hpp>
#include <galley/core/completion.hpp>
#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/load/closed_loop.hpp>
#include <galley/load/open_loop.hpp>
#include <galley/load/run.hpp>

#include <support/allocations.hpp>

#include <load/lane.hpp>

#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Duration;
using galley::Error;
using galley::Result;
using galley::Servable;
using galley::Status;
using galley::load::Arrivals;
using galley::load::OpenLoop;
using galley::load::Run;
using galley::load::Timing;
using galley::load::Traffic;
using galley::load::Verdict;
using support::Lane;
using support::numbers;
using namespace std::chrono_literals;

namespace {

OpenLoop constant(double rate, std::size_t requests) {
  return {.schedule = {.rate = rate, .requests = requests, .arrivals = Arrivals::constant}};
}

Run run(const Servable<int, int>& servable, const Traffic<int, int>& traffic, const OpenLoop& loop,
        const Timing& timing) {
  Result<Run> run = run_open(servable, traffic, loop, timing);
  REQUIRE(run.has_value());
  return *std::move(run);
}

}  // namespace

TEST_CASE("a lane that keeps up answers each request in its own time", "[open_loop]") {
  const Lane lane(1ms);
  const Run found = run(lane.servable(), numbers(), constant(500, 2000), lane.timing());
  CHECK(found.verdict == Verdict::valid);
  CHECK(found.offered == 500);
  CHECK(found.requests == 2000);
  CHECK(found.count(Status::ok) == 2000);
  CHECK(found.wrong == 0);
  CHECK(found.latency.p50 == 1ms);
  CHECK(found.latency.p99 == 1ms);
  CHECK(found.lag.max == 0ms);
  CHECK(found.window == 1999 * 2ms + 1ms);
  CHECK(found.throughput() == Approx(500).epsilon(0.001));
  CHECK_FALSE(found.computed_by_sender);
}

TEST_CASE("requests are sent on time however many wait before them", "[open_loop]") {
  const Lane lane(1ms);
  const Run found = run(lane.servable(), numbers(), constant(2000, 1000), lane.timing());
  // The last is sent when half of them are answered.
  CHECK(found.lag.max == 0ms);
  CHECK(found.latency.max == 1000 * 1ms - 999 * 500us);
  CHECK(found.latency.p50 == 500 * 1ms - 499 * 500us);
  CHECK(found.throughput() == Approx(1000));
  CHECK(lane.most() == 501);
}

TEST_CASE("a generator that wakes late voids the run, and latencies say so", "[open_loop]") {
  const Lane lane(1ms);
  const Run late = run(lane.servable(), numbers(), constant(500, 100), lane.timing(60us));
  CHECK(late.verdict == Verdict::void_lag);
  CHECK(late.lag.max == 60us);
  CHECK(late.latency.p50 == 1060us);
  const Run well = run(lane.servable(), numbers(), constant(500, 100), lane.timing(50us));
  CHECK(well.verdict == Verdict::valid);
}

TEST_CASE("a graph that the generator computes holds it up, which is not hidden", "[open_loop]") {
  const Lane lane(1ms);  // for its time
  const auto slow = galley::map("slow", [executor = lane.executor()](int n) {
    executor.pass(3ms);
    return n;
  });
  const Run found = run(slow, numbers(), constant(1000, 100), lane.timing());
  CHECK(found.computed_by_sender);
  CHECK(found.latency.max == 100 * 3ms - 99 * 1ms);
  CHECK(found.verdict == Verdict::void_lag);
}

TEST_CASE("what is refused is counted and is no answer", "[open_loop]") {
  const Lane lane(1ms, 10);
  const Run found = run(lane.servable(), numbers(), constant(2000, 1000), lane.timing());
  CHECK(found.count(Status::resource_exhausted) == found.failed());
  CHECK(found.failed() > 400);
  CHECK(found.latency.samples == found.count(Status::ok));
  CHECK(found.latency.max <= 10ms);
}

TEST_CASE("a deadline counts from the intended time and is the request's", "[open_loop]") {
  const Lane lane(1ms);
  std::vector<Duration> left;
  const Servable<int, int> served("served", [&](int n, const galley::Context& context) {
    left.push_back(context.deadline.at - lane.executor().now().at);
    return n;
  });
  Traffic<int, int> traffic = numbers();
  traffic.deadline = 5ms;
  run(served, traffic, constant(500, 3), lane.timing(1ms));
  CHECK(left == std::vector<Duration>{4ms, 4ms, 4ms});

  const Run found = run(lane.servable(), traffic, constant(2000, 1000), lane.timing());
  CHECK(found.in_time == 9);  // the wait grows by half a millisecond a request
  CHECK(found.count(Status::ok) == 1000);
}

TEST_CASE("each request goes with its key", "[open_loop]") {
  const Lane lane(1ms);
  std::vector<galley::Key> keys;
  const Servable<int, int> keyed(
      "keyed", [&](const galley::Rows<int>& rows, const galley::BatchContext& context) {
        keys.push_back(context.keys().empty() ? 99 : context.keys()[0]);
        return rows;
      });
  Traffic<int, int> traffic = numbers();
  run(keyed, traffic, constant(500, 1), lane.timing());
  traffic.key = [](std::size_t i) { return galley::Key{i * i}; };
  run(keyed, traffic, constant(500, 3), lane.timing());
  CHECK(run_closed(keyed, traffic, {.kind = galley::load::Clients::serving, .requests = 2},
                   lane.timing())
            .has_value());
  CHECK(keys == std::vector<galley::Key>{99, 0, 1, 4, 0, 1});
}

TEST_CASE("warm-up is sent but not counted", "[open_loop]") {
  const Lane lane(1ms);
  OpenLoop loop = constant(500, 100);
  loop.warm_up = 21ms;  // the first is intended after 2 ms
  const Run found = run(lane.servable(), numbers(), loop, lane.timing());
  CHECK(found.warm_up == 10);
  CHECK(found.requests == 90);
}

TEST_CASE("a wrong answer is found", "[open_loop]") {
  const Lane lane(1ms);
  const auto wrong = galley::map("wrong", [](int n) -> Result<int> {
    if (n == 3) return Error(Status::invalid_argument);
    return n == 7 ? 8 : n;
  });
  const Run found = run(wrong, numbers(), constant(500, 100), lane.timing());
  CHECK(found.wrong == 1);
  CHECK(found.verdict == Verdict::wrong_answers);
  CHECK(found.count(Status::invalid_argument) == 1);
}

TEST_CASE("a servable that does not answer is given up, and may answer later", "[open_loop]") {
  const Lane lane(1ms);
  std::vector<galley::Completion<int>> kept;
  const Servable<int, int> forgets("forgets", [&](int n, galley::Completion<int> done) {
    if (n % 4 == 3) {
      kept.push_back(std::move(done));
    } else {
      done(n);
    }
  });
  {
    Traffic<int, int> traffic = numbers();
    traffic.give_up = 2s;
    OpenLoop loop = constant(500, 40);
    loop.warm_up_requests = 8;
    const galley::TimePoint start = lane.executor().now().at;
    const Run found = run(forgets, traffic, loop, lane.timing());
    CHECK(lane.executor().now().at - start < 5s);
    CHECK(found.unanswered == 10);
    CHECK(found.requests == 32);
    CHECK(found.count(Status::ok) == 24);
    CHECK(found.failed() == 8);
    CHECK(found.verdict == Verdict::unanswered);
    CHECK(found.why() == "10 requests were not answered when the run gave up");
    CHECK(found.wrong == 0);
  }
  for (auto& done : kept) done(0);  // nobody listens: neither the traffic nor the run is there
  kept.clear();

  const Run none =
      run(Servable<int, int>(
              "never", [&](int, galley::Completion<int> done) { kept.push_back(std::move(done)); }),
          numbers(), constant(500, 3), lane.timing());
  CHECK(none.unanswered == 3);
  CHECK(none.throughput() == 0);
  CHECK(none.window == 4ms);
}

TEST_CASE("a run waits as long as answers come", "[open_loop]") {
  const Lane lane(1s);
  Traffic<int, int> traffic = numbers();
  traffic.give_up = 2s;
  const Run found = run(lane.servable(), traffic, constant(500, 50), lane.timing());
  CHECK(found.unanswered == 0);
  CHECK(found.latency.max > 49s);
}

TEST_CASE("what cannot run is refused", "[open_loop]") {
  const Lane lane(1ms);
  CHECK(run_open(lane.servable(), numbers(), constant(0, 1), lane.timing()).status() ==
        Status::invalid_argument);
  const auto broken = Servable<int, int>::broken("b", Error(Status::failed_precondition, "no"));
  CHECK(run_open(broken, numbers(), constant(1, 1), lane.timing()).status() ==
        Status::failed_precondition);
}

TEST_CASE("sending and recording take nothing from the heap", "[open_loop]") {
  const Lane lane(1ms);
  const auto same = galley::map("same", [](int n) { return n; });
  const Traffic<int, int> traffic = numbers();
  const Timing timing = lane.timing();
  galley::load::detail::Requests<int, int> requests(same, traffic, timing, 100);
  const support::AllocationCount count;
  for (std::size_t i = 0; i < 100; ++i) {
    requests.mark_sent(i);
    requests.submit(i, requests.row(i), [] {});
  }
  requests.wait_for(100);
  CHECK(count.so_far() == 0);
}
