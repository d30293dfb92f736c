#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/core/completion.hpp>
#include <galley/core/servable.hpp>
#include <galley/load/closed_loop.hpp>
#include <galley/load/run.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <support/clock.hpp>

#include <load/lane.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Error;
using galley::ManualExecutor;
using galley::Result;
using galley::Servable;
using galley::Status;
using galley::load::Clients;
using galley::load::ClosedLoop;
using galley::load::Run;
using galley::load::Timing;
using galley::load::Traffic;
using galley::load::Verdict;
using support::Lane;
using support::numbers;
using namespace std::chrono_literals;

namespace {

Run run(const Servable<int, int>& servable, const ClosedLoop& loop, const Timing& timing) {
  Result<Run> run = run_closed(servable, numbers(), loop, timing);
  REQUIRE(run.has_value());
  return *std::move(run);
}

/// For runs on threads: time stands still, and who waits lets others go on.
Timing still(const support::HandClock& clock) {
  return {.clock = clock.now().clock,
          .pause_until = [](galley::TimePoint) { std::this_thread::yield(); },
          .cpu_time = [] { return galley::Duration(0); }};
}

}  // namespace

TEST_CASE("as many requests are in flight as there are clients", "[closed_loop]") {
  for (const std::size_t clients : {1U, 4U}) {
    const Lane lane(1ms);
    const Run found = run(lane.servable(), {.clients = clients, .length = 100ms}, lane.timing());
    CHECK(lane.most() == clients);
    CHECK(found.clients == clients);
    CHECK(found.loop == Run::Loop::closed);
    CHECK(found.requests == 100 + clients - 1);
    CHECK(found.wrong == 0);
    CHECK(found.verdict == Verdict::valid);
    CHECK(found.throughput() == Approx(1000));
    CHECK(found.latency.max == clients * 1ms);
  }
}

TEST_CASE("a run ends with its requests, and warm-up is left out", "[closed_loop]") {
  const Lane lane(1ms);
  const Run by_number =
      run(lane.servable(), {.clients = 2, .length = 1h, .requests = 50, .warm_up_requests = 20},
          lane.timing());
  CHECK(by_number.warm_up == 20);
  CHECK(by_number.requests == 30);
  const Run by_time =
      run(lane.servable(), {.clients = 1, .length = 50ms, .warm_up = 20ms}, lane.timing());
  CHECK(by_time.warm_up == 20);
  CHECK(by_time.requests == 30);
  CHECK(by_time.window == 30ms);
}

