// "breaker": what fails too often is left alone for a while.
#pragma once

#include <galley/compose/breaker.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/graph/clock.hpp>
#include <galley/io/graph/statuses.hpp>
#include <galley/io/registry.hpp>

#include <optional>
#include <utility>

namespace galley::inline v1::io {

template <>
struct Described<BreakerOptions> {
  static Fields<BreakerOptions> fields();
};

template <class In, class Out>
struct BreakerKind {
  Required<Servable<In, Out>> of;
  std::optional<Executor> executor = {};
  std::optional<Clock> clock = {};
  BreakerOptions options = {};

  static Fields<BreakerKind> fields() {
    using K = BreakerKind;
    return Fields<K>("The same servable, left alone for a while when too many rows failed.")
        .add("of", &K::of, "What may fail.")
        .add("executor", &K::executor, "Whose clock is read.")
        .add("clock", &K::clock, "Or another clock; by default the steady one.")
        .add("options", &K::options, "When it opens and closes.")
        .inputs_from("of")
        .outputs_from("of");
  }
  Result<Servable<In, Out>> make() && {
    GALLEY_TRY(detail::check_one_clock(executor, clock));
    if (executor.has_value()) return breaker(*executor, *std::move(of), options);
    return breaker(clock.value_or(Clock()), *std::move(of), options);
  }
};

namespace detail {

template <class In, class Out>
void add_breakers(Registry& registry) {
  registry.add_kind<BreakerKind<In, Out>>("breaker");
}

}  // namespace detail

}  // namespace galley::inline v1::io
