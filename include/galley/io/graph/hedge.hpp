// "hedge": a late request is sent a second time.
#pragma once

#include <galley/compose/hedge.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/registry.hpp>

#include <concepts>
#include <optional>
#include <utility>

namespace galley::inline v1::io {

template <>
struct Described<HedgeOptions> {
  static Fields<HedgeOptions> fields();
};

template <class In, class Out>
struct HedgeKind {
  Required<Executor> executor;
  Required<Servable<In, Out>> of;
  std::optional<Servable<In, Out>> backup = {};
  HedgeOptions options = {};

  static Fields<HedgeKind> fields() {
    using K = HedgeKind;
    return Fields<K>("The same servable; a request that is late is sent a second time.")
        .add("executor", &K::executor, "Whose timers and clock it goes by.")
        .add("of", &K::of, "Who is asked first.")
        .add("backup", &K::backup, "Who is asked the second time; by default the same.")
        .add("options", &K::options, "When, and how often.")
        .inputs_from("of")
        .outputs_from("of");
  }
  Servable<In, Out> make() && {
    if (!backup.has_value()) return hedge(*std::move(executor), *std::move(of), options);
    return hedge(*std::move(executor), *std::move(of), *std::move(backup), options);
  }
};

namespace detail {

template <class In, class Out>
void add_hedges(Registry& registry) {
  if constexpr (std::copy_constructible<In>) registry.add_kind<HedgeKind<In, Out>>("hedge");
}

}  // namespace detail

}  // namespace galley::inline v1::io
