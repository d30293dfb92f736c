#include <galley/testing/contracts/executor.hpp>
#include <galley/testing/manual_executor.hpp>

#include <memory>
#include <string>
#include <vector>

#include <support/catch.hpp>

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
using galley::detail::ManualState;

namespace {

/// A sound executor, for the others to spoil.
struct Sound : ManualState {
  Sound() : ManualState(std::nullopt) {}
};
struct RunsInsidePost : Sound {
  bool post(Task& task) {
    task(Task::Call::run);
    task(Task::Call::finish);
    return true;
  }
};
struct KeepsCancelled : Sound {
  bool cancel(TimedTask&) { return true; }
};
struct FiresEarly : Sound {
  bool post_at(TimedTask& task, TimePoint at) {
    task.due = at;
    return post(task);
  }
};
struct CallsWorkersTwice : Sound {
  Result<void> each_worker(FunctionRef<void(Worker&)> f) {
    const Result<void> first = Sound::each_worker(f);
    return first.has_value() ? Sound::each_worker(f) : first;
  }
};
struct NeverLate : Sound {
  WaitEnd wait(Event& event, const Instant& deadline) {
    const WaitEnd end = Sound::wait(event, deadline);
    return end == WaitEnd::late ? WaitEnd::done : end;
  }
};
struct TakesTasksForEver : Sound {
  bool post(Task& task) { return Sound::post(task) || true; }
};
struct RunsTwice : Sound {
  struct Again : Task {
    explicit Again(Task& other) : Task(dispatch), inner(other) {}
    static void dispatch(Task& task, Call call) noexcept {
      const auto self = static_cast<Again*>(&task);
      if (call == Call::run) self->inner(Call::run);
      self->inner(call);
      if (call != Call::run && call != Call::overdue) delete self;
    }
    Task& inner;
  };
  bool post(Task& task) {
    auto again = std::make_unique<Again>(task);
    return Sound::post(*again) && again.release() != nullptr;
  }
};

template <class Impl>
struct Host {
  std::shared_ptr<Impl> impl = std::make_shared<Impl>();
  operator Executor() const { return Executor(impl); }  // NOLINT: it is an executor
  void shutdown() const { impl->shutdown(); }
};

template <class Impl>
bool reports(const std::string& obligation) {
  for (const auto& failure : galley::check_executor([] { return Host<Impl>(); })) {
    if (failure.obligation.find(obligation) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("the contract suite finds nothing wrong with a sound executor", "[testing]") {
  CHECK(galley::check_executor([] { return Host<Sound>(); }).empty());
}

TEST_CASE("the contract suite names the obligation that an executor breaks", "[testing]") {
  CHECK(reports<RunsInsidePost>("never runs inside of post"));
  CHECK(reports<RunsInsidePost>("run, then finish, on one worker"));
  CHECK(reports<KeepsCancelled>("cancel takes a timed task back"));
  CHECK(reports<FiresEarly>("runs at its time"));
  CHECK(reports<CallsWorkersTwice>("reaches each worker once"));
  CHECK(reports<NeverLate>("ends with the event or the deadline"));
  CHECK(reports<TakesTasksForEver>("takes nothing"));
  CHECK(reports<RunsTwice>("run, then finish, on one worker"));
}

TEST_CASE("a contract failure reads as the obligation and what was seen", "[testing]") {
  CHECK(to_string(galley::ContractFailure{"it runs", "it stood still"}) ==
        "it runs: it stood still");
}
