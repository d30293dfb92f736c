// What galley has for graphs of tensors. A file each, for each takes its time to compile.
#pragma once

#include <galley/io/registry.hpp>

namespace galley::inline v1::io::detail {

void add_tensor_basics(Registry& registry);  ///< constant, in_order, on, slot
void add_tensor_batched(Registry& registry);
void add_tensor_chains(Registry& registry);  ///< cascade, fallback, last_good
void add_tensor_checks(Registry& registry);  ///< guard, filter
void add_tensor_ensembles(Registry& registry);
void add_tensor_failures(Registry& registry);  ///< breaker, retry
void add_tensor_lateness(Registry& registry);  ///< hedge, timeout
void add_tensor_padded(Registry& registry);
void add_tensor_routes(Registry& registry);
void add_tensor_shadows(Registry& registry);
void add_stateful(Registry& registry);  ///< with_state, of named tensors

}  // namespace galley::inline v1::io::detail
