// Reports of a sweep: a table for people, JSON for programs, a page with a plot.
#pragma once

#include <galley/load/sweep.hpp>

#include <string>

namespace galley::inline v1::load {

/// A table, one line a run, with what may not be believed marked and explained beneath it. A
/// percentile of too few samples is "-".
std::string to_table(const Sweep& sweep);

/// JSON. Durations are in nanoseconds, rates in requests per second; a percentile of too few
/// samples is null. A run is to be used where its `verdict` is "valid".
std::string to_json(const Sweep& sweep);

/// The median and p99 latency over the throughput as a picture of its own, the latency logarithmic.
/// Points of runs that are not valid are hollow; the line is the capacity.
std::string to_svg(const Sweep& sweep);

/// The picture and the table as one page that needs nothing else.
std::string to_html(const Sweep& sweep);

}  // namespace galley::inline v1::load
