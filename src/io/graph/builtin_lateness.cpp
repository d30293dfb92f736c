#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph/hedge.hpp>
#include <galley/io/graph/timeout.hpp>
#include <src/io/graph/builtin.hpp>

namespace galley::inline v1::io {

Fields<HedgeOptions> Described<HedgeOptions>::fields() {
  using O = HedgeOptions;
  return Fields<O>("When a request is sent a second time.")
      .add("quantile", &O::quantile, "Once it lasts longer than this share of those before it.",
           {.min = 0, .max = 1})
      .add("least_delay", &O::least_delay, "Never sooner than this.")
      .add("share", &O::share, "The most requests that are sent twice.", {.min = 0, .max = 1})
      .add("burst", &O::burst, "How many of those that were not may be saved up.", {.min = 0});
}

namespace detail {

void add_tensor_lateness(Registry& registry) {
  add_hedges<Tensor, Tensor>(registry);
  add_timeouts<Tensor, Tensor>(registry);
}

}  // namespace detail

}  // namespace galley::inline v1::io
