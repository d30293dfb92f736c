#include <galley/load/command_line.hpp>

#include <load/graph.hpp>

#include <cstdio>

#if GALLEY_BENCH_WITH_TORCH

#include <galley/compose/padding/samples.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/galley.hpp>
#include <galley/io.hpp>
#include <galley/torch.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

const char* const graph_usage =
    "  --graph FILE            the graph to drive: float32 rows, answers of one tensor\n"
    "  --model NAME=FILE:SHAPE a TorchScript model that it names, and a row's shape: 1x28x28;\n"
    "                          may be given several times. The first one's rows are sent\n"
    "  --workers K             threads of the executor \"cpu\"; the machine's cores unless given\n";

namespace {

using galley::Result;
using galley::Status;
using galley::Tensor;

galley::Error refused(std::string why) {
  return galley::Error(Status::invalid_argument, std::move(why));
}

template <class Number>
bool read_number(Number& to, std::string_view text) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  return error == std::errc() && end == text.data() + text.size() && to > 0;
}

struct Model {
  std::string name, file;
  galley::Shape row;
};

/// NAME=FILE:SHAPE.
Result<Model> read_model(std::string_view text) {
  const auto why = [&] {
    return refused("--model: expected NAME=FILE:SHAPE, got \"" + std::string(text) + "\"");
  };
  const std::size_t is = text.find('='), of = text.rfind(':');
  if (is == text.npos || of == text.npos || of < is) return why();
  std::vector<std::int64_t> sizes;
  for (std::string_view rest = text.substr(of + 1);;) {
    const std::size_t by = rest.find('x');
    if (!read_number(sizes.emplace_back(), rest.substr(0, by))) return why();
    if (by == rest.npos) break;
    rest.remove_prefix(by + 1);
  }
  GALLEY_TRY(const galley::Shape row, galley::Shape::of(sizes));
  constexpr std::int64_t most = std::int64_t{1} << 24;  // 64 MiB a row
  if (!row.numel().has_value() || *row.numel() > most) {
    return refused("--model: expected a row of at most " + std::to_string(most) + " numbers, got " +
                   to_string(row));
  }
  return Model{.name = std::string(text.substr(0, is)),
               .file = std::string(text.substr(is + 1, of - is - 1)),
               .row = row};
}

struct GraphCommand {
  std::string graph;
  std::vector<Model> models;
  std::size_t workers = 0;
};

Result<GraphCommand> read_arguments(std::span<const std::string> arguments) {
  GraphCommand command;
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    const std::string& name = arguments[i];
    if (i + 1 == arguments.size()) return refused(name + ": expected a value after it");
    const std::string& value = arguments[i + 1];
    if (name == "--graph") {
      command.graph = value;
    } else if (name == "--model") {
      GALLEY_TRY(Model model, read_model(value));
      command.models.push_back(std::move(model));
    } else if (name != "--workers") {
      return refused("unknown: " + name);
    } else if (!read_number(command.workers, value)) {
      return refused("--workers: expected a number from 1, got \"" + value + "\"");
    }
  }
  if (command.models.empty()) return refused("--graph: expected a --model, whose rows are sent");
  return command;
}

/// Rows between 0 and 1, the same ones every time.
Result<std::vector<Tensor>> rows_of(const galley::Shape& shape) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> draw(0, 1);
  std::vector<Tensor> rows;
  for (int i = 0; i < 64; ++i) {
    std::vector<float> values(static_cast<std::size_t>(*shape.numel()));
    std::ranges::generate(values, [&] { return draw(random); });
    GALLEY_TRY(Tensor row, Tensor::copy_of(std::span<const float>(values), shape));
    rows.push_back(std::move(row));
  }
  return rows;
}

/// As near as two sizes of one batch make it.
bool is_same(const Tensor& got, const Tensor& wanted) {
  return galley::detail::difference(got, wanted, galley::Tolerance()).empty();
}

Result<int> drive(const galley::load::Command& command) {
  GALLEY_TRY(const GraphCommand wanted, read_arguments(command.rest));
  GALLEY_TRY(galley::prepare_thread());
  const galley::ThreadPool pool{{.workers = wanted.workers}};
  galley::Registry registry;
  registry.add_executor("cpu", pool);
  for (const Model& model : wanted.models) {
    GALLEY_TRY(auto loaded,
               galley::torch_script(model.file, {.name = model.name,
                                                 .inputs = {{"row", galley::f32, model.row}},
                                                 .warm_batches = {1, 32}}));
    registry.add(model.name, std::move(loaded));
  }
  GALLEY_TRY(const auto graph, (galley::load_graph_file<Tensor, Tensor>(wanted.graph, registry)));
  GALLEY_TRY(graph.prepare());
  GALLEY_TRY(const std::vector<Tensor> rows, rows_of(wanted.models.front().row));
  std::vector<Tensor> right;
  for (const Tensor& row : rows) {
    GALLEY_TRY(Tensor answer, graph.serve(row));
    right.push_back(std::move(answer));
  }
  std::printf("%s\n", galley::print_graph(graph, registry).c_str());
  return galley::load::run(
      graph,
      {.row = galley::load::cycle(rows),
       .check = [&](std::size_t i,
                    const Tensor& got) { return is_same(got, right[i % right.size()]); }},
      command);
}

}  // namespace

int drive_graph(const galley::load::Command& command) {
  const Result<int> status = drive(command);
  if (status) return *status;
  std::fprintf(stderr, "%s\n", galley::to_string(status.error()).c_str());
  return 2;
}

}  // namespace bench

#else

namespace bench {

const char* const graph_usage = "  --graph: not in this build, which is without LibTorch\n";

int drive_graph(const galley::load::Command&) {
  std::fprintf(stderr, "%s", graph_usage);
  return 2;
}

}  // namespace bench

#endif
