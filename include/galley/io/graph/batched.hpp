// "batched": rows of many callers in one batch; and the batch policies.
#pragma once

#include <galley/compose/batched.hpp>
#include <galley/io/fields.hpp>
#include <galley/io/registry.hpp>
#include <galley/policy/batch/any.hpp>
#include <galley/policy/batch/learned_cap.hpp>
#include <galley/policy/batch/preferred_sizes.hpp>
#include <galley/policy/batch/size_or_delay.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

template <>
struct Described<CallerRuns> {
  static std::vector<std::pair<std::string, CallerRuns>> choices() {
    return {{"when_idle", CallerRuns::when_idle}, {"never", CallerRuns::never}};
  }
};
template <>
struct Described<Infeasible> {
  static std::vector<std::pair<std::string, Infeasible>> choices() {
    return {{"drop", Infeasible::drop}, {"keep", Infeasible::keep}};
  }
};

template <>
struct Described<BatchOptions> {
  static Fields<BatchOptions> fields();
};

template <>
struct Described<LearnedCap> {
  static Fields<LearnedCap> fields();
};

template <>
struct Described<SizeOrDelay> {
  static Fields<SizeOrDelay> fields();
};

struct PreferredSizesPolicy {
  Required<std::vector<std::size_t>> sizes;
  Duration max_delay = {};

  static Fields<PreferredSizesPolicy> fields();
  AnyBatchPolicy make() const { return PreferredSizes(std::span(*sizes), max_delay); }
};

template <class In, class Out>
struct BatchedKind {
  Required<Executor> executor;
  Required<Servable<In, Out>> of;
  BatchOptions options = {};
  AnyBatchPolicy policy = {};

  static Fields<BatchedKind> fields() {
    using K = BatchedKind;
    return Fields<K>("The same servable, its rows merged with those of other requests.")
        .add("executor", &K::executor, "Where batches run.")
        .add("of", &K::of, "What is asked about batches.")
        .add("options", &K::options, "How rows are batched.")
        .add("policy", &K::policy, "When a batch is closed; by default learned_cap.")
        .inputs_from("of")
        .outputs_from("of");
  }
  Servable<In, Out> make() && {
    return batched(*std::move(executor), *std::move(of), std::move(options), std::move(policy));
  }
};

namespace detail {

template <class In, class Out>
void add_batched(Registry& registry) {
  if constexpr (std::copy_constructible<In>) registry.add_kind<BatchedKind<In, Out>>("batched");
}

}  // namespace detail

}  // namespace galley::inline v1::io
