// WeightedMean: the combiner that averages, members counting unequally.
#pragma once

#include <galley/policy/combine.hpp>
#include <galley/policy/combine/numbers.hpp>

#include <charconv>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

/// Sums in proportion to the weights, of which those given make up the whole.
struct WeightedFold {
  std::span<const double> weights;
  double whole = 0;

  template <class T>
  void add(std::span<T> to, std::span<const T> numbers, std::size_t, std::size_t member) const {
    const T weight = static_cast<T>(weights[member] / whole);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += weight * numbers[i];
  }
  template <class T>
  void finish(std::span<T>) const {}
};

inline std::string weight_text(double weight) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), weight).ptr);
}

}  // namespace detail

/// The mean of the members that answered, number by number, each in proportion to its weight among
/// these. A NaN makes a NaN, also of a member of weight 0.
///
/// Shapes  as `Mean`
/// Errors  internal: no member of any weight has answered, or as `Mean`; failed_precondition
///         (`check`): not one weight for each member, a negative or infinite one, or none above 0
/// Cost    as `Mean`
struct WeightedMean {
  static constexpr const char* name = "weighted_mean";
  /// One for each member, in their order; only their proportions count.
  std::vector<double> weights = {};

  Result<void> check(std::size_t members) const {
    if (weights.size() != members) {
      return refused("expected one for each of " + std::to_string(members) + " members, got " +
                     std::to_string(weights.size()));
    }
    double whole = 0;
    for (const double weight : weights) {
      if (!(weight >= 0) || !std::isfinite(weight)) {
        return refused("expected finite numbers of at least 0, got " + detail::weight_text(weight));
      }
      whole += weight;
    }
    if (!(whole > 0) || !std::isfinite(whole)) return refused("expected a finite sum above 0");
    return {};
  }

  template <NumberRow Mid>
  Result<Mid> combine(const Votes<Mid>& votes) const {
    const double whole = sum([&](std::size_t m) { return votes[m].has_value(); });
    if (!(whole > 0)) return detail::nobody_voted(name);
    return detail::fold_votes(name, votes, detail::WeightedFold{weights, whole});
  }

  template <NumberRow Mid>
  std::optional<Rows<Mid>> combine_rows(const BatchVotes<Mid>& votes) const {
    const double whole = sum([&](std::size_t m) { return votes.members[m] != nullptr; });
    if (!(whole > 0)) return std::nullopt;
    return detail::fold_batch(votes, detail::WeightedFold{weights, whole});
  }

  OptionTexts options() const {
    std::string all;
    for (const double weight : weights) {
      all.append(all.empty() ? "" : ", ").append(detail::weight_text(weight));
    }
    return {{"weights", std::move(all)}};
  }

 private:
  static Error refused(const std::string& why) {
    return Error(Status::failed_precondition, "weighted_mean: weights: " + why);
  }
  template <class Counts>
  double sum(Counts&& counts) const {
    double whole = 0;
    for (std::size_t m = 0; m < weights.size(); ++m) whole += counts(m) ? weights[m] : 0;
    return whole;
  }
};

}  // namespace galley::inline v1
