// What may be said of a batcher, asked of it and ordered.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/time.hpp>
#include <galley/core/traits.hpp>
#include <galley/policy/batch.hpp>
#include <galley/policy/cost_table.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace galley::inline v1 {

/// Whether a caller of `serve` may run its own batch when the model is free.
enum class CallerRuns : std::uint8_t { when_idle, never };

/// What becomes of a queued row that is not expected to be in time.
enum class Infeasible : std::uint8_t {
  drop,  ///< Answered `deadline_exceeded` (on entry `resource_exhausted`) without being computed.
  keep,  ///< Computed unless its deadline has passed already.
};

/// How `batched` batches. All of it may be changed while serving, with `SetBatchOptions`, but for
/// `max_running`.
struct BatchOptions {
  /// The most rows a batch may have.
  std::size_t max_rows = 64;
  /// The sizes a batch may have, ascending; empty: every one up to `max_rows`. A batch of another
  /// number of rows is filled up with copies of its last row or cut down, whichever was measured to
  /// cost less (`policy/batch_sizes.hpp`): for models compiled for fixed sizes. Once such a batch
  /// is made, no deadline or stop takes a row out of it; a servable that throws is asked again
  /// about smaller batches, of any size. Not for a stateful servable, whose state the copies would
  /// change.
  std::vector<std::size_t> sizes = {};
  /// The most rows, and bytes of rows, that may queue; more are refused.
  std::size_t max_queued_rows = 4096;
  std::size_t max_queued_bytes = std::size_t{256} << 20U;
  /// How many batches may run at once; 0 is as many as the executor has workers.
  std::size_t max_running = 0;
  /// How many kinds of rows are told apart, each with a queue and costs of its own.
  std::size_t max_kinds = 64;
  /// How long a request waits to rise by one priority; zero for never.
  Duration ageing = std::chrono::milliseconds(100);
  CallerRuns caller_runs = CallerRuns::when_idle;
  Infeasible infeasible = Infeasible::drop;

  friend bool operator==(const BatchOptions&, const BatchOptions&) = default;
};

/// What a batcher counts: `servable.control(path, statistics)` fills it in.
struct BatchStatistics {
  std::uint64_t batches = 0;      ///< Run by the executor.
  std::uint64_t rows = 0;         ///< In those.
  std::uint64_t filled = 0;       ///< Copies of rows, which filled batches up to a size.
  std::uint64_t inline_runs = 0;  ///< Run by callers of `serve`.
  std::uint64_t requests = 0;     ///< That entered the queue.
  std::uint64_t yields = 0;
  std::array<std::uint64_t, close_reasons> closed = {};  ///< Batches by `CloseReason`.
  std::uint64_t refused = 0;    ///< Rows answered `resource_exhausted` on entry.
  std::uint64_t expired = 0;    ///< Rows dropped because of their deadline.
  std::uint64_t cancelled = 0;  ///< Rows taken out of the queue by a stop.
  std::size_t queued_rows = 0;  ///< Now.
  Duration queue_time = {};     ///< Until a request's first row went, where timed.
  std::uint64_t queue_timed = 0;
  Duration compute_time = {};  ///< Of all batches the executor ran, in all.

  std::uint64_t closed_by(CloseReason reason) const noexcept {
    return closed[static_cast<std::size_t>(reason)];
  }
};

/// Changes the options; requests that queue stay queued.
struct SetBatchOptions {
  BatchOptions options = {};
};

/// Reads the policy, or changes it to another of the same type.
template <BatchPolicy P>
struct BatchPolicyOf {
  P policy = {};
};
template <BatchPolicy P>
struct SetBatchPolicy {
  P policy = {};
};

/// Closes what is queued now without waiting for more.
struct FlushBatches {};

/// Takes no more requests, which are answered `unavailable`, or takes them again; says how many
/// rows are still to be answered.
struct DrainBatches {
  enum class Admit : std::uint8_t { nothing, all } admit = Admit::nothing;
  std::size_t left = 0;
};

/// What batches cost, for each kind of rows: what was learned while serving, to begin with at the
/// next start. `io/batch_profile.hpp` writes it to a file.
struct BatchProfile {
  struct Kind {
    /// Which rows: "float32[784] cpu", "rows". Empty: all that are not named.
    std::string rows;
    CostProfile costs = {};
    friend bool operator==(const Kind&, const Kind&) = default;
  };
  std::vector<Kind> kinds = {};
  friend bool operator==(const BatchProfile&, const BatchProfile&) = default;
};
/// Begins with what was learned before; kinds of rows that it does not speak of keep what they
/// have. Serving changes nothing of it, and what comes later is learned on.
struct SetBatchProfile {
  BatchProfile profile = {};
};

namespace detail {

inline Result<void> check_batchable(const NodeTraits& traits, const BatchOptions& options) {
  const auto refused = [](std::string why) {
    return Error(Status::failed_precondition, std::move(why));
  };
  if (!traits.row_independent) {
    return refused("its rows depend on their neighbours: they cannot be put in other batches");
  }
  if (options.max_rows == 0) return refused("options.max_rows: expected at least 1, got 0");
  for (std::size_t i = 0; i < options.sizes.size(); ++i) {
    const std::size_t least = i == 0 ? 1 : options.sizes[i - 1] + 1;
    if (options.sizes[i] >= least && options.sizes[i] <= options.max_rows) continue;
    return refused("options.sizes[" + std::to_string(i) + "]: expected ascending sizes, " +
                   std::to_string(least) + " to max_rows, " + std::to_string(options.max_rows) +
                   ", got " + std::to_string(options.sizes[i]));
  }
  if (!options.sizes.empty() && traits.stateful) {
    return refused("options.sizes: copies of rows would change the state of a stateful servable");
  }
  if (options.max_kinds == 0) return refused("options.max_kinds: expected at least 1, got 0");
  constexpr std::size_t most_running = 65535;
  if (options.max_running > most_running) {
    return refused("options.max_running: expected at most " + std::to_string(most_running) +
                   ", got " + std::to_string(options.max_running));
  }
  if (options.max_queued_rows < options.max_rows) {
    return refused("options.max_queued_rows: expected at least max_rows, " +
                   std::to_string(options.max_rows) + ", got " +
                   std::to_string(options.max_queued_rows));
  }
  if (options.ageing < Duration::zero()) {
    return refused("options.ageing: expected no negative time, got " +
                   std::to_string(options.ageing.count()) + " ns");
  }
  return {};
}

}  // namespace detail

}  // namespace galley::inline v1
