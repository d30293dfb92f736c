// What an ensemble counts, and what it learns of its members' costs.
#pragma once

#include <galley/compose/ensembling/few.hpp>
#include <galley/compose/ensembling/options.hpp>
#include <galley/core/executor.hpp>
#include <galley/policy/cost_table.hpp>
#include <galley/policy/fork.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// Counters, costs and wakes of one ensemble.
///
/// Threads  thread-safe
class EnsembleRecord {
 public:
  explicit EnsembleRecord(std::size_t members)
      : counts_(std::make_unique<Counts[]>(members)), costs_(members) {}

  // Relaxed throughout: each count stands alone.
  void answered(std::size_t member, std::size_t rows, std::size_t failed) noexcept {
    add(counts_[member].answered, rows);
    add(counts_[member].failed, failed);
  }
  /// The same of all members: one count instead of one a member.
  void all_answered(std::size_t rows) noexcept { add(all_answered_, rows); }
  void cut_off(std::size_t member, std::size_t rows) noexcept {
    add(counts_[member].cut_off, rows);
  }
  void ran_forked() noexcept { add(forked_, 1); }
  /// Counts a run on one thread; true for one in sixteen, which is to be timed.
  bool ran_inline() noexcept {
    return inline_runs_.fetch_add(1, std::memory_order_relaxed) % timed_every == 0;
  }
  /// True where the latest plan for as many rows was one thread, though others were free and all
  /// costs known, and nothing was timed since.
  bool stays_inline(std::size_t rows) const noexcept {
    return inline_rows_.load(std::memory_order_relaxed) == rows &&
           inline_runs_.load(std::memory_order_relaxed) % timed_every != 0;
  }

  void lane_begins() noexcept { lanes_.fetch_add(1, std::memory_order_relaxed); }
  void lane_ends() noexcept { lanes_.fetch_sub(1, std::memory_order_relaxed); }

  /// What a member took for a batch of `rows`.
  void took(std::size_t member, std::size_t rows, Duration time) {
    const std::lock_guard lock(mutex_);
    costs_[member].observe(rows, time);
  }
  void woke(Duration after) {
    const std::lock_guard lock(mutex_);
    wake_.observe(after);
  }

  /// Which of `members` should run where, with `workers` that could take lanes beside the first.
  ForkPlan plan(std::span<const std::uint8_t> members, std::size_t rows, std::size_t workers,
                EnsembleOptions::Fork fork) {
    using Fork = EnsembleOptions::Fork;
    if (fork == Fork::never || members.size() < 2 || workers == 0) return {};
    FewOf<Duration, 16> costs(members.size());
    if (fork == Fork::always) {
      std::fill(costs.span().begin(), costs.span().end(), Duration(std::chrono::milliseconds(1)));
      return plan_fork({.costs = costs.span(), .free_workers = workers});
    }
    const std::size_t busy = lanes_.load(std::memory_order_relaxed);
    const std::size_t free = workers > busy ? workers - busy : 0;
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < members.size(); ++i) costs[i] = costs_[members[i]].mean(rows);
    ForkPlan made = plan_fork({.costs = costs.span(), .free_workers = free, .wake = wake_.value()});
    const bool known = std::ranges::count(costs.span(), Duration::zero()) == 0;
    const bool stays = made.lanes == 1 && free == workers && known;
    if (stays) wake_.forget();
    inline_rows_.store(stays ? rows : 0, std::memory_order_relaxed);
    return made;
  }

  EnsembleStatistics::OfMember of(std::size_t member) const {
    const Counts& counts = counts_[member];
    return {.name = {},
            .answered = counts.answered.load(std::memory_order_relaxed) +
                        all_answered_.load(std::memory_order_relaxed),
            .failed = counts.failed.load(std::memory_order_relaxed),
            .cut_off = counts.cut_off.load(std::memory_order_relaxed)};
  }
  std::uint64_t forked() const noexcept { return forked_.load(std::memory_order_relaxed); }
  std::uint64_t inline_runs() const noexcept {
    return inline_runs_.load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint64_t timed_every = 16;
  using Count = std::atomic<std::uint64_t>;
  struct Counts {
    Count answered{0};
    Count failed{0};
    Count cut_off{0};
  };
  static void add(Count& count, std::size_t by) noexcept {
    if (by != 0) count.fetch_add(by, std::memory_order_relaxed);
  }

  std::unique_ptr<Counts[]> counts_;
  Count all_answered_{0};
  Count forked_{0};
  Count inline_runs_{0};
  std::atomic<std::size_t> lanes_{0};        // handed to workers and not ended
  std::atomic<std::size_t> inline_rows_{0};  // see stays_inline

  std::mutex mutex_;
  std::vector<CostTable> costs_;
  WakeCost wake_;
};

}  // namespace galley::inline v1::detail
