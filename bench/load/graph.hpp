// load --graph: a graph of TorchScript models, from a document, under load.
#pragma once

#include <galley/load/command_line.hpp>

namespace bench {

/// What `load` takes after `--graph`, a line an option.
extern const char* const graph_usage;

/// Loads and drives the graph that `command.rest` names; what the program is to exit with.
int drive_graph(const galley::load::Command& command);

}  // namespace bench
