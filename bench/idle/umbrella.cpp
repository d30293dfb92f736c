#include <support/report.hpp>
#include <support/timing.hpp>

#include <idle/cases.hpp>
#include <spawn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace bench {

namespace {

/// What one run of the compiler took.
struct Compilation {
  double seconds = 0;    ///< Of processor time: what other programs do meanwhile does not count.
  double megabytes = 0;  ///< At its peak.
};

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

/// Compiles `source` as the build compiles its own files, without a compiler cache; none if it
/// fails.
std::optional<Compilation> compile(const std::string& source) {
  std::string words[] = {GALLEY_BENCH_COMPILER, "-std=c++20", "-O3",  "-DNDEBUG", "-I",
                         GALLEY_BENCH_INCLUDE,  "-c",         source, "-o",       "/dev/null"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  if (::posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0) {
    return {};
  }
  int status = 0;
  rusage used{};
  if (::wait4(child, &status, 0, &used) != child || status != 0) return {};
  return Compilation{.seconds = seconds_of(used.ru_utime) + seconds_of(used.ru_stime),
                     .megabytes = static_cast<double>(used.ru_maxrss) * 1024 / 1e6};
}

/// A file that includes `header` and is otherwise empty.
std::string file_with(const std::string& directory, const char* name, const char* header) {
  std::string path = directory + "/" + name;
  std::ofstream(path) << "#include <" << header << ">\n";
  return path;
}

}  // namespace

void umbrella_cases(Report& report) {
  ::setenv("CCACHE_DISABLE", "1", 1);  // the compiler may be a link to ccache
  char directory[] = "/tmp/galley-bench-XXXXXX";
  if (::mkdtemp(directory) == nullptr) {
    return report.say("I8 is left out: no temporary directory");
  }
  const std::string ours = file_with(directory, "galley.cpp", "galley/galley.hpp");
  const std::string theirs = file_with(directory, "json.cpp", "nlohmann/json.hpp");
  constexpr std::size_t pairs = 7;
  std::vector<double> ratios;
  std::vector<double> seconds;
  std::vector<double> megabytes;
  bool compiled = true;
  for (std::size_t i = 0; i <= pairs && compiled; ++i) {
    const std::optional<Compilation> first = compile(i % 2 == 0 ? ours : theirs);
    const std::optional<Compilation> second = compile(i % 2 == 0 ? theirs : ours);
    compiled = first.has_value() && second.has_value();
    if (!compiled || i == 0) continue;  // the first pair reads the files into memory
    const Compilation& a = i % 2 == 0 ? *first : *second;
    const Compilation& b = i % 2 == 0 ? *second : *first;
    ratios.push_back(a.seconds / b.seconds);
    seconds.push_back(a.seconds);
    megabytes.push_back(a.megabytes);
  }
  for (const std::string& file : {ours, theirs}) std::remove(file.c_str());
  ::rmdir(directory);
  report.check(compiled, "<galley/galley.hpp> or <nlohmann/json.hpp> does not compile");
  if (!compiled) return;
  report.add({.id = "I8",
              .name = "compiling <galley/galley.hpp> against <nlohmann/json.hpp>, processor time",
              .metric = "ratio",
              .unit = "",
              .goal = Goal::at_most(1)},
             spread_of(ratios));
  report.add({.id = "I8",
              .name = "compiling <galley/galley.hpp>, processor time",
              .metric = "time",
              .unit = "s"},
             spread_of(seconds));
  report.add({.id = "I8",
              .name = "compiling <galley/galley.hpp>, largest of all",
              .metric = "peak memory",
              .unit = "MB",
              .goal = Goal::at_most(400)},
             *std::ranges::max_element(megabytes));
}

}  // namespace bench
