// A batch policy of one's own, and the suite that says whether it keeps its obligations.
#include <galley/policy/batch.hpp>
#include <galley/testing/contracts/batch_policy.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace {

using galley::BatchDecision;
using galley::BatchView;
using galley::CloseReason;
using galley::Duration;
using std::chrono::microseconds;

/// Waits for a multiple of `lanes` rows, as wide as the machine's vectors are, but for no row
/// longer than `patience`.
struct WholeVectors {
  std::size_t lanes = 8;
  Duration patience = microseconds(200);

  constexpr Duration max_wait() const { return patience; }

  BatchDecision decide(const BatchView& view) const {
    const std::size_t most = std::min(view.rows, view.limit);
    const std::size_t whole = most - most % lanes;
    if (whole > 0) return BatchDecision::close(whole, CloseReason::full);
    if (view.rows >= view.limit) return BatchDecision::close(most, CloseReason::full);
    if (view.oldest >= patience) return BatchDecision::close(most, CloseReason::delay);
    return BatchDecision::wait_for(patience - view.oldest);
  }
};
static_assert(galley::BatchPolicy<WholeVectors>);

/// The same with a mistake that is easily made.
struct Forgetful : WholeVectors {
  BatchDecision decide(const BatchView& view) const {
    return BatchDecision::close(view.rows - view.rows % lanes, CloseReason::full);
  }
};

void show(std::size_t rows, Duration oldest) {
  const galley::CostTable costs;
  const BatchDecision decision =
      WholeVectors{}.decide({.rows = rows, .limit = 64, .oldest = oldest, .costs = &costs});
  if (decision.act == BatchDecision::Act::close) {
    std::printf("%zu rows: close with %zu\n", rows, decision.rows);
  } else {
    std::printf("%zu rows: wait for %lld us\n", rows,
                static_cast<long long>(decision.wait.count() / 1000));
  }
}

}  // namespace

int main() {
  show(20, microseconds(0));
  show(3, microseconds(50));
  show(3, microseconds(200));
  const auto failures = galley::check_batch_policy(WholeVectors{});
  const auto caught = galley::check_batch_policy(Forgetful{});
  std::printf("%zu failures\n", failures.size());
  if (!caught.empty()) std::printf("%s\n", galley::to_string(caught.front()).c_str());
  return failures.empty() && !caught.empty() ? 0 : 1;
}

// prints:
// 20 rows: close with 16
// 3 rows: wait for 150 us
// 3 rows: close with 3
// 0 failures
// a decision is pure and within its bounds: closed with ... rows with ... rows, limit ...
