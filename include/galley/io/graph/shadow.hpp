// "shadow": a sample of the rows to another servable too, and how answers are compared.
#pragma once

#include <galley/compose/padding/samples.hpp>
#include <galley/compose/shadow.hpp>
#include <galley/core/tolerance.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/graph/tolerance.hpp>
#include <galley/io/registry.hpp>

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

/// Who hears of a shadow's comparisons: the host registers it. `shadow` says when it is called.
template <class In, class Out>
using TakeComparison = std::function<void(const ShadowRow<In, Out>&)>;
template <class In, class Out>
inline constexpr std::string_view family_name<TakeComparison<In, Out>> = "sink of comparisons";

/// Whether two answers are as good as equal: of the host's, or a policy below.
template <class Out>
using AnyEqual = std::function<bool(const Out&, const Out&)>;
template <class Out>
inline constexpr std::string_view family_name<AnyEqual<Out>> = "comparison";

template <class Out>
struct ExactPolicy {
  static Fields<ExactPolicy> fields() { return Fields<ExactPolicy>("Equal answers are equal."); }
  AnyEqual<Out> make() const { return std::equal_to<Out>(); }
};

/// Of tensors, as padding compares them, or of numbers.
template <class Out>
struct NearPolicy {
  Tolerance tolerance = {};

  static Fields<NearPolicy> fields() {
    return Fields<NearPolicy>("Answers whose numbers lie near to each other are equal.")
        .add("tolerance", &NearPolicy::tolerance, "How near.");
  }
  AnyEqual<Out> make() const {
    if constexpr (std::floating_point<Out>) {
      return [within = tolerance](const Out& primary, const Out& other) {
        return galley::detail::is_near(static_cast<double>(other), static_cast<double>(primary),
                                       within);
      };
    } else {
      return [within = tolerance](const Out& primary, const Out& other) {
        return galley::detail::difference(other, primary, within).empty();
      };
    }
  }
};

template <>
struct Described<ShadowBy> {
  static std::vector<std::pair<std::string, ShadowBy>> choices() {
    return {{"request", ShadowBy::request}, {"key", ShadowBy::key}};
  }
};
template <>
struct Described<ShadowOptions> {
  static Fields<ShadowOptions> fields();
};

template <class In, class Out>
struct ShadowKind {
  Required<Executor> executor;
  Required<Servable<In, Out>> of;
  Required<Servable<In, Out>> other;
  Required<TakeComparison<In, Out>> sink;
  std::optional<AnyEqual<Out>> equal = {};
  ShadowOptions options = {};

  static Fields<ShadowKind> fields() {
    using K = ShadowKind;
    return Fields<K>("The same answers; a sample of the rows goes to another servable too.")
        .add("executor", &K::executor, "Where the other runs.")
        .add("of", &K::of, "Whose answers count.")
        .add("other", &K::other, "What would have answered.")
        .add("sink", &K::sink, "Who is given the answers of both.")
        .add("equal", &K::equal, "What counts as a match; by default no mismatches are counted.")
        .add("options", &K::options, "How much is sampled and kept.")
        .inputs_from("of")
        .outputs_from("of");
  }
  Servable<In, Out> make() && {
    if (!equal.has_value()) equal = [](const Out&, const Out&) { return true; };
    return shadow(*std::move(executor), *std::move(of), *std::move(other), options,
                  *std::move(sink), *std::move(equal));
  }
};

namespace detail {

template <class In, class Out>
void add_shadows(Registry& registry) {
  if constexpr (std::copy_constructible<In> && std::copy_constructible<Out>) {
    if constexpr (std::equality_comparable<Out>) {
      add_policy_once<AnyEqual<Out>, ExactPolicy<Out>>(registry, "exact");
    }
    if constexpr (std::floating_point<Out> || std::same_as<Out, Tensor> ||
                  std::same_as<Out, NamedTensors>) {
      add_policy_once<AnyEqual<Out>, NearPolicy<Out>>(registry, "near");
    }
    registry.add_kind<ShadowKind<In, Out>>("shadow");
  }
}

}  // namespace detail

}  // namespace galley::inline v1::io
