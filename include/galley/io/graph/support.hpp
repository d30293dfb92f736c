// All kinds of nodes that galley has, for one pair of row types: what `Registry::support` needs,
// and who calls it includes.
#pragma once

#include <galley/io/graph/batched.hpp>
#include <galley/io/graph/breaker.hpp>
#include <galley/io/graph/chain.hpp>
#include <galley/io/graph/constant.hpp>
#include <galley/io/graph/ensemble.hpp>
#include <galley/io/graph/filter.hpp>
#include <galley/io/graph/guard.hpp>
#include <galley/io/graph/hedge.hpp>
#include <galley/io/graph/in_order.hpp>
#include <galley/io/graph/on.hpp>
#include <galley/io/graph/padded.hpp>
#include <galley/io/graph/retry.hpp>
#include <galley/io/graph/route.hpp>
#include <galley/io/graph/shadow.hpp>
#include <galley/io/graph/slot.hpp>
#include <galley/io/graph/timeout.hpp>
#include <galley/io/registry.hpp>

namespace galley::inline v1::io::detail {

/// A combinator is a header beside this one, a line here, and one in `src/io/graph`, where what is
/// for tensors is compiled.
template <class In, class Out>
struct Support {
  static void add(Registry& registry) {
    add_batched<In, Out>(registry);
    add_breakers<In, Out>(registry);
    add_chains<In, Out>(registry);
    add_constants<In, Out>(registry);
    add_ensembles<In, Out>(registry);
    add_filters<In, Out>(registry);
    add_guards<In, Out>(registry);
    add_hedges<In, Out>(registry);
    add_in_order<In, Out>(registry);
    add_on<In, Out>(registry);
    add_padded<In, Out>(registry);
    add_retries<In, Out>(registry);
    add_routes<In, Out>(registry);
    add_shadows<In, Out>(registry);
    add_slots<In, Out>(registry);
    add_timeouts<In, Out>(registry);
  }
};

}  // namespace galley::inline v1::io::detail
