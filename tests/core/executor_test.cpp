#include <galley/core/executor.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <support/catch.hpp>

using namespace std::chrono_literals;
using galley::Clock;
using galley::Event;
using galley::Executor;
using galley::FunctionRef;
using galley::Instant;
using galley::Result;
using galley::Task;
using galley::TimedTask;
using galley::TimePoint;
using galley::WaitEnd;
using galley::Worker;

namespace {

/// Writes down what it is asked and runs nothing.
struct Recording {
  std::vector<std::string> calls;
  Task* posted = nullptr;
  TimePoint at{};

  Instant now() const { return Instant{TimePoint(7s), Clock()}; }
  bool post(Task& task) {
    calls.push_back("post");
    posted = &task;
    return true;
  }
  bool post_at(TimedTask&, TimePoint when) {
    calls.push_back("post_at");
    at = when;
    return false;
  }
  bool cancel(TimedTask&) {
    calls.push_back("cancel");
    return true;
  }
  void yield() { calls.push_back("yield"); }
  std::size_t concurrency() const { return 3; }
  Result<void> each_worker(FunctionRef<void(Worker&)> f) {
    Worker worker(this, nullptr, 2, [](Worker&, Event&, const Instant&) { return WaitEnd::stuck; });
    f(worker);
    return {};
  }
  WaitEnd wait(Event&, const Instant&) { return WaitEnd::late; }
};

struct CountingTask : TimedTask {
  CountingTask()
      : TimedTask([](Task& task, Call call) noexcept {
          static_cast<CountingTask&>(task).calls.push_back(call);
        }) {}
  std::vector<Call> calls;
};

/// A clock that is an hour further with every reading.
Clock hasty() {
  return Clock(
      [](const void* state) {
        return *const_cast<TimePoint*>(static_cast<const TimePoint*>(state)) += 1h;
      },
      std::make_shared<TimePoint>(0s));
}

}  // namespace

TEST_CASE("an executor handle passes every call on to what it was made from", "[core]") {
  const auto recording = std::make_shared<Recording>();
  const Executor executor(recording);
  CountingTask task;
  CHECK(executor.now().at == TimePoint(7s));
  CHECK(executor.post(task));
  CHECK(recording->posted == &task);
  CHECK_FALSE(executor.post_at(task, TimePoint(9s)));
  CHECK(recording->at == TimePoint(9s));
  CHECK(executor.cancel(task));
  executor.yield();
  CHECK(executor.concurrency() == 3);
  std::size_t index = 0;
  CHECK(executor.each_worker([&](Worker& worker) { index = worker.index(); }).has_value());
  CHECK(index == 2);
  Event event;
  CHECK(executor.wait(event, Instant()) == WaitEnd::late);
  CHECK(recording->calls == std::vector<std::string>{"post", "post_at", "cancel", "yield"});
  CHECK(task.calls.empty());
}

TEST_CASE("executor handles are equal when they share their state, and keep it alive", "[core]") {
  auto recording = std::make_shared<Recording>();
  const std::weak_ptr<Recording> watched = recording;
  const Executor executor(recording);
  Executor copy(std::make_shared<Recording>());
  copy = executor;
  CHECK(copy == executor);
  CHECK_FALSE(executor == Executor(std::make_shared<Recording>()));
  recording.reset();
  CHECK_FALSE(watched.expired());
}

TEST_CASE("a task passes the call on to its function", "[core]") {
  CountingTask task;
  Task& erased = task;
  erased(Task::Call::run);
  erased(Task::Call::finish);
  CHECK(task.calls == std::vector<Task::Call>{Task::Call::run, Task::Call::finish});
}

TEST_CASE("a thread's worker is the one of the innermost scope", "[core]") {
  const auto help = [](Worker&, Event&, const Instant&) { return WaitEnd::stuck; };
  Worker outer(nullptr, nullptr, 0, help);
  Worker inner(nullptr, nullptr, 1, help);
  CHECK(Worker::current() == nullptr);
  {
    const Worker::Scope scope(outer);
    CHECK(Worker::current() == &outer);
    {
      const Worker::Scope nested(inner);
      CHECK(Worker::current() == &inner);
    }
    CHECK(Worker::current() == &outer);
    Worker* elsewhere = &outer;
    std::thread([&] { elsewhere = Worker::current(); }).join();
    CHECK(elsewhere == nullptr);
  }
  CHECK(Worker::current() == nullptr);
}

TEST_CASE("an event set before the wait ends it at once", "[core]") {
  Event event;
  CHECK_FALSE(event.is_set());
  CHECK_FALSE(event.wait_until(TimePoint::min()));
  event.set();
  CHECK(event.is_set());
  event.wait();
  CHECK(event.wait_until(TimePoint::min()));
  CHECK(event.wait_until(Instant()));
}

TEST_CASE("an event wakes the thread that waits for it", "[core]") {
  Event event;
  Event answer;
  std::thread other([&] {
    event.wait();
    answer.set();
  });
  event.set();
  CHECK(answer.wait_until(Instant()));
  other.join();
}

TEST_CASE("an event may go as soon as its waiter saw it set", "[core]") {
  for (int round = 0; round < 200; ++round) {
    auto event = std::make_unique<Event>();
    std::thread other([raw = event.get()] { raw->set(); });
    event->wait();
    event.reset();
    other.join();
  }
}

TEST_CASE("a wait with a limit on a clock of one's own ends when that clock says so", "[core]") {
  Event event;
  const Clock clock = hasty();
  CHECK_FALSE(event.wait_until(Instant{TimePoint(10h), clock}));
  CHECK(clock.now() >= TimePoint(10h));
  CHECK(event.wait_until(Instant{TimePoint(0s), clock}) == false);
}

TEST_CASE("a nudge wakes without setting, is not lost when early, and is taken once", "[core]") {
  Event event;
  event.nudge();
  CHECK(event.wait_nudged(TimePoint::max()));
  CHECK_FALSE(event.is_set());
  CHECK_FALSE(event.wait_nudged(TimePoint::min()));
  Event nudged;
  std::thread sleeper([&] {
    if (event.wait_nudged(TimePoint::max())) nudged.set();
  });
  event.nudge();
  nudged.wait();
  sleeper.join();
}

TEST_CASE("a set event ends a wait for a nudge, and the nudge still comes", "[core]") {
  Event event;
  event.set();
  CHECK_FALSE(event.wait_nudged(TimePoint::max()));
  std::thread other([&] { event.nudge(); });
  event.take_nudge();
  other.join();
  CHECK_FALSE(event.wait_nudged(TimePoint::min()));
}
