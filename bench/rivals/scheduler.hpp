// A batch policy, galley's or another system's, with admission, and its type erased.
#pragma once

#include <rivals/queue_view.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace bench::rivals {

/// Keeps every row, however late.
struct KeepAll {
  std::size_t drop(const QueueView&) const { return 0; }
};

/// Gives up the first rows when they have waited for `timeout`.
struct DropExpired {
  galley::Duration timeout;

  std::size_t drop(const QueueView& view) const {
    std::size_t dropped = 0;
    while (dropped < view.rows && view.now - view.waiting[dropped].arrived >= timeout) ++dropped;
    return dropped;
  }
};

/// What admission sees when a request arrives.
struct ArrivalView {
  std::size_t rows = 0;  ///< That wait already.
  std::size_t limit = 0;
  galley::Duration slack = galley::Duration::max();
  std::size_t executors = 1;
  const galley::CostTable* costs = nullptr;
};

/// Gives up the first rows when the batch they would go in is not expected to end in time: by its
/// p95 in the learned costs, and with the rows that are there up to the best size. A last row is
/// given up only when it has expired, so that costs are measured again.
struct DropInfeasible {
  std::size_t drop(const QueueView& view) const {
    const std::size_t best = view.costs->best_size(view.limit);
    const std::size_t cap = best == 0 ? view.limit : best;
    std::size_t dropped = 0;
    for (; dropped < view.rows; ++dropped) {
      const std::size_t rows = view.rows - dropped;
      const galley::Duration slack = view.waiting[dropped].due - view.now;
      if (slack >= view.costs->p95(std::min(rows, cap))) break;
      if (rows == 1 && slack > galley::Duration::zero()) break;
    }
    return dropped;
  }
};

/// Refuses on arrival what is not expected to be in time behind what waits, and gives up what is
/// infeasible later.
struct RefuseInfeasible : DropInfeasible {
  bool admits(const ArrivalView& view) const {
    const std::size_t best = view.costs->best_size(view.limit);
    if (view.rows == 0 || best == 0) return true;
    const std::size_t batches = view.rows / best / view.executors;
    const galley::Duration before = static_cast<std::int64_t>(batches) * view.costs->mean(best);
    return before + view.costs->p95(std::min(best, view.rows + 1)) <= view.slack;
  }
};

/// What decides, in a simulation or on an executor.
class Scheduler {
 public:
  /// Of anything that decides as `QueueView` says, with admission of one of the above.
  template <class Policy, class Admission = KeepAll>
  explicit Scheduler(Policy policy, Admission admission = {})
      : self_(std::make_unique<Of<Policy, Admission>>(std::move(policy), admission)) {}

  /// Whether a request that arrives may wait.
  bool admits(const ArrivalView& view) { return self_->admits(view); }
  /// How many of the first rows to give up.
  std::size_t drop(const QueueView& view) { return self_->drop(view); }
  /// What to do with those that are left, of which there is at least one.
  BatchDecision decide(const QueueView& view) { return self_->decide(view); }
  void observe(const BatchDone& done) { self_->observe(done); }

 private:
  struct Any {
    virtual ~Any() = default;
    virtual bool admits(const ArrivalView& view) = 0;
    virtual std::size_t drop(const QueueView& view) = 0;
    virtual BatchDecision decide(const QueueView& view) = 0;
    virtual void observe(const BatchDone& done) = 0;
  };

  template <class Policy, class Admission>
  struct Of final : Any {
    Of(Policy p, Admission a) : policy(std::move(p)), admission(a) {}
    bool admits(const ArrivalView& view) override {
      if constexpr (requires { admission.admits(view); }) {
        return admission.admits(view);
      } else {
        return true;
      }
    }
    std::size_t drop(const QueueView& view) override {
      if constexpr (requires { policy.drop(view); }) {
        return policy.drop(view);
      } else {
        return admission.drop(view);
      }
    }
    BatchDecision decide(const QueueView& view) override { return policy.decide(view); }
    void observe(const BatchDone& done) override {
      if constexpr (requires { policy.observe(done); }) policy.observe(done);
    }
    Policy policy;
    Admission admission;
  };

  std::unique_ptr<Any> self_;
};

}  // namespace bench::rivals
