#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph/breaker.hpp>
#include <galley/io/graph/clock.hpp>
#include <galley/io/graph/retry.hpp>
#include <src/io/graph/builtin.hpp>

#include <optional>

namespace galley::inline v1::io {

Fields<BudgetOptions> Described<BudgetOptions>::fields() {
  using O = BudgetOptions;
  return Fields<O>("How many rows may be tried again.")
      .add("ratio", &O::ratio, "Earned by each row that was asked for.", {.min = 0})
      .add("per_second", &O::per_second, "Earned each second.", {.min = 0})
      .add("burst", &O::burst, "The most that is saved, and what it begins with.", {.min = 0});
}

Fields<RetryOptions> Described<RetryOptions>::fields() {
  using O = RetryOptions;
  return Fields<O>("What is tried again, and how often.")
      .add("attempts", &O::attempts, "The most attempts for a row, the first among them.",
           {.min = 1, .max = RetryOptions::most_attempts})
      .add("statuses", &O::statuses, "The failures that may pass.")
      .add("budget", &O::budget, "How many rows may be tried again.")
      .add("backoff", &O::backoff, "The longest pause before the second attempt.")
      .add("max_backoff", &O::max_backoff, "And before any.")
      .add("seed", &O::seed, "What pauses are drawn from.");
}

Fields<BreakerOptions> Described<BreakerOptions>::fields() {
  using O = BreakerOptions;
  return Fields<O>("When a breaker opens and closes.")
      .add("failure_rate", &O::failure_rate, "The share of failures at which it opens.",
           {.min = 0, .max = 1})
      .add("window", &O::window, "How many of the latest rows the share is of.", {.min = 1})
      .add("least_rows", &O::least_rows, "Fewer rows than this say nothing.", {.min = 1})
      .add("open_for", &O::open_for, "How long it stays open.")
      .add("probes", &O::probes, "How many rows then try the servable.", {.min = 1})
      .add("failures", &O::failures, "What counts as a failure.");
}

namespace detail {

Result<void> check_one_clock(const std::optional<Executor>& executor,
                             const std::optional<Clock>& clock) {
  if (!executor.has_value() || !clock.has_value()) return {};
  return Error(Status::invalid_argument,
               "expected \"executor\" or \"clock\", got both: an executor has a clock of its own");
}

void add_tensor_failures(Registry& registry) {
  add_breakers<Tensor, Tensor>(registry);
  add_retries<Tensor, Tensor>(registry);
}

}  // namespace detail

}  // namespace galley::inline v1::io
