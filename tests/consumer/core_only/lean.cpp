// The file without exceptions and RTTI.
#include <galley/compose/map.hpp>
#include <galley/compose/pipeline.hpp>

galley::Servable<int, int> lean_step();
galley::Result<int> lean_serve(const galley::Servable<int, int>& servable, int row);

galley::Servable<int, int> lean_step() {
  return galley::map([](const int& n) -> galley::Result<int> {
    if (n < 0) return galley::Error(galley::Status::invalid_argument, "negative");
    return n * 10;
  });
}

galley::Result<int> lean_serve(const galley::Servable<int, int>& servable, int row) {
  return servable.serve(row);
}
