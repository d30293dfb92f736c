#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph/shadow.hpp>
#include <src/io/graph/builtin.hpp>

namespace galley::inline v1::io {

Fields<ShadowOptions> Described<ShadowOptions>::fields() {
  using O = ShadowOptions;
  return Fields<O>("How much is sampled, and how much may be kept.")
      .add("share", &O::share, "The share that is sampled.", {.min = 0, .max = 1})
      .add("by", &O::by, "What the sample is of.")
      .add("max_requests", &O::max_requests, "The most requests that wait or are compared.",
           {.min = 1})
      .add("max_rows", &O::max_rows, "And the most rows.", {.min = 1})
      .add("max_running", &O::max_running, "How many may be at the other servable at once.",
           {.min = 1})
      .add("deadline", &O::deadline, "How long a copy has.", {.min = 1})
      .add("priority", &O::priority, "In place of the caller's.")
      .add("seed", &O::seed, "What the sample is drawn with.");
}

namespace detail {

void add_tensor_shadows(Registry& registry) {
  add_shadows<Tensor, Tensor>(registry);
}

}  // namespace detail

}  // namespace galley::inline v1::io
