#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph/chain.hpp>
#include <src/io/graph/builtin.hpp>

namespace galley::inline v1::io {

Fields<Confident> Described<Confident>::fields() {
  return Fields<Confident>("Accepts scores whose highest, as a probability, is high enough.")
      .add("threshold", &Confident::threshold, "How high.", {.min = 0, .max = 1})
      .add("scores", &Confident::scores, "What the numbers are.");
}

Fields<Margin> Described<Margin>::fields() {
  return Fields<Margin>("Accepts scores whose two highest, as probabilities, lie apart.")
      .add("threshold", &Margin::threshold, "How far.", {.min = 0, .max = 1})
      .add("scores", &Margin::scores, "What the numbers are.");
}

Fields<FallbackOptions> Described<FallbackOptions>::fields() {
  return Fields<FallbackOptions>("When another servable is asked.")
      .add("on", &FallbackOptions::on, "The failures it is asked for.");
}

Fields<LastGoodOptions> Described<LastGoodOptions>::fields() {
  using O = LastGoodOptions;
  return Fields<O>("How the last good values are kept.")
      .add("on", &O::on, "The failures they answer.")
      .add("max_keys", &O::max_keys, "Of how many keys they are kept.", {.min = 1})
      .add("max_age", &O::max_age, "How old a value may be.");
}

namespace detail {

void add_tensor_chains(Registry& registry) {
  add_chains<Tensor, Tensor>(registry);
}

}  // namespace detail

}  // namespace galley::inline v1::io
