// PinnedContext: a request bound to the versions of now, before it is split.
#pragma once

#include <galley/core/context.hpp>
#include <galley/core/function_ref.hpp>
#include <galley/core/node.hpp>
#include <galley/core/pins.hpp>

#include <memory>
#include <utility>

namespace galley::inline v1 {

/// A context whose rows see one version of each slot beneath a node, however the node splits them
/// and however often it asks its children. Bound already, or no slot beneath: the context as it is.
///
/// Cost  a branch where there is no slot beneath, else two allocations
class PinnedContext {
 public:
  using Visit = FunctionRef<void(const NodeHeader&)>;

  /// `each_child(visit)` calls visit for every child of a node with these traits.
  template <class EachChild>
  PinnedContext(const BatchContext& context, const NodeTraits& traits, EachChild&& each_child)
      : view_(context) {
    if (!traits.versioned || context.pins() != nullptr) [[likely]]
      return;
    auto pins = std::make_shared<Pins>();
    each_child(Visit([&](const NodeHeader& child) { child.table->pin(child, *pins); }));
    pins_ = std::move(pins);
    view_ = context.pinned(pins_);
  }

  PinnedContext(const PinnedContext&) = delete;
  PinnedContext& operator=(const PinnedContext&) = delete;

  const BatchContext& view() const noexcept { return view_; }

 private:
  std::shared_ptr<const Pins> pins_;
  BatchContext view_;
};

}  // namespace galley::inline v1
