// "filter": predictions that pass a rule.
#pragma once

#include <galley/compose/filter.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/graph/alternatives.hpp>
#include <galley/io/graph/guard.hpp>
#include <galley/io/registry.hpp>
#include <galley/policy/check/any.hpp>

#include <concepts>
#include <functional>
#include <string_view>
#include <utility>
#include <variant>

namespace galley::inline v1::io {

/// A rule that sees the row too and answers what becomes of its prediction, or why there is none.
/// The host registers it.
template <class In, class Out>
using FilterFunction = std::function<Result<Out>(const In&, const Out&)>;
template <class In, class Out>
inline constexpr std::string_view family_name<FilterFunction<In, Out>> = "filter rule";

template <class In, class Out>
struct FilterKind {
  Required<Servable<In, Out>> of;
  Required<std::variant<AnyCheck<Out>, FilterFunction<In, Out>>> rule;

  static Fields<FilterKind> fields() {
    using K = FilterKind;
    return Fields<K>("The same servable; predictions that a rule rejects are errors.")
        .add("of", &K::of, "What predicts.")
        .add("rule", &K::rule, "The check that predictions pass, or what rewrites them.")
        .inputs_from("of")
        .outputs_from("of");
  }
  Servable<In, Out> make() && {
    return std::visit(
        [&](auto&& chosen) {
          return filter(std::forward<decltype(chosen)>(chosen), *std::move(of));
        },
        *std::move(rule));
  }
};

namespace detail {

template <class In, class Out>
void add_filters(Registry& registry) {
  add_checks<Out>(registry);
  if constexpr (std::copy_constructible<In>) registry.add_kind<FilterKind<In, Out>>("filter");
}

}  // namespace detail

}  // namespace galley::inline v1::io
