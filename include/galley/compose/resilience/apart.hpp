// What nodes share that ask a child twice, or may answer before it does.
#pragma once

#include <galley/compose/on.hpp>
#include <galley/core/node.hpp>
#include <galley/core/pins.hpp>
#include <galley/core/servable.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace galley::inline v1::detail {

/// The servable, on `executor` where it would compute on the thread that submits to it: whoever
/// does can then go on while it computes.
template <class Mode, class In, class Out>
Servable<In, Out> off_thread(const Executor& executor, Servable<In, Out> servable) {
  if (!servable.traits().inline_only) return servable;
  return on<In, Out, Mode>(executor, std::move(servable));
}

/// Ok, or why a servable cannot be asked twice.
inline Result<void> check_repeatable(const NodeTraits& traits, const std::string& name) {
  const auto refused = [&](const char* why) {
    return Error(Status::failed_precondition, name + ": " + why);
  };
  if (traits.stateful) return refused("it is stateful: asked again, it would count a row twice");
  if (!traits.repeatable) return refused("it is not repeatable: asking again is not harmless");
  return {};
}

/// The versions that a request of several rows sees in all its calls of `nodes`; null where it
/// need not be bound to any.
template <class... Nodes>
std::shared_ptr<const Pins> pins_for(const BatchContext& context, std::size_t rows,
                                     const Nodes&... nodes) {
  if (context.pins() != nullptr) return *context.shared_pins();
  if (rows < 2 || !(nodes.traits.versioned || ...)) return nullptr;
  auto pins = std::make_shared<Pins>();
  (nodes.table->pin(nodes, *pins), ...);
  return pins;
}

}  // namespace galley::inline v1::detail
