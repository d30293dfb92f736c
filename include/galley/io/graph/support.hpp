// All kinds of nodes that galley has, for one pair of row types: what `Registry::support` needs, and
// who calls it includes.
#pragma once

#include <galley/core/named_tensors.hpp>
#include <galley/core/tensor.hpp>
#include <galley/io/graph/batched.hpp>
#include <galley/io/graph/in_order.hpp>
#include <galley/io/graph/on.hpp>
#include <galley/io/graph/padded.hpp>
#include <galley/io/graph/slot.hpp>
#include <galley/io/registry.hpp>

#include <concepts>

namespace galley::inline v1::io::detail {

/// A combinator is a header beside this one and a line here.
template <class In, class Out>
void add_all_kinds(Registry& registry) {
  registry.add_kind<InOrderKind<In, Out>>("in_order");
  registry.add_kind<SlotKind<In, Out>>("slot");
  if constexpr (std::copy_constructible<In>) {
    registry.add_kind<OnKind<In, Out>>("on");
    registry.add_kind<BatchedKind<In, Out>>("batched");
  }
  if constexpr (std::same_as<In, Tensor> &&
                std::predicate<const EqualAnswers&, const Out&, const Out&>) {
    registry.add_kind<PaddedKind<Tensor, Out>>("padded");
    registry.add_kind<PaddedKind<NamedTensors, Out>>("padded");
  }
}

template <class In, class Out>
struct Support {
  static void add(Registry& registry) { add_all_kinds<In, Out>(registry); }
};

/// Compiled in the library.
template <>
struct Support<Tensor, Tensor> {
  static void add(Registry& registry);
};

}  // namespace galley::inline v1::io::detail
