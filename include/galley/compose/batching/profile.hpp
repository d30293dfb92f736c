// What a batcher knows of costs, as data.
#pragma once

#include <galley/compose/batching/batcher.hpp>

namespace galley::inline v1::detail {

/// What a bucket of this kind begins with.
template <class In, class Out, BatchPolicy Policy>
CostTable Batcher<In, Out, Policy>::first_costs(const Kind& kind) const {
  if (profile_.kinds.empty()) return {};
  const std::string rows = kind.rows.text();
  const CostProfile* best = nullptr;
  for (const BatchProfile::Kind& known : profile_.kinds) {
    if (known.rows == rows || (known.rows.empty() && best == nullptr)) best = &known.costs;
  }
  if (best == nullptr) return {};
  return *CostTable::of_profile(*best);  // checked when it was set
}

/// What is known of each kind of rows: of those that are bound to versions or have keys, or not,
/// the one that was used last.
template <class In, class Out, BatchPolicy Policy>
BatchProfile Batcher<In, Out, Policy>::profile_now() const {
  std::vector<const Bucket*> used;
  for (const auto& bucket : buckets_) {
    if (!bucket->costs.empty()) used.push_back(bucket.get());
  }
  std::stable_sort(used.begin(), used.end(),
                   [](const Bucket* a, const Bucket* b) { return a->used > b->used; });
  BatchProfile profile = {};
  for (const Bucket* bucket : used) {
    std::string rows = bucket->kind.rows.text();
    const bool known = std::any_of(profile.kinds.begin(), profile.kinds.end(),
                                   [&rows](const auto& kind) { return kind.rows == rows; });
    if (!known) profile.kinds.push_back({std::move(rows), bucket->costs.profile()});
  }
  return profile;
}

/// Errors  invalid_argument: a cost profile that is none, or two of one kind; nothing is changed
template <class In, class Out, BatchPolicy Policy>
Result<void> Batcher<In, Out, Policy>::begin_with(const BatchProfile& profile) {
  for (const BatchProfile::Kind& kind : profile.kinds) {
    GALLEY_TRY([[maybe_unused]] const CostTable table, CostTable::of_profile(kind.costs));
    const auto same = [&kind](const BatchProfile::Kind& other) { return other.rows == kind.rows; };
    if (std::count_if(profile.kinds.begin(), profile.kinds.end(), same) > 1) {
      return Error(
          Status::invalid_argument,
          "batch profile: expected each kind of rows once, got \"" + kind.rows + "\" again");
    }
  }
  profile_ = profile;
  for (const auto& bucket : buckets_) {
    CostTable costs = first_costs(bucket->kind);
    if (!costs.empty()) bucket->costs = std::move(costs);
  }
  return {};
}

}  // namespace galley::inline v1::detail
