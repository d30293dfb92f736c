// "in_order": answers in the order in which they were asked for.
#pragma once

#include <galley/compose/in_order.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/registry.hpp>

#include <utility>

namespace galley::inline v1::io {

template <class In, class Out>
struct InOrderKind {
  Required<Servable<In, Out>> of;

  static Fields<InOrderKind> fields() {
    return Fields<InOrderKind>("The same answers, delivered in the order of the requests.")
        .add("of", &InOrderKind::of, "What answers out of order.")
        .inputs_from("of")
        .outputs_from("of");
  }
  Servable<In, Out> make() && { return in_order(*std::move(of)); }
};

namespace detail {

template <class In, class Out>
void add_in_order(Registry& registry) {
  registry.add_kind<InOrderKind<In, Out>>("in_order");
}

}  // namespace detail

}  // namespace galley::inline v1::io
