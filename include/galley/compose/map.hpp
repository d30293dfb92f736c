// map: a plain function as a servable.
#pragma once

#include <galley/core/servable.hpp>

#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

namespace galley::inline v1 {

/// A servable of the per-row function `f`, named `name`; In and Out are found from f's signature.
///
/// Example  map("decode", [](const Image& image) { return decode(image); })
template <class F, class Mode = detail::ExceptionMode>
  requires(DeducibleFunction<std::decay_t<F>>)
auto map(std::string name, F&& f, NodeTraits traits = {}) {
  static_assert(
      ServesRows<std::decay_t<F>, InOf<std::decay_t<F>>, OutOf<std::decay_t<F>>> ||
          CompletesRows<std::decay_t<F>, InOf<std::decay_t<F>>, OutOf<std::decay_t<F>>>,
      "galley::map needs galley::ServesRows or galley::CompletesRows: a function of one row");
  return Servable<InOf<std::decay_t<F>>, OutOf<std::decay_t<F>>>(
      std::move(name), std::forward<F>(f), traits, Mode());
}

/// The same, named "map".
template <class F, class Mode = detail::ExceptionMode>
  requires(DeducibleFunction<std::decay_t<F>>)
auto map(F&& f) {
  return galley::map<F, Mode>("map", std::forward<F>(f));
}

/// A servable of the whole-batch function `f`, named `name`; In and Out are found from f's
/// signature.
///
/// f sees as many rows as arrive together and answers as many, in order.
///
/// Example  map_batch("scale", [](const Rows<float>& rows) -> Rows<float> { ... })
template <class F, class Mode = detail::ExceptionMode>
  requires(DeducibleFunction<std::decay_t<F>>)
auto map_batch(std::string name, F&& f, NodeTraits traits = {}) {
  static_assert(
      ServesBatches<std::decay_t<F>, InOf<std::decay_t<F>>, OutOf<std::decay_t<F>>> ||
          CompletesBatches<std::decay_t<F>, InOf<std::decay_t<F>>, OutOf<std::decay_t<F>>>,
      "galley::map_batch needs galley::ServesBatches or galley::CompletesBatches: a function of a "
      "galley::Rows or galley::Batch");
  return Servable<InOf<std::decay_t<F>>, OutOf<std::decay_t<F>>>(
      std::move(name), std::forward<F>(f), traits, Mode());
}

/// The same, named "map_batch".
template <class F, class Mode = detail::ExceptionMode>
  requires(DeducibleFunction<std::decay_t<F>>)
auto map_batch(F&& f) {
  return galley::map_batch<F, Mode>("map_batch", std::forward<F>(f));
}

}  // namespace galley::inline v1
