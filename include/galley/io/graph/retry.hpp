// "retry": rows that failed are tried again.
#pragma once

#include <galley/compose/retry.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/graph/clock.hpp>
#include <galley/io/graph/statuses.hpp>
#include <galley/io/registry.hpp>

#include <concepts>
#include <optional>
#include <utility>

namespace galley::inline v1::io {

template <>
struct Described<BudgetOptions> {
  static Fields<BudgetOptions> fields();
};
template <>
struct Described<RetryOptions> {
  static Fields<RetryOptions> fields();
};

template <class In, class Out>
struct RetryKind {
  Required<Servable<In, Out>> of;
  std::optional<Executor> executor = {};
  std::optional<Clock> clock = {};
  RetryOptions options = {};

  static Fields<RetryKind> fields() {
    using K = RetryKind;
    return Fields<K>("The same servable; rows that failed for a reason that may pass are repeated.")
        .add("of", &K::of, "What may fail.")
        .add("executor", &K::executor, "Where pauses are timers; without one there are none.")
        .add("clock", &K::clock, "Where the time is read without an executor.")
        .add("options", &K::options, "What is tried again, and how often.")
        .inputs_from("of")
        .outputs_from("of");
  }
  Result<Servable<In, Out>> make() && {
    GALLEY_TRY(detail::check_one_clock(executor, clock));
    if (executor.has_value()) return retry(*std::move(executor), *std::move(of), options);
    return retry(*std::move(of), options, clock.value_or(Clock()));
  }
};

namespace detail {

template <class In, class Out>
void add_retries(Registry& registry) {
  if constexpr (std::copy_constructible<In>) registry.add_kind<RetryKind<In, Out>>("retry");
}

}  // namespace detail

}  // namespace galley::inline v1::io
