#include <galley/runtime/thread_pool.hpp>
#include <src/runtime/pool_state.hpp>
#include <src/runtime/system.hpp>

#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace {

/// Starts a `std::thread`; empty where the system gives none.
JoinThread start_thread(const ThreadSpec& spec, std::function<void()> body) {
  try {
    const std::shared_ptr<std::thread> thread(new std::thread, [](std::thread* owned) {
      if (owned->joinable()) owned->detach();
      delete owned;
    });
    *thread = std::thread([name = spec.name, run = std::move(body)] {
      detail::name_this_thread(name);
      run();
    });
    return [thread] { thread->join(); };
  } catch (const std::system_error&) {
    return {};
  }
}

}  // namespace

struct ThreadPool::Owner {
  explicit Owner(ThreadPoolOptions options)
      : grace(options.grace),
        wanted(options.workers != 0 ? options.workers : detail::physical_cores()),
        state(std::make_shared<detail::PoolState>(wanted, options)) {
    const auto& start = options.thread_factory ? options.thread_factory : start_thread;
    while (joins.size() < wanted) {
      const std::size_t index = joins.size();
      JoinThread join = start({.index = index, .name = options.name + "-" + std::to_string(index)},
                              [pool = state, index] { pool->work(index); });
      if (!join) break;
      joins.push_back(std::move(join));
    }
    state->set_count(joins.size());
    if (joins.empty()) state->shutdown({});
  }

  ~Owner() {
    state->shutdown(grace);
    const detail::PoolWorker* const self = state->own_worker();
    for (std::size_t i = 0; i < joins.size(); ++i) {
      if (self == nullptr || self->index() != i) joins[i]();
    }
  }

  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  Duration grace;
  std::size_t wanted;
  std::shared_ptr<detail::PoolState> state;
  std::vector<JoinThread> joins;
};

ThreadPool::ThreadPool(ThreadPoolOptions options)
    : owner_(std::make_unique<Owner>(std::move(options))) {}
ThreadPool::ThreadPool(ThreadPool&&) noexcept = default;
ThreadPool& ThreadPool::operator=(ThreadPool&&) noexcept = default;
ThreadPool::~ThreadPool() = default;

ThreadPool::operator Executor() const {
  return Executor(owner_->state);
}

Instant ThreadPool::now() const {
  return owner_->state->now();
}

std::size_t ThreadPool::concurrency() const noexcept {
  return owner_->joins.size();
}

Result<void> ThreadPool::check() const {
  const std::size_t started = owner_->joins.size();
  if (started == owner_->wanted) return {};
  return Error(Status::resource_exhausted, "started " + std::to_string(started) + " threads of " +
                                               std::to_string(owner_->wanted) + " wanted");
}

bool ThreadPool::shutdown(Duration grace) {
  return owner_->state->shutdown(grace);
}

}  // namespace galley::inline v1
