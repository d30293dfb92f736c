// Load for a while: chains of asynchronous requests, and clients that block.
#pragma once

#include <galley/core/completion.hpp>

#include <batching/cases.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

/// What some time of load gave.
struct Load {
  double rows_per_second = 0;
  double p50 = 0;  ///< us
  double p99 = 0;  ///< us
  std::uint64_t wrong = 0;
};

/// True when an answer is the bare call's: kernels differ by batch size in the last digits.
inline bool is_answer(const galley::Tensor& got, const galley::Tensor& wanted) {
  if (!(got.shape() == wanted.shape())) return false;
  const auto a = got.span<float>();
  const auto b = wanted.span<float>();
  if (!a.has_value() || !b.has_value()) return false;
  for (std::size_t i = 0; i < a->size(); ++i) {
    const float off = std::abs((*a)[i] - (*b)[i]);
    if (!(off <= 1e-4F + 1e-3F * std::abs((*b)[i]))) return false;
  }
  return true;
}

/// Requests in flight that are each followed by another when they are answered: nobody waits.
class Chains {
 public:
  /// `rows` rows in each request; every 64th answer is checked.
  Chains(Model model, const galley::Rows<galley::Tensor>& request, const galley::Tensor& answer,
         std::size_t chains)
      : model_(std::move(model)), request_(request), answer_(answer), chains_(chains) {}

  Load run(std::chrono::milliseconds time) {
    stop_ = false;
    answered_ = 0;
    in_flight_ = chains_;
    for (std::size_t i = 0; i < chains_; ++i) next();
    std::this_thread::sleep_for(time / 5);  // until it is steady
    const std::uint64_t before = answered_;
    const auto start = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(time);
    const std::uint64_t after = answered_;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    stop_ = true;
    while (in_flight_ != 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    return {
        .rows_per_second = static_cast<double>((after - before) * request_.size()) / took.count(),
        .wrong = wrong_};
  }

 private:
  void next() {
    model_.submit_rows(request_, {},
                       galley::BatchCompletion<galley::Tensor>(
                           request_.size(), [this](galley::Outcomes<galley::Tensor> outcomes) {
                             answered(outcomes);
                           }));
  }
  void answered(const galley::Outcomes<galley::Tensor>& outcomes) {
    const std::uint64_t number = answered_.fetch_add(1, std::memory_order_relaxed);
    if (!outcomes.all_ok() || (number % 64 == 0 && !is_answer(*outcomes[0], answer_))) ++wrong_;
    if (!stop_.load(std::memory_order_relaxed)) return next();
    --in_flight_;
  }

  Model model_;
  galley::Rows<galley::Tensor> request_;
  galley::Tensor answer_;
  std::size_t chains_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> answered_{0};
  std::atomic<std::uint64_t> wrong_{0};
  std::atomic<std::size_t> in_flight_{0};
};

/// Threads that call `serve` again and again.
inline Load blocking_clients(const Model& model, const galley::Tensor& sample,
                             const galley::Tensor& answer, std::size_t clients,
                             std::chrono::milliseconds time) {
  using Clock = std::chrono::steady_clock;
  std::atomic<int> phase{0};  // 0 warming up, 1 measured, 2 over
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::vector<float>> latencies(clients);
  std::latch ready(static_cast<std::ptrdiff_t>(clients));
  std::vector<std::thread> threads;
  for (std::size_t c = 0; c < clients; ++c) {
    threads.emplace_back([&, c] {
      std::vector<float>& mine = latencies[c];
      mine.reserve(1U << 16U);
      ready.arrive_and_wait();
      for (std::uint64_t i = 0; phase.load(std::memory_order_relaxed) != 2; ++i) {
        const auto start = Clock::now();
        const galley::Result<galley::Tensor> got = model.serve(sample);
        const std::chrono::duration<float, std::micro> took = Clock::now() - start;
        if (!got.has_value() || (i % 64 == 0 && !is_answer(*got, answer))) ++wrong;
        if (phase.load(std::memory_order_relaxed) == 1) mine.push_back(took.count());
      }
    });
  }
  ready.wait();
  std::this_thread::sleep_for(time / 5);
  phase = 1;
  const auto start = Clock::now();
  std::this_thread::sleep_for(time);
  phase = 2;
  const std::chrono::duration<double> took = Clock::now() - start;
  for (std::thread& thread : threads) thread.join();
  std::vector<float> all;
  for (const auto& mine : latencies) all.insert(all.end(), mine.begin(), mine.end());
  std::ranges::sort(all);
  const auto at = [&all](double q) {
    return all.empty()
               ? 0.0
               : static_cast<double>(
                     all[static_cast<std::size_t>(q * static_cast<double>(all.size() - 1))]);
  };
  return {.rows_per_second = static_cast<double>(all.size()) / took.count(),
          .p50 = at(0.5),
          .p99 = at(0.99),
          .wrong = wrong};
}

}  // namespace bench
