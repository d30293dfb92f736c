// "batched": rows of many callers in one batch; and the batch policies.
#pragma once

#include <galley/compose/batched.hpp>
#include <galley/io/fields.hpp>
#include <galley/policy/batch/any.hpp>
#include <galley/policy/batch/learned_cap.hpp>
#include <galley/policy/batch/preferred_sizes.hpp>
#include <galley/policy/batch/size_or_delay.hpp>

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
  static Fields<BatchOptions> fields() {
    using O = BatchOptions;
    constexpr double most = 1 << 20;
    return Fields<O>("How rows are batched.")
        .add("max_rows", &O::max_rows, "The most rows a batch may have.", {.min = 1, .max = most})
        .add("sizes", &O::sizes,
             "The sizes a batch may have, ascending; none: every one up to max_rows.",
             {.min = 1, .max = most})
        .add("max_queued_rows", &O::max_queued_rows, "The most rows that may queue.", {.min = 1})
        .add("max_queued_bytes", &O::max_queued_bytes, "The most bytes of rows that may queue.",
             {.min = 1})
        .add("max_running", &O::max_running,
             "How many batches may run at once; 0 is as many as the executor has workers.",
             {.max = 256})
        .add("max_kinds", &O::max_kinds, "How many kinds of rows are told apart.",
             {.min = 1, .max = 65536})
        .add("ageing", &O::ageing, "How long a request waits to rise by one priority; 0s is never.")
        .add("caller_runs", &O::caller_runs,
             "Whether a caller may run its own batch while the model is free.")
        .add("infeasible", &O::infeasible,
             "What becomes of a queued row that is not expected to be in time.");
  }
};

template <>
struct Described<LearnedCap> {
  static Fields<LearnedCap> fields() {
    return Fields<LearnedCap>("Takes what is there, up to the size found to be fastest per row.")
        .add("max_yields", &LearnedCap::max_yields, "How often a batch may yield to other threads.",
             {.max = 64})
        .add("probe_every", &LearnedCap::probe_every,
             "One batch in this many tries a size to learn its cost; 0 is never.");
  }
};

template <>
struct Described<SizeOrDelay> {
  static Fields<SizeOrDelay> fields() {
    return Fields<SizeOrDelay>("Closes a batch when it is full or its first row has waited enough.")
        .add("max_rows", &SizeOrDelay::max_rows, "How many rows are full.", {.min = 1})
        .add("max_delay", &SizeOrDelay::max_delay, "How long the first row waits at most.");
  }
};

struct PreferredSizesPolicy {
  Required<std::vector<std::size_t>> sizes;
  Duration max_delay = {};

  static Fields<PreferredSizesPolicy> fields() {
    using P = PreferredSizesPolicy;
    return Fields<P>("Closes a batch with the largest preferred size that there are rows for.")
        .add("sizes", &P::sizes, "The sizes.",
             {.min = 1, .min_items = 1, .max_items = PreferredSizes::max_sizes})
        .add("max_delay", &P::max_delay, "How long the first row waits for the least of them.");
  }
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

}  // namespace galley::inline v1::io
