// Status and Error: why a row or a call did not succeed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace galley::inline v1 {

/// Why something did not succeed, in the words a caller can act on.
///
/// The gRPC vocabulary cut to what an in-process server needs. Branch on this, never on the text of
/// an `Error`.
enum class Status : std::uint8_t {
  ok,                   ///< Succeeded. Never found inside an `Error`.
  cancelled,            ///< The caller gave up, or a completion was dropped: nothing to do.
  invalid_argument,     ///< This row is wrong: mend it before trying again.
  deadline_exceeded,    ///< Too late: try again with more time or less load.
  not_found,            ///< The named file, version or node does not exist.
  already_exists,       ///< The name or id is taken: choose another.
  resource_exhausted,   ///< A queue, pool or memory is full: back off and try again.
  failed_precondition,  ///< Not in a state for this: fix the composition or its setup.
  unavailable,          ///< Shut down, lost or broken open: another servable may answer.
  data_loss,            ///< A file is unreadable or corrupt: get it anew.
  unimplemented,        ///< This build or model cannot do it: use another form.
  internal,             ///< A stage threw or miscounted its rows: a defect to report.
};

/// The enumerator's own name, such as "invalid_argument".
constexpr std::string_view to_string(Status status) noexcept {
  constexpr std::string_view names[] = {
      "ok",          "cancelled",      "invalid_argument",   "deadline_exceeded",
      "not_found",   "already_exists", "resource_exhausted", "failed_precondition",
      "unavailable", "data_loss",      "unimplemented",      "internal"};
  const auto index = static_cast<std::size_t>(status);
  return index < std::size(names) ? names[index] : std::string_view("unknown");
}

/// A status other than `ok` and a text for people.
///
/// `detail` says what was got, what was wanted and where; it is never parsed, and may be empty on
/// hot paths so that nothing allocates. An error built with `ok` becomes `internal`: success is
/// never an error.
struct Error {
  Status status = Status::internal;
  std::string detail;

  Error() = default;
  explicit Error(Status why, std::string what = {})
      : status(why == Status::ok ? Status::internal : why), detail(std::move(what)) {}

  friend bool operator==(const Error&, const Error&) = default;
};

/// "status: detail", or only the status where there is no detail.
inline std::string to_string(const Error& error) {
  std::string text(to_string(error.status));
  if (!error.detail.empty()) text.append(": ").append(error.detail);
  return text;
}

/// The same error with `where` put before its detail: "where: detail".
inline Error within(std::string_view where, Error error) {
  error.detail = error.detail.empty() ? std::string(where)
                                      : std::string(where).append(": ").append(error.detail);
  return error;
}

}  // namespace galley::inline v1
