// The report of a benchmark: a table on the screen and a JSON file.
#pragma once

#include <support/timing.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// What a figure should be. The default is no goal: the figure is only reported.
struct Goal {
  enum class Kind { none, at_most, at_least } kind = Kind::none;
  double bound = 0;

  static Goal at_most(double bound) { return {.kind = Kind::at_most, .bound = bound}; }
  static Goal at_least(double bound) { return {.kind = Kind::at_least, .bound = bound}; }

  bool met_by(double value) const {
    if (kind == Kind::none) return true;
    return kind == Kind::at_most ? value <= bound : value >= bound;
  }
  /// "<= 100", or nothing where there is no goal.
  std::string text() const;
};

/// One line of a report.
struct Line {
  std::string id;      ///< As the issue that asked numbers it: "I1".
  std::string name;    ///< What was measured, and against what.
  std::string metric;  ///< "paired difference", "ratio", "allocations".
  std::string unit;    ///< "ns", or nothing.
  Goal goal = {};
};

/// The lines of one benchmark and the machine they were measured on.
///
/// A missed goal is reported; a wrong answer makes the program fail.
class Report {
 public:
  /// A report named `name`, to be written to the first argument or else to build/bench/<name>.json.
  /// Prints the machine.
  Report(std::string name, int argc, char** argv);

  /// Adds and prints a line.
  void add(const Line& line, const Spread& value);
  /// The same of a figure that is counted and not repeated.
  void add(const Line& line, double value) {
    add(line, Spread{.median = value, .p25 = value, .p75 = value, .pairs = 1});
  }

  /// Prints something that is not a figure, such as why a line is left out.
  void say(std::string_view text) const;

  /// Checks an answer: where it is wrong, says so, and the program will fail.
  void check(bool right, std::string_view what);

  /// Writes the file, sums up and gives the exit status: 1 after a wrong answer or without the
  /// file.
  int finish() const;

 private:
  struct Entry {
    Line line;
    Spread value;
    bool met;
  };
  std::string json() const;

  std::string name_;
  std::string path_;
  std::vector<Entry> entries_;
  std::size_t wrong_ = 0;
};

}  // namespace bench
