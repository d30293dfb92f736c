// Fuzzes the loader of graphs: any bytes load, or are told with a place; what loads prints itself.
//
// With -DGALLEY_FUZZ=ON and clang: graph_fuzz <corpus>. Without libFuzzer its main goes through the
// files that it is given, as an ordinary test.
#include <fuzz/target.hpp>
#include <io/graphs.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

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

FUZZ_TARGET([](std::string_view input) { load(std::string(input)); })
