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
  NexusWindow(Profile profile, Duration objective)
      : profile_(std::move(profile)), maximum_(largest_within_half(profile_, objective)) {}

  std::size_t drop(const QueueView& view) const { return late_rows(view, profile_, maximum_); }

  BatchDecision decide(const BatchView& view) const {
    return BatchDecision::close(std::min({view.rows, view.limit, maximum_}), CloseReason::idle);
  }

 private:
  Profile profile_;
  std::size_t maximum_;
};

}  // namespace bench::rivals
