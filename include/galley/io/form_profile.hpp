// What was measured of a model's forms, as JSON: saved, and loaded at the next start.
#pragma once

#include <galley/core/result.hpp>
#include <galley/torch/options.hpp>

#include <string>
#include <string_view>

namespace galley::inline v1 {

/// The profile as JSON; times are in nanoseconds.
std::string to_json(const FormProfile& profile);

/// The profile that `to_json` wrote.
///
/// Errors  invalid_argument: not JSON, another document, a field missing or of another type, or
///         costs that `CostTable` does not take; says where, as "forms[0].costs[2].mean_ns"
Result<FormProfile> form_profile_from_json(std::string_view json);

/// Writes the profile to a file, in place of what was there: a file that cannot be written in
/// whole leaves the old one.
///
/// Errors  unavailable: the file cannot be written
/// Threads not to one path from two threads at once
Result<void> save_form_profile(const FormProfile& profile, const std::string& path);

/// Reads a profile that was saved; `SetFormProfile` hands it to a servable.
///
/// Errors  not_found: there is no such file; data_loss: it holds no profile, for the reasons that
///         `form_profile_from_json` gives
Result<FormProfile> load_form_profile(const std::string& path);

}  // namespace galley::inline v1
