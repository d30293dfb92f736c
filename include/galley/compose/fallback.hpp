// fallback: rows that one servable fails for go to the next.
#pragma once

#include <galley/compose/cascade.hpp>
#include <galley/compose/map.hpp>
#include <galley/core/status_set.hpp>

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// Which failures another servable is asked for.
struct FallbackOptions {
  /// By default the service's own: a row that is wrong stays wrong whoever is asked, and nobody
  /// waits for a row that was cancelled.
  StatusSet on = {Status::unavailable, Status::resource_exhausted, Status::deadline_exceeded,
                  Status::internal};
};

namespace detail {

template <class Out>
struct FallbackRule {
  static constexpr const char* kind = "fallback";
  FallbackOptions options;

  static bool settles_all(const Outcomes<Out>& outcomes) noexcept { return outcomes.all_ok(); }

  Result<bool> settles(std::size_t, const typename Outcomes<Out>::Reference& outcome) const {
    return outcome.has_value() || !options.on.contains(outcome.status());
  }
  void describe(Description& d) const { d.options.emplace_back("on", to_string(options.on)); }
};

}  // namespace detail

/// Each row is answered by the first of `chain` that does not fail for it with one of
/// `options.on`; where all do, by the last one's error. Rows that a servable answers take no part
/// in the next; those left go there together.
///
/// A row whose request's own deadline has passed is not computed again. `constant` at the end
/// answers whatever happens; `control(ChainStatistics)` says what each took.
///
/// Threads  thread-safe
/// Cost     a branch while nothing fails
/// Example  fallback({large, small, constant<Image>("unknown", Label{})})
template <class In, class Out, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In>)
Servable<In, Out> fallback(std::vector<Servable<In, Out>> chain, FallbackOptions options = {}) {
  return detail::chain<Mode>(std::move(chain), detail::FallbackRule<Out>{options});
}
template <class In, class Out, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<In>)
Servable<In, Out> fallback(std::initializer_list<Servable<In, Out>> chain,
                           FallbackOptions options = {}) {
  return fallback<In, Out, Mode>(std::vector(chain), options);
}

/// A servable named `name` that answers every row with `value`.
template <class In, class Out, class Mode = detail::ExceptionMode>
  requires(std::copy_constructible<Out>)
Servable<In, Out> constant(std::string name, Out value) {
  return Servable<In, Out>(
      std::move(name),
      [value = std::move(value)](const Batch<In>& batch, const BatchContext& context) {
        Rows<Out> answers = detail::make_rows<Out>(batch.size(), context.workspace());
        for (std::size_t i = 0; i < batch.size(); ++i) answers.push_back(value);
        return answers;
      },
      NodeTraits{}, Mode());
}

}  // namespace galley::inline v1
