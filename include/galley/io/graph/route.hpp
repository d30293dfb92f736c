// "route": rows go one of several ways; and the policies and rules that say which.
#pragma once

#include <galley/compose/route.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/graph/alternatives.hpp>
#include <galley/io/registry.hpp>
#include <galley/policy/route/any.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace galley::inline v1::io {

template <>
inline constexpr std::string_view family_name<AnyRoute> = "route policy";

/// A list of numbers, one for each arm.
template <>
struct Codec<RouteWeights> {
  static Schema schema();
  static Result<RouteWeights> read(const Reader& reader);
  static std::optional<Value> write(const RouteWeights& from);
};

template <>
struct Described<Keyless> {
  static std::vector<std::pair<std::string, Keyless>> choices() {
    return {{"refused", Keyless::refused}, {"random", Keyless::random}};
  }
};

template <>
struct Described<Always> {
  static Fields<Always> fields();
};

struct ByWeightPolicy {
  Required<RouteWeights> weights;

  static Fields<ByWeightPolicy> fields();
  AnyRoute make() const { return by_weight(*weights); }
};

struct StickyPolicy {
  Required<RouteWeights> weights;
  std::uint64_t salt = 0;
  Keyless keyless = Keyless::refused;

  static Fields<StickyPolicy> fields();
  AnyRoute make() const { return sticky(*weights, {.salt = salt, .keyless = keyless}); }
};

/// What "by_context" names as its `weights_for`: the host registers it.
using WeightsFor = std::function<RouteWeights(const RouteView&)>;
template <>
inline constexpr std::string_view family_name<WeightsFor> = "function that gives weights";

struct ByContextPolicy {
  Required<WeightsFor> weights_for;
  AnyRoute then = by_weight({});

  static Fields<ByContextPolicy> fields();
  AnyRoute make() && { return by_context(*std::move(weights_for), std::move(then)); }
};

/// What "by_key" names as its `part`: which number of a row is its key. The host registers it.
template <class In>
using RowKey = std::function<Key(const In&)>;
template <class In>
inline constexpr std::string_view family_name<RowKey<In>> = "key of a row";

template <class In>
using RouteByKey = ByKey<RowKey<In>, AnyRoute>;
template <class In>
inline constexpr std::string_view family_name<RouteByKey<In>> = "route policy by a row's key";

template <class In>
struct ByKeyPolicy {
  Required<RowKey<In>> part;
  Required<AnyRoute> then;

  static Fields<ByKeyPolicy> fields() {
    return Fields<ByKeyPolicy>("As another policy, by a key that is a part of the row.")
        .add("part", &ByKeyPolicy::part, "Which part of a row is its key.")
        .add("then", &ByKeyPolicy::then, "What goes by that key.");
  }
  RouteByKey<In> make() && { return by_key(*std::move(part), *std::move(then)); }
};

/// A rule, the number of the arm that a row goes to. The host registers it; a function that answers
/// labels, or sees a `RouteView`, goes into one.
template <class In>
using RouteFunction = std::function<Result<std::size_t>(const In&)>;
template <class In>
inline constexpr std::string_view family_name<RouteFunction<In>> = "route rule";

template <>
struct Described<RouteOptions> {
  static Fields<RouteOptions> fields();
};

template <class In, class Out>
struct RouteKind {
  std::optional<std::variant<AnyRoute, RouteFunction<In>, RouteByKey<In>>> by = {};
  std::optional<Servable<In, std::size_t>> classifier = {};
  Required<std::vector<Servable<In, Out>>> arms;
  RouteOptions options = {};

  static Fields<RouteKind> fields() {
    using K = RouteKind;
    return Fields<K>("Each row goes to one of several servables.")
        .add("by", &K::by, "The policy or the rule that says which; or else the classifier.")
        .add("classifier", &K::classifier, "What answers the number of each row's arm.")
        .add("arms", &K::arms, "Where rows go.", {.min_items = 1, .max_items = 256})
        .add("options", &K::options, "How the route is called and drawn for.")
        .inputs_from("arms")
        .outputs_from("arms");
  }
  Result<Servable<In, Out>> make() && {
    if (by.has_value() == classifier.has_value()) {
      return Error(Status::invalid_argument,
                   std::string("expected \"by\" or \"classifier\", got ") +
                       (by.has_value() ? "both" : "neither"));
    }
    if (classifier.has_value()) {
      return route(*std::move(classifier), *std::move(arms), std::move(options));
    }
    return std::visit(
        [&](auto& chosen) {
          return route(std::move(chosen), *std::move(arms), std::move(options));
        },
        *by);
  }
};

namespace detail {

template <class In, class Out>
void add_routes(Registry& registry) {
  if constexpr (std::copy_constructible<In>) {
    add_policy_once<RouteByKey<In>, ByKeyPolicy<In>>(registry, "by_key");
    registry.add_kind<RouteKind<In, Out>>("route");
  }
}

}  // namespace detail

}  // namespace galley::inline v1::io
