// pool_before_relu: a rewriting of graphs that leaves relu less to do.
#pragma once

#include <src/torch/torch_headers.hpp>

namespace galley::inline v1::detail {

/// Turns max_pool2d(relu(x)) into relu(max_pool2d(x)), wherever nothing else looks at the relu:
/// the same numbers, as relu does not change which of two is larger, and a quarter of them, or so,
/// to go through. A graph that writes to anything in place is left alone.
void pool_before_relu(torch::jit::Block& block);

}  // namespace galley::inline v1::detail
