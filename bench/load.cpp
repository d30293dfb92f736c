// The load harness on a small model of its own, or on a graph of yours from a document:
//
//   sh bench/run.sh load --arrivals bursty
//   sh bench/run.sh load --graph graph.json --model net=net.pt:1x28x28 --rate 500
//
// With your servable in the place of `model`, this is the program to measure it with.
#include <galley/galley.hpp>
#include <galley/load/command_line.hpp>

#include <load/graph.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace {

/// Multiplies for some 200 us, as a small model does.
std::uint64_t churn(std::uint64_t seed) {
  for (int i = 0; i < 200'000; ++i) seed = seed * 6364136223846793005U + 1442695040888963407U;
  return seed;
}

}  // namespace

int main(int argc, char** argv) {
  const galley::Result<galley::load::Command> command = galley::load::parse(
      argc, argv, {.json = "build/bench/load.json", .html = "build/bench/load.html"});
  const bool is_graph = command && std::ranges::count(command->rest, "--graph") != 0;
  if (is_graph) return bench::drive_graph(*command);
  if (!command || !command->rest.empty()) {
    const std::string why =
        command ? "unknown: " + command->rest.front() : galley::to_string(command.error());
    std::fprintf(stderr, "%s\nusage: load [option...]\n%s%s", why.c_str(),
                 galley::load::usage.data(), bench::graph_usage);
    return 2;
  }
  // One worker: the generator has a core of its own where there are two.
  galley::ThreadPool pool{{.workers = 1}};
  const auto model = galley::on(pool, galley::map("churn", churn));
  if (auto ready = model.prepare(); !ready) {
    std::fprintf(stderr, "%s\n", galley::to_string(ready.error()).c_str());
    return 1;
  }
  const std::vector<std::uint64_t> rows = {1, 2, 3, 5, 8};
  std::vector<std::uint64_t> right;
  right.reserve(rows.size());
  for (const std::uint64_t row : rows) right.push_back(churn(row));
  return galley::load::run(
      model,
      {.row = galley::load::cycle(rows),
       .check = [&](std::size_t i,
                    const std::uint64_t& got) { return got == right[i % right.size()]; },
       .deadline = std::chrono::milliseconds(10)},
      *command);
}
