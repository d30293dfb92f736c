// Nexus's sliding window.
#pragma once

#include <rivals/queue_view.hpp>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace bench::rivals {

/// Takes what is there up to the largest batch that costs half the objective, after giving up the
/// first rows as long as the batch they would go in ends too late for them.
///
/// Source  Nexus, SOSP 2019; backend/model_exec.cpp. Differs: one model, so no duty cycle.
class NexusWindow {
 public:
  NexusWindow(Profile profile, Duration objective) : profile_(std::move(profile)) {
    for (std::size_t rows = 2; rows < profile_.size(); ++rows) {
      if (2 * profile_[rows] <= objective) maximum_ = rows;
    }
  }

  std::size_t drop(const QueueView& view) const {
    std::size_t dropped = 0;
    for (; dropped < view.rows; ++dropped) {
      const std::size_t rows = std::min({view.rows - dropped, view.limit, maximum_});
      if (view.waiting[dropped].due - view.now >= profile_[rows]) break;
    }
    return dropped;
  }

  BatchDecision decide(const BatchView& view) const {
    return BatchDecision::close(std::min({view.rows, view.limit, maximum_}), CloseReason::idle);
  }

 private:
  Profile profile_;
  std::size_t maximum_ = 1;
};

}  // namespace bench::rivals
