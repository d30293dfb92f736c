// Budget: how much extra work may be asked for, as a share of the work there is.
#pragma once

#include <galley/core/time.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace galley::inline v1 {

/// How a `Budget` fills.
struct BudgetOptions {
  /// Earned by each row that was asked for.
  double ratio = 0.2;
  /// Earned each second, so that little work may still be tried again.
  double per_second = 10;
  /// The most that is saved, and what it begins with.
  double burst = 100;

  friend bool operator==(const BudgetOptions&, const BudgetOptions&) = default;
};

/// A token bucket: work earns a part of a row, an extra row costs one. Where all fails, extra work
/// is so no more than a fraction of the work there is, and does not multiply an overload.
///
/// Threads  thread-compatible
/// Cost     O(1)
/// Source   Twitter's Finagle, RetryBudget, with its defaults: 20 % of the requests and ten a
///          second. Differs: what was earned does not age, it is capped by `burst`, which is what
///          Finagle's ten seconds would hold of the ten a second
class Budget {
 public:
  explicit Budget(BudgetOptions options = {}) noexcept
      : options_(options), tokens_(options.burst) {}

  /// Takes up to `wanted` rows; returns how many there were.
  ///
  /// `asked` is how many rows were asked for since the beginning.
  std::size_t take(std::size_t wanted, std::uint64_t asked, TimePoint now) noexcept {
    const std::uint64_t more = asked > asked_ ? asked - asked_ : 0;
    const Duration passed = began_ ? std::max(now - at_, Duration::zero()) : Duration::zero();
    const double seconds = std::chrono::duration<double>(passed).count();
    tokens_ = std::min(options_.burst, tokens_ + options_.ratio * static_cast<double>(more) +
                                           options_.per_second * seconds);
    asked_ = std::max(asked_, asked);
    at_ = began_ ? std::max(at_, now) : now;
    began_ = true;
    constexpr double rounding = 1e-9;  // ten tenths are one
    const double whole = std::min(tokens_ + rounding, static_cast<double>(wanted));
    const auto taken = static_cast<std::size_t>(std::max(whole, 0.0));
    tokens_ -= static_cast<double>(taken);
    return taken;
  }

  /// What is left of it, as it was last looked at.
  double tokens() const noexcept { return tokens_; }

 private:
  BudgetOptions options_;
  double tokens_;
  std::uint64_t asked_ = 0;
  TimePoint at_ = {};
  bool began_ = false;
};

}  // namespace galley::inline v1
