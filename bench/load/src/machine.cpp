#include <galley/load/machine.hpp>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

namespace galley::inline v1::load {

namespace {

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != line.npos) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace

Machine this_machine() {
  Machine machine{.cpu = cpu_model(), .cores = std::thread::hardware_concurrency()};
#if defined(__clang__)
  machine.compiler = "clang " __clang_version__;
#elif defined(__GNUC__)
  machine.compiler = "g++ " __VERSION__;
#endif
#if defined(__unix__) || defined(__APPLE__)
  if (double one_minute = 0; getloadavg(&one_minute, 1) == 1) machine.load = one_minute;
#endif
  return machine;
}

}  // namespace galley::inline v1::load
