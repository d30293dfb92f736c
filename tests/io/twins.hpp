// Graphs of tensors of one number, each from a document and built in code.
#pragma once

#include <galley/compose/map.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/io/graph.hpp>
#include <galley/io/mermaid.hpp>
#include <galley/testing/manual_executor.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

namespace twins {

using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Tensor;
using Net = Servable<Tensor, Tensor>;

inline Tensor row(float number) {
  return *Tensor::copy_of({number}, {1});
}
inline float number(const Tensor& tensor) {
  return (*tensor.span<float>())[0];
}
template <class F>
Net net(const std::string& name, F f) {
  return galley::map(name, [f = std::move(f)](const Tensor& one) -> Result<Tensor> {
    const Result<float> made = f(number(one));
    if (!made.has_value()) return made.error();
    return row(*made);
  });
}
/// Fails with `unavailable` as often as `failures` says, then doubles.
inline Net failing(std::shared_ptr<int> failures) {
  return net("failing", [failures = std::move(failures)](float x) -> Result<float> {
    if ((*failures)-- > 0) return galley::Error(galley::Status::unavailable, "not yet");
    return 2 * x;
  });
}

/// What documents name.
struct Host {
  galley::ManualExecutor manual;
  galley::Registry registry;
  Net twice = net("twice", [](float x) { return 2 * x; });
  Net minus = net("minus", [](float x) { return -x; });

  Host() {
    registry.add("twice", twice).add("minus", minus);
    registry.add_executor("manual", manual).add_value("clock", manual.now().clock);
  }
  Result<Net> load(const std::string& json) const {
    return galley::load_graph<Tensor, Tensor>(json, registry);
  }
  std::string error(const std::string& json) const {
    const auto graph = load(json);
    return graph.has_value() ? "no error" : to_string(graph.error());
  }
};

inline void check_descriptions(const galley::Description& a, const galley::Description& b) {
  CHECK(a.kind == b.kind);
  CHECK(a.name == b.name);
  CHECK(a.options == b.options);
  CHECK(a.traits == b.traits);
  REQUIRE(a.children.size() == b.children.size());
  for (std::size_t i = 0; i < a.children.size(); ++i) {
    check_descriptions(a.children[i], b.children[i]);
  }
}

/// The graph of a document is described, drawn and printed as it should be.
inline Net loaded(const Host& host, const std::string& json, const Net& built) {
  CAPTURE(json);
  const auto graph = host.load(json);
  CAPTURE(graph.has_value() ? "" : graph.error().detail);
  REQUIRE(graph.has_value());
  check_descriptions(graph->describe(), built.describe());
  CHECK(to_mermaid(graph->describe()) == to_mermaid(built.describe()));
  CHECK(*galley::io::parse_json(print_graph(*graph)) == *galley::io::parse_json(json));
  const auto again = host.load(print_graph(*graph));
  REQUIRE(again.has_value());
  CHECK(print_graph(*again) == print_graph(*graph));
  return *graph;
}

/// What rows are answered, with these keys or none.
inline std::vector<Result<Tensor>> asked(const Net& graph, std::size_t rows,
                                         const std::vector<galley::Key>& keys = {}) {
  Rows<Tensor> all;
  for (std::size_t i = 0; i < rows; ++i) all.push_back(row(static_cast<float>(i) - 2));
  const auto outcomes = graph.serve_rows(all, {}, {.keys = keys});
  std::vector<Result<Tensor>> answers;
  for (std::size_t i = 0; i < rows; ++i) answers.push_back(outcomes[i].result());
  return answers;
}

/// And it answers as what was built in code.
inline void check_alike(const Host& host, const std::string& json, const Net& built,
                        const std::vector<galley::Key>& keys = {}) {
  const Net graph = loaded(host, json, built);
  CAPTURE(json);
  const std::size_t rows = keys.empty() ? 64 : keys.size();
  CHECK(asked(graph, rows, keys) == asked(built, rows, keys));
  CHECK(asked(graph, rows, keys) == asked(built, rows, keys));
}

}  // namespace twins
