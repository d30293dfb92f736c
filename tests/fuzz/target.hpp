// What makes a function of bytes a fuzz target: libFuzzer's entry, or a main that goes through the
// files of the folders it is given, in order, as an ordinary test. Once a program.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace fuzz {

/// Gives `run` every file of these folders; 1 when there is none.
template <class Run>
int run_files(int count, char** folders, Run&& run) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < count; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(folders[i])) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    run(text.str());
  }
  std::printf("%zu files\n", files.size());
  return files.empty() ? 1 : 0;
}

}  // namespace fuzz

#if defined(GALLEY_LIBFUZZER)
#define FUZZ_TARGET(run)                                                              \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    (run)(std::string_view(reinterpret_cast<const char*>(data), size));               \
    return 0;                                                                         \
  }
#else
#define FUZZ_TARGET(run)                     \
  int main(int argc, char** argv) {          \
    return fuzz::run_files(argc, argv, run); \
  }
#endif
