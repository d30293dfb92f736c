// What the tests of thread pools share.
#pragma once

#include <galley/core/executor.hpp>
#include <galley/runtime/thread_pool.hpp>
#include <galley/testing/task_probe.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <support/catch.hpp>

namespace galley::testing_support {

/// Tasks that stay where they are.
using Probes = std::vector<std::unique_ptr<TaskProbe>>;

/// A task that occupies its worker, without helping, until the gate opens.
struct Occupier {
  Event begun;
  Event gate;
  TaskProbe task{[this] {
    begun.set();
    gate.wait();
  }};

  void occupy(const Executor& executor) {
    REQUIRE(executor.post(task));
    begun.wait();
  }
};

/// A host that starts threads of its own and keeps them.
struct ThreadHost {
  std::vector<std::thread> threads;
  std::vector<ThreadSpec> asked;
  std::size_t most = 100;
  std::atomic<int> joins{0};

  ThreadPoolOptions options(std::size_t workers) {
    return {.workers = workers,
            .name = "kitchen",
            .thread_factory = [this](const ThreadSpec& spec, std::function<void()> body) {
              if (asked.size() == most) return JoinThread();
              asked.push_back(spec);
              threads.emplace_back(std::move(body));
              return JoinThread([this, index = spec.index] {
                threads[index].join();
                ++joins;
              });
            }};
  }
};

}  // namespace galley::testing_support
