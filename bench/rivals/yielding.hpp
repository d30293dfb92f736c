// Yielding: the learned cap that always gathers by yielding.
#pragma once

#include <galley/policy/batch/learned_cap.hpp>

namespace bench {

/// As `LearnedCap`, but it yields before every batch that is not full, whatever that costs.
struct Yielding {
  galley::LearnedCap policy = {};
  galley::Duration max_wait() const { return policy.max_wait(); }
  galley::BatchDecision decide(galley::BatchView view) const {
    view.yielding_pays = true;
    return policy.decide(view);
  }
};

}  // namespace bench
