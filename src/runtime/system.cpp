#include <src/runtime/system.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#if defined(__linux__)
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
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

/// An open file, closed at the end.
struct Descriptor {
  explicit Descriptor(int number) noexcept : value(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value >= 0) close(value);
  }
  int value;
};

/// Memory that a file is mapped to, unmapped at the end.
struct Mapping {
  Mapping(void* memory, std::size_t size) noexcept : address(memory), bytes(size) {}
  Mapping(Mapping&& other) noexcept
      : address(std::exchange(other.address, nullptr)), bytes(other.bytes) {}
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping() {
    if (address != nullptr) munmap(address, bytes);
  }
  void* address;
  std::size_t bytes;
};

Error system_error(Status status, const char* what) {
  return Error(status, std::string(what) + ": " + std::generic_category().message(errno));
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

Result<MappedFile> map_file(const std::string& path) {
  // Not blocking: a pipe that nobody writes to is opened too, and then seen to be no file.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.value < 0) {
    return errno == ENOENT || errno == ENOTDIR
               ? Error(Status::not_found, "no such file")
               : system_error(Status::data_loss, "cannot be opened");
  }
  struct stat status {};
  if (fstat(file.value, &status) != 0) return system_error(Status::data_loss, "cannot be read");
  if (!S_ISREG(status.st_mode))
    return Error(Status::data_loss, "expected a file, got another thing");
  if (status.st_size == 0) return MappedFile{};
  const auto bytes = static_cast<std::size_t>(status.st_size);
  // Nobody is to write there. Who does it all the same, through a LibTorch tensor, which knows no
  // const, writes to a copy of the page and not to the file.
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.value, 0);
  if (memory == MAP_FAILED) return system_error(Status::resource_exhausted, "cannot be mapped");
  Owner owner = Owner::hold(Mapping(memory, bytes)).owner;
  return MappedFile{std::move(owner), {static_cast<const std::byte*>(memory), bytes}};
}

#else

void name_this_thread(const std::string&) noexcept {}

std::size_t physical_cores() {
  return std::max(1U, std::thread::hardware_concurrency());
}

Result<MappedFile> map_file(const std::string&) {
  return Error(Status::unimplemented, "files are not mapped on this system");
}

#endif

}  // namespace galley::inline v1::detail
