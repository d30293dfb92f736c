// The file with exceptions. The other has none; both use the same templates of galley on the same
// types, and each serves what the other made.
#include <galley/compose/map.hpp>
#include <galley/compose/pipeline.hpp>

#include <stdexcept>

galley::Servable<int, int> lean_step();
galley::Result<int> lean_serve(const galley::Servable<int, int>& servable, int row);

int main() {
  const auto throwing = galley::map([](const int& n) -> int {
    if (n == 13) throw std::runtime_error("thirteen");
    return n + 1;
  });
  const auto graph = throwing | lean_step();
  const galley::Result<int> right = lean_serve(graph, 2);
  const galley::Result<int> thrown = lean_serve(graph, 13);
  const galley::Result<int> refused = graph.serve(-5);
  if (!right || *right != 30) return 1;
  if (thrown || thrown.error().status != galley::Status::internal) return 2;
  if (refused || refused.error().status != galley::Status::invalid_argument) return 3;
  return 0;
}
