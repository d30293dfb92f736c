// A server in virtual time, for runs whose every latency is known, and what it is asked.
#pragma once

#include <galley/core/completion.hpp>
#include <galley/core/context.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/time.hpp>
#include <galley/load/timing.hpp>
#include <galley/load/traffic.hpp>
#include <galley/testing/manual_executor.hpp>
#include <galley/testing/task_probe.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace support {

/// Serves one request after another, each for the same time of a manual executor, and answers its
/// row. Refuses with `resource_exhausted` what would make more than `room` wait.
class Lane {
 public:
  explicit Lane(galley::Duration service, std::size_t room = 1'000'000)
      : state_(std::make_shared<State>(service, room)) {}

  galley::Servable<int, int> servable() const {
    return galley::Servable<int, int>(
        "lane", [state = state_](int row, const galley::Context&, galley::Completion<int> done) {
          state->serve(row, std::move(done));
        });
  }

  /// The lane's own time. The generator needs `late` longer to wake than it asked for.
  galley::load::Timing timing(galley::Duration late = {}) const {
    const galley::ManualExecutor executor = state_->executor;
    return {.clock = executor.now().clock,
            .pause_until =
                [executor, late](galley::TimePoint until) {
                  const galley::TimePoint now = executor.now().at;
                  executor.advance(std::max(until + late - now, galley::Duration(0)));
                },
            .cpu_time = [] { return galley::Duration(0); }};
  }

  const galley::ManualExecutor& executor() const { return state_->executor; }
  /// The most requests that were in the lane at a time.
  std::size_t most() const { return state_->most; }

 private:
  using Job = galley::BasicTaskProbe<galley::TimedTask>;

  struct State {
    State(galley::Duration each, std::size_t most_waiting) : service(each), room(most_waiting) {}

    void serve(int row, galley::Completion<int> done) {
      if (inside >= room) {
        return done(galley::Error(galley::Status::resource_exhausted, "the lane is full"));
      }
      most = std::max(most, ++inside);
      free = std::max(free, executor.now().at) + service;
      auto owed = std::make_shared<galley::Completion<int>>(std::move(done));
      jobs.push_back(std::make_unique<Job>([this, row, owed] {
        --inside;
        (*owed)(row);
      }));
      galley::Executor(executor).post_at(*jobs.back(), free);
    }

    const galley::Duration service;
    const std::size_t room;
    galley::ManualExecutor executor;
    galley::TimePoint free = {};
    std::size_t inside = 0;
    std::size_t most = 0;
    std::vector<std::unique_ptr<Job>> jobs;
  };

  std::shared_ptr<State> state_;
};

/// Row i is i, and so is its answer.
inline galley::load::Traffic<int, int> numbers() {
  return {.row = [](std::size_t i) { return static_cast<int>(i); },
          .check = [](std::size_t i, int answer) { return answer == static_cast<int>(i); }};
}

}  // namespace support
