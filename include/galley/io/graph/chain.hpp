// "cascade", "fallback", "last_good"; and how a cascade accepts.
#pragma once

#include <galley/compose/cascade.hpp>
#include <galley/compose/fallback.hpp>
#include <galley/compose/last_good.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/graph/statuses.hpp>
#include <galley/policy/accept/confident.hpp>
#include <galley/policy/accept/margin.hpp>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

template <>
struct Described<Scores> {
  static std::vector<std::pair<std::string, Scores>> choices() {
    return {{"logits", Scores::logits}, {"probabilities", Scores::probabilities}};
  }
};
template <>
struct Described<Confident> {
  static Fields<Confident> fields() {
    return Fields<Confident>("Accepts scores whose highest, as a probability, is high enough.")
        .add("threshold", &Confident::threshold, "How high.", {.min = 0, .max = 1})
        .add("scores", &Confident::scores, "What the numbers are.");
  }
};
template <>
struct Described<Margin> {
  static Fields<Margin> fields() {
    return Fields<Margin>("Accepts scores whose two highest, as probabilities, lie apart.")
        .add("threshold", &Margin::threshold, "How far.", {.min = 0, .max = 1})
        .add("scores", &Margin::scores, "What the numbers are.");
  }
};

/// What a cascade's "accept" is: one of the policies above, or a function that the host registers.
template <class Out>
using AnyAccept = std::function<Result<bool>(const Out&)>;

template <class In, class Out>
struct CascadeKind {
  Required<std::vector<Servable<In, Out>>> levels;
  Required<AnyAccept<Out>> accept;

  static Fields<CascadeKind> fields() {
    using K = CascadeKind;
    return Fields<K>("Each row is answered by the first level whose answer is accepted.")
        .add("levels", &K::levels, "The cheapest first.", {.min_items = 1, .max_items = 64})
        .add("accept", &K::accept, "Whether an answer stays.")
        .inputs_from("levels")
        .outputs_from("levels");
  }
  Servable<In, Out> make() && { return cascade(*std::move(levels), *std::move(accept)); }
};

template <>
struct Described<FallbackOptions> {
  static Fields<FallbackOptions> fields() {
    return Fields<FallbackOptions>("When another servable is asked.")
        .add("on", &FallbackOptions::on, "The failures it is asked for.");
  }
};

template <class In, class Out>
struct FallbackKind {
  Required<std::vector<Servable<In, Out>>> chain;
  FallbackOptions options = {};

  static Fields<FallbackKind> fields() {
    using K = FallbackKind;
    return Fields<K>("Each row is answered by the first servable that does not fail for it.")
        .add("chain", &K::chain, "Who is asked, in order.", {.min_items = 1, .max_items = 64})
        .add("options", &K::options, "When the next is asked.")
        .inputs_from("chain")
        .outputs_from("chain");
  }
  Servable<In, Out> make() && { return fallback(*std::move(chain), options); }
};

template <>
struct Described<LastGoodOptions> {
  static Fields<LastGoodOptions> fields() {
    using O = LastGoodOptions;
    return Fields<O>("How the last good values are kept.")
        .add("on", &O::on, "The failures they answer.")
        .add("max_keys", &O::max_keys, "Of how many keys they are kept.", {.min = 1})
        .add("max_age", &O::max_age, "How old a value may be.");
  }
};

template <class In, class Out>
struct LastGoodKind {
  Required<Servable<In, Out>> of;
  LastGoodOptions options = {};

  static Fields<LastGoodKind> fields() {
    using K = LastGoodKind;
    return Fields<K>("A row that fails is answered by what its key was answered last.")
        .add("of", &K::of, "What may fail.")
        .add("options", &K::options, "How values are kept.")
        .inputs_from("of")
        .outputs_from("of");
  }
  Servable<In, Out> make() && { return last_good(*std::move(of), std::move(options)); }
};

}  // namespace galley::inline v1::io
