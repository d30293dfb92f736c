// NodeTraits: what combinators and decorators may assume of a servable.
#pragma once

namespace galley::inline v1 {

/// What may be assumed of a servable; computed upward through a graph.
struct NodeTraits {
  /// Answers on the calling thread, waiting for nobody.
  bool inline_only = true;
  /// A row's answer depends on earlier rows of its sequence.
  bool stateful = false;
  /// Equal rows give equal answers.
  bool deterministic = true;
  /// Asking again is harmless, so a failed batch may be halved and a failed row tried again.
  bool repeatable = true;
  /// A row's answer does not depend on its neighbours in the batch.
  bool row_independent = true;
  /// There is a slot beneath: the answer depends on a version that may change while serving.
  bool versioned = false;
  /// Rows of unlike shapes in one batch cost it no more than in batches apart: it sorts them. A
  /// batcher before it then keeps them together.
  bool mixed_shapes = false;

  /// The traits of a graph that uses both.
  friend constexpr NodeTraits operator&(NodeTraits a, NodeTraits b) noexcept {
    return {.inline_only = a.inline_only && b.inline_only,
            .stateful = a.stateful || b.stateful,
            .deterministic = a.deterministic && b.deterministic,
            .repeatable = a.repeatable && b.repeatable,
            .row_independent = a.row_independent && b.row_independent,
            .versioned = a.versioned || b.versioned,
            .mixed_shapes = a.mixed_shapes && b.mixed_shapes};
  }
  friend constexpr bool operator==(const NodeTraits&, const NodeTraits&) = default;
};

}  // namespace galley::inline v1
