// Fuzzes the loader of graphs: any bytes load, or are told with a place; what loads prints itself.
//
// With -DGALLEY_FUZZ=ON and clang: graph_fuzz <corpus>. Without libFuzzer its main goes through the
// files that it is given, as an ordinary test.
#include <io/graphs.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "graph_fuzz: %s\n", what);
  std::abort();
}

void load(const std::string& text) {
  static const graphs::Host host;
  const auto graph = host.load(text);
  if (!graph.has_value()) {
    const std::string& detail = graph.error().detail;
    require(!detail.empty() && detail[0] == '$', "an error has no place");
    return require(detail.size() < 1000, "an error is longer than one reads");
  }
  const std::string printed = print_graph(*graph);
  const auto again = host.load(printed);
  require(again.has_value(), "what was printed does not load");
  require(print_graph(*again) == printed, "what was printed prints otherwise");
  require(again->name() == graph->name(), "what was printed is another graph");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  load(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}

#if !defined(GALLEY_LIBFUZZER)
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    load(text.str());
  }
  std::printf("%zu files\n", files.size());
  return files.empty() ? 1 : 0;
}
#endif
