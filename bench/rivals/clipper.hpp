// Clipper's adaptive batch size.
#pragma once

#include <rivals/queue_view.hpp>

#include <algorithm>
#include <cstddef>

namespace bench::rivals {

/// Takes what is there up to a maximum, which grows by one while full batches stay within the
/// objective and loses a tenth when one does not.
///
/// Source  D. Crankshaw et al., Clipper, NSDI 2017, section 4.3, AIMD. Differs: only a batch of the
///         maximum makes it grow, so that it does not grow unnoticed at low load.
class ClipperAimd {
 public:
  explicit ClipperAimd(Duration objective) : objective_(objective) {}

  BatchDecision decide(const BatchView& view) const {
    return BatchDecision::close(std::min({view.rows, view.limit, maximum_}), CloseReason::idle);
  }

  void observe(const BatchDone& done) {
    if (done.took > objective_) {
      maximum_ = std::max<std::size_t>(1, maximum_ - std::max<std::size_t>(1, maximum_ / 10));
    } else if (done.rows >= maximum_) {
      ++maximum_;
    }
  }

 private:
  Duration objective_;
  std::size_t maximum_ = 1;
};

}  // namespace bench::rivals
