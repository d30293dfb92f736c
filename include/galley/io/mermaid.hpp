// The graph of a servable as a drawing: Mermaid's text, which many viewers of Markdown draw.
#pragma once

#include <galley/core/node.hpp>

#include <string>

namespace galley::inline v1 {

/// A flowchart of what `describe` says of a servable: each node with its name, its kind and its
/// options.
///
/// The stages of a pipeline follow each other along arrows; any other node that has children is a
/// box around them. Names may hold any text. Nodes are called n0, n1, … in the order in which
/// descriptions list them, pipelines among them.
///
/// Source  the format: "Flowcharts - Basic Syntax", the Mermaid project
/// Example std::cout << "```mermaid\n" << to_mermaid(digit.describe()) << "```\n";
std::string to_mermaid(const Description& description);

}  // namespace galley::inline v1
