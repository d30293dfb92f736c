// The contract suite for batch policies.
#pragma once

#include <galley/policy/batch.hpp>
#include <galley/testing/contracts/failure.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace galley::inline v1 {

/// Checks that `policy` keeps the obligations of `BatchPolicy` over many views of rows, costs and
/// deadlines, drawn from `seed`. Empty when it does.
///
/// Example  tests/policy/batch/size_or_delay_test.cpp
template <BatchPolicy P>
std::vector<ContractFailure> check_batch_policy(const P& policy, std::uint64_t seed = 1);

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

/// Draws views as a batcher might show them.
class BatchViews {
 public:
  explicit BatchViews(std::uint64_t seed) : state_(seed) { renew_costs(); }

  BatchView next() {
    if (below(8) == 0) renew_costs();
    BatchView view;
    view.limit = 1 + below(200);
    view.rows = 1 + below(below(2) == 0 ? 8 : 300);
    view.oldest = Duration(below(2) == 0 ? 0 : static_cast<std::int64_t>(below(50'000'000)));
    if (below(3) == 0) view.slack = Duration(static_cast<std::int64_t>(below(20'000'000)) - 1000);
    view.yielding_pays = below(2) == 0;
    view.number = draw();
    view.costs = &costs_;
    return view;
  }

 private:
  /// SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014): the standard's engines are a heavy
  /// header.
  std::uint64_t draw() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30U) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27U) * 0x94d049bb133111ebU;
    return z ^ z >> 31U;
  }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(draw() % bound); }

  void renew_costs() {
    costs_ = CostTable();
    const std::size_t sizes = below(6);
    for (std::size_t i = 0; i < sizes; ++i) {
      costs_.observe(1 + below(128), Duration(1 + static_cast<std::int64_t>(below(5'000'000))));
    }
  }

  std::uint64_t state_;
  CostTable costs_;
};

template <class P>
struct BatchPolicyContract {
  static std::string text_of(const BatchView& view) {
    return "with " + std::to_string(view.rows) + " rows, limit " + std::to_string(view.limit) +
           ", waited " + std::to_string(view.oldest.count()) + " ns, after " +
           std::to_string(view.yields) + " yields";
  }

  static void decisions(const P& policy, const BatchView& view, ContractReport& report) {
    const BatchDecision decision = policy.decide(view);
    report.expect(decision == policy.decide(view), "two decisions on one view " + text_of(view));
    if (decision.act == BatchDecision::Act::close) {
      report.expect(decision.rows >= 1 && decision.rows <= std::min(view.rows, view.limit),
                    "closed with " + std::to_string(decision.rows) + " rows " + text_of(view));
    } else if (decision.act == BatchDecision::Act::wait) {
      report.expect(decision.wait > Duration::zero(), "waited for no time " + text_of(view));
      report.expect(
          view.oldest < policy.max_wait() && decision.wait <= policy.max_wait() - view.oldest,
          "waited longer than max_wait() " + text_of(view));
    }
  }

  /// While no row comes, yields and waits lead to a close.
  static void ends(const P& policy, BatchView view, ContractReport& report) {
    constexpr unsigned most_yields = 64;
    constexpr unsigned most_waits = 64;
    for (unsigned waits = 0; waits <= most_waits;) {
      const BatchDecision decision = policy.decide(view);
      if (decision.act == BatchDecision::Act::close) return;
      if (decision.act == BatchDecision::Act::yield) {
        if (++view.yields > most_yields) break;
        view.rows_before = view.rows;
      } else {
        ++waits;
        view.oldest += decision.wait;
        if (view.slack != Duration::max()) view.slack -= decision.wait;
      }
    }
    report.expect(false, "never closed " + text_of(view));
  }
};

}  // namespace detail

template <BatchPolicy P>
std::vector<ContractFailure> check_batch_policy(const P& policy, std::uint64_t seed) {
  using Contract = detail::BatchPolicyContract<P>;
  constexpr int views = 20'000;
  std::vector<ContractFailure> failures;
  ContractReport decides(failures, "a decision is pure and within its bounds");
  ContractReport ends(failures, "while no row comes, a batch is closed in the end");
  detail::BatchViews drawn(seed);
  for (int i = 0; i < views && failures.size() < 8; ++i) {
    const BatchView view = drawn.next();
    Contract::decisions(policy, view, decides);
    Contract::ends(policy, view, ends);
  }
  return failures;
}

}  // namespace galley::inline v1
