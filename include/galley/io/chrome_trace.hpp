// Traces in Chrome's trace format: for chrome://tracing, Perfetto, and what else reads it.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/trace.hpp>

#include <memory>
#include <span>
#include <string>

namespace galley::inline v1 {

/// Traces as one JSON document; null ones are left out.
///
/// Each trace is a process of it, named after its request, and each span a complete event ("X"),
/// times in microseconds of the traces' clock. What was served stands on the thread that it ran on,
/// of one number in all traces. What was submitted holds no thread: it stands in lanes of its
/// own, "in flight", as many as overlap. What is not answered has a beginning ("B") only. `args`
/// has the kind of node, the rows by their numbers in the request, how many the whole batch had,
/// how many of the request's failed, and how long it waited.
///
/// Source  the format: "Trace Event Format", the Chromium project
std::string chrome_trace(std::span<const std::shared_ptr<Trace>> traces);

/// The same of one trace.
std::string chrome_trace(const Trace& trace);

/// Writes the document to a file, in place of what was there: a file that cannot be written in
/// whole leaves the old one.
///
/// Errors  unavailable: the file cannot be written
/// Threads not to one path from two threads at once
Result<void> save_chrome_trace(std::span<const std::shared_ptr<Trace>> traces,
                               const std::string& path);

}  // namespace galley::inline v1
