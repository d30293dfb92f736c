#include <src/runtime/system.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace galley::inline v1::detail {

#if defined(__linux__)

namespace {

constexpr std::size_t longest_name = 15;

/// The logical processors that share a core with `processor`, as the kernel lists them ("0,4").
std::string siblings(int processor) {
  std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(processor) +
                     "/topology/thread_siblings_list");
  std::string line;
  std::getline(file, line);
  return line.empty() ? "alone " + std::to_string(processor) : line;
}

}  // namespace

void name_this_thread(const std::string& name) noexcept {
  std::array<char, longest_name + 1> text{};
  const std::size_t dash = name.rfind('-');
  const std::size_t tail = dash == std::string::npos ? 0 : name.size() - dash;
  if (name.size() <= longest_name || tail > longest_name) {
    name.copy(text.data(), longest_name);
  } else {
    name.copy(text.data(), longest_name - tail);
    name.copy(text.data() + longest_name - tail, tail, dash);
  }
  pthread_setname_np(pthread_self(), text.data());
}

std::size_t physical_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
    return std::max(1U, std::thread::hardware_concurrency());
  }
  std::set<std::string> cores;
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (CPU_ISSET(processor, &allowed)) cores.insert(siblings(processor));
  }
  return std::max<std::size_t>(1, cores.size());
}

#else

void name_this_thread(const std::string&) noexcept {}

std::size_t physical_cores() {
  return std::max(1U, std::thread::hardware_concurrency());
}

#endif

}  // namespace galley::inline v1::detail
