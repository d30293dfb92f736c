#include <galley/core/signature.hpp>
#include <galley/io/graph.hpp>
#include <src/io/graph/builder.hpp>
#include <src/io/graph/check.hpp>

#include <fstream>
#include <string>
#include <utility>

namespace galley::inline v1::io::detail {

namespace {

/// What the host hands in and wants back is what the graph takes and gives.
Result<void> check_ends(const Signature* host, const Signature* graph) {
  if (host == nullptr || graph == nullptr) return {};
  if (!host->inputs.empty() && !graph->inputs.empty()) {
    const Result<void> in = compatible(host->inputs, graph->inputs);
    if (!in.has_value()) return within("$: what the host hands in", in.error());
  }
  if (!host->outputs.empty() && !graph->outputs.empty()) {
    const Result<void> out = compatible(graph->outputs, host->outputs);
    if (!out.has_value()) return within("$: what the host wants back", out.error());
  }
  return {};
}

}  // namespace

Result<LoadedGraph> load(std::string_view json, const Registry& registry, const RowTypes& rows,
                         const GraphOptions& options) {
  GALLEY_TRY(registry.check());
  GALLEY_TRY(const Value document, parse_json(json, options.json));
  GALLEY_TRY(DocumentCheck(registry.contents(), options.max_nodes).run(document));
  GALLEY_TRY(ErasedServable graph, GraphBuilder(registry.contents(), document).build(rows));
  GALLEY_TRY(check_ends(options.signature.get(), graph.signature.get()));
  return LoadedGraph{std::move(graph), to_json(document)};
}

Result<std::string> read_document(const std::string& path, const JsonLimits& limits) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error(Status::not_found, path + ": there is no such file, or none to read");
  std::string text;
  char block[4096];
  while (file.read(block, sizeof block), file.gcount() > 0) {
    text.append(block, static_cast<std::size_t>(file.gcount()));
    if (text.size() > limits.max_bytes) break;  // refused by whoever reads it
  }
  return text;
}

}  // namespace galley::inline v1::io::detail
