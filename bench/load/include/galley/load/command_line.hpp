// The command line of a load program, and what it does with the answer.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/time.hpp>
#include <galley/load/sweep.hpp>
#include <galley/load/traffic.hpp>

#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace galley::inline v1::load {

/// What `parse` knows, one line an option.
extern const std::string_view usage;

/// What a load program was asked to do.
struct Command {
  /// Replace the traffic's own unless zero.
  Duration deadline = {};
  Duration give_up = {};
  /// Where reports go; an empty path is nowhere.
  std::string json = "load.json";
  std::string html = "load.html";
  /// What this did not know, in order: for the program's own options.
  std::vector<std::string> rest = {};
  SweepOptions sweep = {};  // last, because of g++ 12: see there
};

/// Reads a program's arguments, its name left out; what they do not say is as in `defaults`.
///
/// Errors  `invalid_argument`: a value that is missing or none
Result<Command> parse(std::span<const std::string> arguments, Command defaults = {});
Result<Command> parse(int argc, char** argv, Command defaults = {});

/// Prints the table and writes the files.
///
/// Errors  `unavailable`: a file cannot be written
Result<void> publish(const Sweep& sweep, const Command& command);

/// Sweeps, prints and writes; what a program is to exit with: 1 after a wrong answer or an error,
/// which it prints.
template <class In, class Out>
int run(const Servable<In, Out>& servable, const std::type_identity_t<Traffic<In, Out>>& traffic,
        const Command& command);

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

int report(const Result<Sweep>& sweep, const Command& command);

}  // namespace detail

template <class In, class Out>
int run(const Servable<In, Out>& servable, const std::type_identity_t<Traffic<In, Out>>& traffic,
        const Command& command) {
  Traffic<In, Out> wanted = traffic;
  if (command.deadline != Duration::zero()) wanted.deadline = command.deadline;
  if (command.give_up != Duration::zero()) wanted.give_up = command.give_up;
  return detail::report(sweep(servable, wanted, command.sweep), command);
}

}  // namespace galley::inline v1::load
