// Machine: where figures were measured.
#pragma once

#include <string>

namespace galley::inline v1::load {

/// Where figures were measured; what the system does not say is "unknown" or negative.
struct Machine {
  std::string cpu = "unknown";
  unsigned cores = 0;
  std::string compiler = "unknown";
  /// The load of the last minute, before the run.
  double load = -1;

  friend bool operator==(const Machine&, const Machine&) = default;
};

/// The machine this runs on, now.
Machine this_machine();

}  // namespace galley::inline v1::load
