// All kinds of nodes that galley has, for one pair of row types: what `Registry::support` needs,
// and who calls it includes.
#pragma once

#include <galley/core/named_tensors.hpp>
#include <galley/core/tensor.hpp>
#include <galley/io/graph/batched.hpp>
#include <galley/io/graph/chain.hpp>
#include <galley/io/graph/ensemble.hpp>
#include <galley/io/graph/guard.hpp>
#include <galley/io/graph/in_order.hpp>
#include <galley/io/graph/on.hpp>
#include <galley/io/graph/padded.hpp>
#include <galley/io/graph/slot.hpp>
#include <galley/io/registry.hpp>

#include <concepts>

namespace galley::inline v1::io::detail {

/// Adds a policy, unless another pair of row types has brought it already.
template <class T, class K>
void add_policy_once(Registry& registry, const char* name) {
  if (registry.contents().makers.count({family<T>(), name}) == 0) {
    registry.add_policy<T, K>(name);
  }
}

/// The combiners of a row type, the rules by which answers are accepted, and the checks.
template <class In, class Out>
void add_all_policies(Registry& registry) {
  using Combine = AnyCombiner<Out>;
  add_policy_once<Combine, First>(registry, "first");
  if constexpr (std::constructible_from<Combine, MajorityVote>) {
    add_policy_once<Combine, MajorityVote>(registry, "majority_vote");
  }
  if constexpr (std::constructible_from<Combine, Mean>) {
    add_policy_once<Combine, Mean>(registry, "mean");
    add_policy_once<Combine, WeightedMean>(registry, "weighted_mean");
  }
  if constexpr (std::constructible_from<Combine, SoftVote>) {
    add_policy_once<Combine, SoftVote>(registry, "soft_vote");
    add_policy_once<Combine, MaxConfidencePolicy<Out>>(registry, "max_confidence");
  }
  if constexpr (std::constructible_from<AnyAccept<Out>, Confident>) {
    add_policy_once<AnyAccept<Out>, Confident>(registry, "confident");
    add_policy_once<AnyAccept<Out>, Margin>(registry, "margin");
  }
  add_policy_once<AnyCheck<In>, AllOfPolicy<In>>(registry, "all_of");
  if constexpr (std::constructible_from<AnyCheck<In>, Finite>) {
    add_policy_once<AnyCheck<In>, Finite>(registry, "finite");
    add_policy_once<AnyCheck<In>, InRange>(registry, "in_range");
  }
  if constexpr (std::same_as<In, Tensor>) {
    add_policy_once<AnyCheck<In>, ShapeIsPolicy>(registry, "shape_is");
  }
}

/// A combinator is a header beside this one and a line here.
template <class In, class Out>
void add_all_kinds(Registry& registry) {
  registry.add_kind<InOrderKind<In, Out>>("in_order");
  registry.add_kind<SlotKind<In, Out>>("slot");
  registry.add_kind<GuardKind<In, Out>>("guard");
  if constexpr (std::copy_constructible<Out>) {
    registry.add_kind<LastGoodKind<In, Out>>("last_good");
    add_all_policies<In, Out>(registry);
  }
  if constexpr (std::copy_constructible<In>) {
    registry.add_kind<OnKind<In, Out>>("on");
    registry.add_kind<CascadeKind<In, Out>>("cascade");
    registry.add_kind<FallbackKind<In, Out>>("fallback");
    registry.add_kind<EnsembleKind<In, Out>>("ensemble");
    registry.add_kind<BatchedKind<In, Out>>("batched");
  }
  if constexpr (std::same_as<In, Tensor> &&
                std::predicate<const EqualAnswers&, const Out&, const Out&>) {
    registry.add_kind<PaddedKind<Tensor, Out>>("padded");
    registry.add_kind<PaddedKind<NamedTensors, Out>>("padded");
  }
}

template <class In, class Out>
struct Support {
  static void add(Registry& registry) { add_all_kinds<In, Out>(registry); }
};

/// Compiled in the library.
template <>
struct Support<Tensor, Tensor> {
  static void add(Registry& registry);
};

}  // namespace galley::inline v1::io::detail
