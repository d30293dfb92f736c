// What a batcher learned of costs, as JSON: saved, and loaded at the next start.
#pragma once

#include <galley/compose/batching/options.hpp>
#include <galley/core/result.hpp>

#include <string>
#include <string_view>

namespace galley::inline v1 {

/// The profile as JSON; times are in nanoseconds.
std::string to_json(const BatchProfile& profile);

/// The profile that `to_json` wrote.
///
/// Errors  invalid_argument: not JSON, another document, a field missing or of another type, or
///         costs that `CostTable` does not take; says where, as "kinds[0].costs[2].mean_ns"
Result<BatchProfile> batch_profile_from_json(std::string_view json);

/// Writes the profile to a file, in place of what was there: a file that cannot be written in
/// whole leaves the old one.
///
/// Errors  unavailable: the file cannot be written
/// Threads not to one path from two threads at once
Result<void> save_batch_profile(const BatchProfile& profile, const std::string& path);

/// Reads a profile that was saved; `SetBatchProfile` hands it to a batcher.
///
/// Errors  not_found: there is no such file; data_loss: it holds no profile, for the reasons that
///         `batch_profile_from_json` gives
Result<BatchProfile> load_batch_profile(const std::string& path);

}  // namespace galley::inline v1
