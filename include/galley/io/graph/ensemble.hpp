// "ensemble"; and the combiners.
#pragma once

#include <galley/compose/ensemble.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/graph/chain.hpp>
#include <galley/policy/combine/any.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

template <>
struct Described<First> {
  static Fields<First> fields() { return Fields<First>("The earliest member's answer."); }
};
template <>
struct Described<Mean> {
  static Fields<Mean> fields() { return Fields<Mean>("The mean of the members' numbers."); }
};
template <>
struct Described<WeightedMean> {
  static Fields<WeightedMean> fields() {
    return Fields<WeightedMean>("The mean, each member's numbers weighted.")
        .add("weights", &WeightedMean::weights, "One for each member.", {.min = 0});
  }
};
template <>
struct Described<MajorityVote> {
  static Fields<MajorityVote> fields() {
    return Fields<MajorityVote>("The label that most members answer.");
  }
};
template <>
struct Described<SoftVote> {
  static Fields<SoftVote> fields() {
    return Fields<SoftVote>("The mean of the members' distributions over classes.")
        .add("scores", &SoftVote::scores, "What the numbers are.");
  }
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
  static Fields<EnsembleOptions> fields() {
    using O = EnsembleOptions;
    return Fields<O>("How an ensemble votes.")
        .add("quorum", &O::quorum, "How many members must answer; 0 is all.", {.max = 256})
        .add("cut_off", &O::cut_off, "When the rest are left out; 0s is at the row's deadline.")
        .add("fork", &O::fork, "Whether members are handed to other threads.");
  }
};

template <class In, class Out>
struct EnsembleKind {
  AnyCombiner<Out> combiner = {};
  Required<std::vector<Servable<In, Out>>> members;
  std::optional<Executor> executor = {};
  EnsembleOptions options = {};

  static Fields<EnsembleKind> fields() {
    using K = EnsembleKind;
    return Fields<K>("The same rows to every member, their answers combined row by row.")
        .add("combiner", &K::combiner, "How answers are combined; by default first.")
        .add("members", &K::members, "Who is asked.", {.min_items = 1, .max_items = 256})
        .add("executor", &K::executor, "Where members run beside each other.")
        .add("options", &K::options, "How they vote.")
        .inputs_from("members")
        .outputs_from("members");
  }
  Servable<In, Out> make() && {
    if (!executor.has_value()) return ensemble(std::move(combiner), *members, options);
    return ensemble(*std::move(executor), std::move(combiner), *members, options);
  }
};

}  // namespace galley::inline v1::io