TEST_CASE("answers that come within submit are not answered by recursion", "[closed_loop]") {
  const support::HandClock clock;
  const auto inside = galley::map("inside", [](int n) { return n; });
  const Run found = run(inside, {.clients = 3, .requests = 300'000}, still(clock));
  CHECK(found.requests == 300'000);
  CHECK(found.count(Status::ok) == 300'000);
  CHECK(found.computed_by_sender);
  CHECK(found.wrong == 0);

  // The same of a graph that might have waited.
  const Servable<int, int> later("later", [](int n, galley::Completion<int> done) { done(n); });
  CHECK(run(later, {.clients = 3, .requests = 300'000}, still(clock)).wrong == 0);
}

TEST_CASE("one client that serves does so on the calling thread", "[closed_loop]") {
  const ManualExecutor executor;
  const Lane lane(1ms);
  const auto graph = galley::on(executor, galley::map("work", [time = lane.executor()](int n) {
                                  time.pass(2ms);
                                  return n;
                                }));
  const Run found =
      run(graph, {.clients = 1, .kind = Clients::serving, .length = 100ms}, lane.timing());
  CHECK(found.requests == 50);
  CHECK(found.latency.max == 2ms);
  CHECK(found.wrong == 0);
}

TEST_CASE("clients that serve call from threads of their own", "[closed_loop]") {
  const support::HandClock clock;
  std::atomic<int> calls = 0;
  const auto graph = galley::map("work", [&calls](int n) {
    ++calls;
    return n;
  });
  const Run found =
      run(graph, {.clients = 4, .kind = Clients::serving, .requests = 20'000}, still(clock));
  CHECK(calls == 20'000);
  CHECK(found.requests == 20'000);
  CHECK(found.count(Status::ok) == 20'000);
  CHECK(found.wrong == 0);
}

TEST_CASE("answers may come on any thread", "[closed_loop]") {
  const support::HandClock clock;
  galley::ThreadPool pool{{.workers = 3}};
  const auto graph = galley::on(pool, galley::map("half", [](int n) -> Result<int> {
                                  if (n % 2 != 0) return Error(Status::invalid_argument);
                                  return n;
                                }));
  for (const Clients kind : {Clients::submitting, Clients::serving}) {
    const Run found = run(graph, {.clients = 8, .kind = kind, .requests = 20'000}, still(clock));
    CHECK(found.requests == 20'000);
    CHECK(found.count(Status::ok) == 10'000);
    CHECK(found.count(Status::invalid_argument) == 10'000);
    CHECK(found.wrong == 0);
  }
}

TEST_CASE("clients whose answers do not come are given up, and the others end", "[closed_loop]") {
  const Lane lane(1ms);
  std::vector<galley::Completion<int>> kept;
  const Servable<int, int> forgets("forgets", [&](int n, galley::Completion<int> done) {
    if (n % 100 == 99) {
      kept.push_back(std::move(done));
    } else {
      done(n);
    }
  });
  const Run found = run(forgets, {.clients = 3, .length = 1h}, lane.timing());
  CHECK(found.requests == 300);
  CHECK(found.unanswered == 3);
  CHECK(found.count(Status::ok) == 297);
  CHECK(found.verdict == Verdict::unanswered);
  for (auto& done : kept) done(0);
}

TEST_CASE("a run that gives up leaves nothing behind that another thread may touch",
          "[closed_loop]") {
  for (int round = 0; round < 20; ++round) {
    auto pool = std::make_unique<galley::ThreadPool>(galley::ThreadPoolOptions{.workers = 3});
    std::mutex mutex;
    std::vector<galley::Completion<int>> kept;
    const auto graph =
        galley::on(*pool, Servable<int, int>("forgets", [&](int n, galley::Completion<int> done) {
          if (n % 50 != 49) return done(n);
          const std::lock_guard lock(mutex);
          kept.push_back(std::move(done));
        }));
    std::atomic<bool> over = false;
    std::thread late([&] {  // answers what was forgotten, whatever the run makes of it
      while (!over) {
        std::vector<galley::Completion<int>> some;
        {
          const std::lock_guard lock(mutex);
          if (kept.size() > 3) some.swap(kept);
        }
        for (auto& done : some) done(-1);
        std::this_thread::yield();
      }
    });
    Traffic<int, int> traffic = numbers();
    traffic.check = {};
    traffic.give_up = 1ms;
    const Result<Run> found = run_closed(graph, traffic, {.clients = 8, .requests = 5'000});
    over = true;
    late.join();
    pool.reset();  // what it still has to do is done
    REQUIRE(found.has_value());
    CHECK(found->requests <= 5'000);
    CHECK(found->count(Status::ok) + found->unanswered == found->requests);
  }
}

TEST_CASE("a closed loop that cannot run is refused", "[closed_loop]") {
  const Lane lane(1ms);
  CHECK(run_closed(lane.servable(), numbers(), {.clients = 0}, lane.timing()).status() ==
        Status::invalid_argument);
  CHECK(run_closed(lane.servable(), numbers(), {.requests = 0}, lane.timing()).error().detail ==
        "closed loop: expected clients and requests, got 1 and 0");
  const auto broken = Servable<int, int>::broken("b", Error(Status::failed_precondition, "no"));
  CHECK(run_closed(broken, numbers(), {}, lane.timing()).status() == Status::failed_precondition);
}
