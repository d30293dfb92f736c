#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph/with_state.hpp>
#include <src/io/graph/builtin.hpp>

#include <utility>

namespace galley::inline v1::io {

Fields<StateTensor> Described<StateTensor>::fields() {
  using T = StateTensor;
  return Fields<T>("A tensor that goes from one step of a sequence to the next.")
      .add("input", &T::input, "What the model calls it as it comes in.", {.min_items = 1})
      .required()
      .add("output", &T::output, "And as it gives the next.", {.min_items = 1})
      .required()
      .add("initial", &T::initial, "Before the first step; by default zeros.");
}

Fields<StateOptions> Described<StateOptions>::fields() {
  using O = StateOptions;
  return Fields<O>("How a servable's state is kept.")
      .add("tensors", &O::tensors, "What the state is.", {.min_items = 1, .max_items = 64})
      .required()
      .add("start", &O::start, "When a sequence begins.")
      .add("max_sequences", &O::max_sequences, "How many may be known at once.", {.min = 1})
      .add("expiry", &O::expiry, "One without a row for so long is forgotten.", {.min = 1})
      .add("clock", &O::clock, "Where that is read.");
}

Fields<WithStateKind> WithStateKind::fields() {
  using K = WithStateKind;
  return Fields<K>("A servable of sequences: rows come without the model's state, and leave so.")
      .add("of", &K::of, "What takes a state and gives the next one.")
      .add("options", &K::options, "What the state is, and how it is kept.");
}

Servable<NamedTensors, NamedTensors> WithStateKind::make() && {
  return with_state(*std::move(of), *std::move(options));
}

namespace detail {

void add_stateful(Registry& registry) {
  registry.add_kind<WithStateKind>("with_state");
}

}  // namespace detail

}  // namespace galley::inline v1::io
