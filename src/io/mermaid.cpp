#include <galley/io/mermaid.hpp>

#include <cstddef>
#include <string_view>
#include <utility>

namespace galley::inline v1 {

namespace {

/// Text within a label: what Mermaid, or the HTML that it makes, would read as its own is written
/// by its number.
std::string escaped(std::string_view text) {
  constexpr std::string_view special = "\"#&<>`\\";
  std::string label;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (special.find(c) != special.npos) {
      label += '#' + std::to_string(code) + ';';
    } else {
      label += code < 0x20U || code == 0x7FU ? ' ' : c;  // a label is one line
    }
  }
  return label;
}

std::string label_of(const Description& node) {
  std::string label = escaped(node.name);
  if (node.kind != node.name) label += "<br/>" + escaped(node.kind);
  for (const auto& [name, value] : node.options) {
    label += "<br/>" + escaped(name) + " = " + escaped(value);
  }
  return '"' + label + '"';
}

/// Writes a flowchart, node by node.
class Chart {
 public:
  /// What arrows lead to and from.
  struct Ends {
    std::string first;
    std::string last;
  };

  Ends add(const Description& node, std::size_t depth) {
    const std::string id = "n" + std::to_string(next_++);
    if (node.children.empty()) {
      line(depth, id + '[' + label_of(node) + ']');
      return {id, id};
    }
    if (node.kind == "pipeline") return chain(node, depth);
    line(depth, "subgraph " + id + '[' + label_of(node) + ']');
    for (const Description& child : node.children) add(child, depth + 1);
    line(depth, "end");
    return {id, id};
  }

  void line(std::size_t depth, std::string_view text) {
    text_.append(2 * depth, ' ').append(text) += '\n';
  }
  std::string text() && { return std::move(text_); }

 private:
  Ends chain(const Description& pipeline, std::size_t depth) {
    Ends all;
    for (const Description& stage : pipeline.children) {
      const Ends ends = add(stage, depth);
      if (!all.last.empty()) line(depth, all.last + " --> " + ends.first);
      if (all.first.empty()) all.first = ends.first;
      all.last = ends.last;
    }
    return all;
  }

  std::string text_ = "flowchart LR\n";
  std::size_t next_ = 0;
};

}  // namespace

std::string to_mermaid(const Description& description) {
  Chart chart;
  chart.line(1, "input([\"" + escaped(description.input) + "\"])");
  const Chart::Ends ends = chart.add(description, 1);
  chart.line(1, "output([\"" + escaped(description.output) + "\"])");
  chart.line(1, "input --> " + ends.first);
  chart.line(1, ends.last + " --> output");
  return std::move(chart).text();
}

}  // namespace galley::inline v1
