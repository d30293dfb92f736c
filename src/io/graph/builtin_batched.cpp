#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph/batched.hpp>
#include <src/io/graph/builtin.hpp>

namespace galley::inline v1::io {

Fields<BatchOptions> Described<BatchOptions>::fields() {
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

Fields<LearnedCap> Described<LearnedCap>::fields() {
  return Fields<LearnedCap>("Takes what is there, up to the size found to be fastest per row.")
      .add("max_yields", &LearnedCap::max_yields, "How often a batch may yield to other threads.",
           {.max = 64})
      .add("probe_every", &LearnedCap::probe_every,
           "One batch in this many tries a size to learn its cost; 0 is never.");
}

Fields<SizeOrDelay> Described<SizeOrDelay>::fields() {
  return Fields<SizeOrDelay>("Closes a batch when it is full or its first row has waited enough.")
      .add("max_rows", &SizeOrDelay::max_rows, "How many rows are full.", {.min = 1})
      .add("max_delay", &SizeOrDelay::max_delay, "How long the first row waits at most.");
}

Fields<PreferredSizesPolicy> PreferredSizesPolicy::fields() {
  using P = PreferredSizesPolicy;
  return Fields<P>("Closes a batch with the largest preferred size that there are rows for.")
      .add("sizes", &P::sizes, "The sizes.",
           {.min = 1, .min_items = 1, .max_items = PreferredSizes::max_sizes})
      .add("max_delay", &P::max_delay, "How long the first row waits for the least of them.");
}

namespace detail {

void add_tensor_batched(Registry& registry) {
  registry.add_policy<AnyBatchPolicy, LearnedCap>("learned_cap");
  registry.add_policy<AnyBatchPolicy, SizeOrDelay>("size_or_delay");
  registry.add_policy<AnyBatchPolicy, PreferredSizesPolicy>("preferred_sizes");
  add_batched<Tensor, Tensor>(registry);
}

}  // namespace detail

}  // namespace galley::inline v1::io
