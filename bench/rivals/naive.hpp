// Naive: the batcher everybody writes first.
#pragma once

#include <galley/core/servable.hpp>
#include <galley/core/tensor_rows.hpp>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

namespace bench {

/// A queue under a mutex, a thread that takes what is there, a promise for each request.
class Naive {
 public:
  using Answer = galley::Result<galley::Tensor>;

  explicit Naive(galley::Servable<galley::Tensor, galley::Tensor> model, std::size_t most = 32)
      : model_(std::move(model)), most_(most), thread_([this] { run(); }) {}
  Naive(const Naive&) = delete;
  Naive& operator=(const Naive&) = delete;
  ~Naive() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  std::future<Answer> submit(galley::Tensor row) {
    Item item{std::move(row), {}};
    std::future<Answer> answer = item.promise.get_future();
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(item));
    }
    changed_.notify_one();
    return answer;
  }

 private:
  struct Item {
    galley::Tensor row;
    std::promise<Answer> promise;
  };

  void run() {
    for (;;) {
      std::deque<Item> batch;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return over_ || !queue_.empty(); });
        if (queue_.empty()) return;
        while (!queue_.empty() && batch.size() < most_) {
          batch.push_back(std::move(queue_.front()));
          queue_.pop_front();
        }
      }
      galley::Rows<galley::Tensor> rows(batch.size());
      for (const Item& item : batch) rows.push_back(item.row);
      const galley::Outcomes<galley::Tensor> outcomes = model_.serve_rows(std::move(rows));
      for (std::size_t i = 0; i < batch.size(); ++i) {
        batch[i].promise.set_value(outcomes[i].result());
      }
    }
  }

  galley::Servable<galley::Tensor, galley::Tensor> model_;
  std::size_t most_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> queue_;
  bool over_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace bench
