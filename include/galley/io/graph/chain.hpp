// "cascade", "fallback", "last_good"; and how a cascade accepts.
#pragma once

#include <galley/compose/cascade.hpp>
#include <galley/compose/fallback.hpp>
#include <galley/compose/last_good.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/graph/scores.hpp>
#include <galley/io/graph/statuses.hpp>
#include <galley/io/registry.hpp>
#include <galley/policy/accept/confident.hpp>
#include <galley/policy/accept/margin.hpp>

#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

template <>
struct Described<Confident> {
  static Fields<Confident> fields();
};
template <>
struct Described<Margin> {
  static Fields<Margin> fields();
};

/// What a cascade's "accept" is: one of the policies above, or a function that the host registers.
template <class Out>
using AnyAccept = std::function<Result<bool>(const Out&)>;
template <class Out>
inline constexpr std::string_view family_name<AnyAccept<Out>> = "rule that accepts answers";

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
  static Fields<FallbackOptions> fields();
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
  static Fields<LastGoodOptions> fields();
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

namespace detail {

template <class In, class Out>
void add_chains(Registry& registry) {
  if constexpr (std::copy_constructible<Out>) {
    registry.add_kind<LastGoodKind<In, Out>>("last_good");
  }
  if constexpr (std::constructible_from<AnyAccept<Out>, Confident>) {
    add_policy_once<AnyAccept<Out>, Confident>(registry, "confident");
    add_policy_once<AnyAccept<Out>, Margin>(registry, "margin");
  }
  if constexpr (std::copy_constructible<In>) {
    registry.add_kind<CascadeKind<In, Out>>("cascade");
    registry.add_kind<FallbackKind<In, Out>>("fallback");
  }
}

}  // namespace detail

}  // namespace galley::inline v1::io
