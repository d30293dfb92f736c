// "slot": a servable whose insides the host replaces while it serves.
#pragma once

#include <galley/core/slot.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/registry.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace galley::inline v1::io {

/// Who is handed the publisher of a slot that a document describes, while the graph is built: put
/// it into the registry with `add_value`. The graph may still turn out not to load.
template <class In, class Out>
using TakePublisher = std::function<void(Publisher<In, Out>)>;
template <class In, class Out>
inline constexpr std::string_view family_name<TakePublisher<In, Out>> = "taker of a publisher";

template <class In, class Out>
struct SlotKind {
  Required<std::string> name;
  Required<Servable<In, Out>> of;
  Required<TakePublisher<In, Out>> publisher;
  std::size_t keep = SlotOptions().keep;

  static Fields<SlotKind> fields() {
    return Fields<SlotKind>("A servable that can be replaced while it serves.")
        .add("name", &SlotKind::name, "What the slot is called.",
             {.min_items = 1, .max_items = 128})
        .add("of", &SlotKind::of, "The first version.")
        .add("publisher", &SlotKind::publisher, "Who is given the slot's publisher.")
        .add("keep", &SlotKind::keep, "Versions kept beside the current one.", {.max = 1024})
        .inputs_from("of")
        .outputs_from("of");
  }
  Servable<In, Out> make() && {
    auto made = slot(*std::move(name), *std::move(of), SlotOptions{.keep = keep});
    (*publisher)(made.publisher);
    return made.servable;
  }
};

namespace detail {

template <class In, class Out>
void add_slots(Registry& registry) {
  registry.add_kind<SlotKind<In, Out>>("slot");
}

}  // namespace detail

}  // namespace galley::inline v1::io
