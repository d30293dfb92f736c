// "timeout": an answer in time, or none.
#pragma once

#include <galley/compose/timeout.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/registry.hpp>

#include <concepts>
#include <utility>

namespace galley::inline v1::io {

template <class In, class Out>
struct TimeoutKind {
  Required<Executor> executor;
  Required<Servable<In, Out>> of;
  Required<Duration> duration;

  static Fields<TimeoutKind> fields() {
    using K = TimeoutKind;
    return Fields<K>("The same servable, whose requests are answered in time in any case.")
        .add("executor", &K::executor, "Whose timers and clock it goes by.")
        .add("of", &K::of, "What may take too long.")
        .add("duration", &K::duration, "How long it may take.", {.min = 1})
        .inputs_from("of")
        .outputs_from("of");
  }
  Servable<In, Out> make() && { return timeout(*std::move(executor), *std::move(of), *duration); }
};

namespace detail {

template <class In, class Out>
void add_timeouts(Registry& registry) {
  if constexpr (std::copy_constructible<In>) registry.add_kind<TimeoutKind<In, Out>>("timeout");
}

}  // namespace detail

}  // namespace galley::inline v1::io
