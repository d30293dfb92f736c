// Whose clock a kind goes by, where an executor or a clock may be named.
#pragma once

#include <galley/core/executor.hpp>
#include <galley/core/result.hpp>
#include <galley/core/time.hpp>

#include <optional>

namespace galley::inline v1::io::detail {

/// Errors  invalid_argument: both are given
Result<void> check_one_clock(const std::optional<Executor>& executor,
                             const std::optional<Clock>& clock);

}  // namespace galley::inline v1::io::detail
