// "on": a servable that runs on an executor.
#pragma once

#include <galley/compose/on.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/registry.hpp>

#include <concepts>
#include <utility>

namespace galley::inline v1::io {

template <class In, class Out>
struct OnKind {
  Required<Executor> executor;
  Required<Servable<In, Out>> of;

  static Fields<OnKind> fields() {
    return Fields<OnKind>("The same servable, run on an executor.")
        .add("executor", &OnKind::executor, "Where it runs.")
        .add("of", &OnKind::of, "What runs there.")
        .inputs_from("of")
        .outputs_from("of");
  }
  Servable<In, Out> make() && { return on(*std::move(executor), *std::move(of)); }
};

namespace detail {

template <class In, class Out>
void add_on(Registry& registry) {
  if constexpr (std::copy_constructible<In>) registry.add_kind<OnKind<In, Out>>("on");
}

}  // namespace detail

}  // namespace galley::inline v1::io
