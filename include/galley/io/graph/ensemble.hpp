// "ensemble"; and the combiners.
#pragma once

#include <galley/compose/ensemble.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/graph/alternatives.hpp>
#include <galley/io/graph/scores.hpp>
#include <galley/io/registry.hpp>
#include <galley/policy/combine/any.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

template <class Out>
inline constexpr std::string_view family_name<AnyCombiner<Out>> = "combiner";

template <>
struct Described<First> {
  static Fields<First> fields();
};
template <>
struct Described<Mean> {
  static Fields<Mean> fields();
};
template <>
struct Described<WeightedMean> {
  static Fields<WeightedMean> fields();
};
template <>
struct Described<MajorityVote> {
  static Fields<MajorityVote> fields();
};
template <>
struct Described<SoftVote> {
  static Fields<SoftVote> fields();
};

/// Of tensors: what a model over the members' answers takes, as `stacked` has it.
template <>
struct Described<Stack> {
  static Fields<Stack> fields();
};

template <class Out>
struct MaxConfidencePolicy {
  Scores scores = Scores::logits;

  static Fields<MaxConfidencePolicy> fields() {
    return Fields<MaxConfidencePolicy>("The answer of the member that is surest.")
        .add("scores", &MaxConfidencePolicy::scores, "What the numbers are.");
  }
  AnyCombiner<Out> make() const { return MaxConfidence<TopScore>{TopScore{scores}}; }
};

template <>
struct Described<EnsembleOptions::Fork> {
  static std::vector<std::pair<std::string, EnsembleOptions::Fork>> choices() {
    using Fork = EnsembleOptions::Fork;
    return {{"when_it_pays", Fork::when_it_pays}, {"always", Fork::always}, {"never", Fork::never}};
  }
};
template <>
struct Described<EnsembleOptions> {
  static Fields<EnsembleOptions> fields();
};

/// A vote that stands in for a member's.
template <class Out>
struct StandIn {
  Required<std::size_t> member;
  Required<Named<Out>> value;

  static Fields<StandIn> fields() {
    return Fields<StandIn>("A vote that stands in for a member's.")
        .add("member", &StandIn::member, "Whose: its number, from 0.", {.max = 255})
        .add("value", &StandIn::value, "The vote.");
  }
};

template <class In, class Out>
struct EnsembleKind {
  AnyCombiner<Out> combiner = {};
  Required<std::vector<Servable<In, Out>>> members;
  std::vector<StandIn<Out>> otherwise = {};
  std::optional<Executor> executor = {};
  EnsembleOptions options = {};

  static Fields<EnsembleKind> fields() {
    using K = EnsembleKind;
    return Fields<K>("The same rows to every member, their answers combined row by row.")
        .add("combiner", &K::combiner, "How answers are combined; by default first.")
        .add("members", &K::members, "Who is asked.", {.min_items = 1, .max_items = 256})
        .add("otherwise", &K::otherwise, "Votes that stand in where members fail.",
             {.max_items = 256})
        .add("executor", &K::executor, "Where members run beside each other.")
        .add("options", &K::options, "How they vote.")
        .inputs_from("members")
        .outputs_from("members");
  }
  Result<Servable<In, Out>> make() && {
    std::vector<Member<In, Out>> all;
    for (const Servable<In, Out>& one : *members) all.push_back(member(one));
    for (const StandIn<Out>& vote : otherwise) {
      if (*vote.member >= all.size()) {
        return Error(Status::invalid_argument, "otherwise: expected a member below " +
                                                   std::to_string(all.size()) + ", got " +
                                                   std::to_string(*vote.member));
      }
      all[*vote.member].otherwise = vote.value->value;
    }
    if (!executor.has_value()) return ensemble(std::move(combiner), all, options);
    return ensemble(*std::move(executor), std::move(combiner), all, options);
  }
};

namespace detail {

template <class Out>
void add_combiners(Registry& registry) {
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
  if constexpr (std::constructible_from<Combine, Stack>) {
    add_policy_once<Combine, Stack>(registry, "stack");
  }
}

template <class In, class Out>
void add_ensembles(Registry& registry) {
  if constexpr (std::copy_constructible<In> && std::copy_constructible<Out>) {
    add_combiners<Out>(registry);
    registry.add_kind<EnsembleKind<In, Out>>("ensemble");
  }
}

}  // namespace detail

}  // namespace galley::inline v1::io
