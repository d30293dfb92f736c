// A scheduler of the simulation: a batch policy, galley's or another system's, with admission.
#pragma once

#include <rivals/queue_view.hpp>

#include <cstddef>
#include <memory>
#include <utility>

namespace bench::sim {

using galley::BatchDecision;
using rivals::BatchDone;
using rivals::QueueView;

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

/// Gives up the first rows when the batch they would go in is not expected to end in time: by its p95
/// in the learned costs, and with the rows that are there up to the best size.
struct DropInfeasible {
  std::size_t drop(const QueueView& view) const {
    const std::size_t best = view.costs->best_size(view.limit);
    const std::size_t cap = best == 0 ? view.limit : best;
    std::size_t dropped = 0;
    for (; dropped < view.rows; ++dropped) {
      const std::size_t rows = std::min(view.rows - dropped, cap);
      if (view.waiting[dropped].due - view.now >= view.costs->p95(rows)) break;
    }
    return dropped;
  }
};

/// What decides in a simulation.
class Scheduler {
 public:
  /// Of anything that decides as `rivals::QueueView` says, with admission of one of the above.
  template <class Policy, class Admission = KeepAll>
  explicit Scheduler(Policy policy, Admission admission = {})
      : self_(std::make_unique<Of<Policy, Admission>>(std::move(policy), admission)) {}

  /// How many of the first rows to give up.
  std::size_t drop(const QueueView& view) { return self_->drop(view); }
  /// What to do with those that are left, of which there is at least one.
  BatchDecision decide(const QueueView& view) { return self_->decide(view); }
  void observe(const BatchDone& done) { self_->observe(done); }

 private:
  struct Any {
    virtual ~Any() = default;
    virtual std::size_t drop(const QueueView& view) = 0;
    virtual BatchDecision decide(const QueueView& view) = 0;
    virtual void observe(const BatchDone& done) = 0;
  };

  template <class Policy, class Admission>
  struct Of final : Any {
    Of(Policy p, Admission a) : policy(std::move(p)), admission(a) {}
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

}  // namespace bench::sim
