// Rows that wait for an executor are copied from a lender, so they must copy.
// expect: copy_constructible
#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>

#include <memory>

const auto copied = galley::map("copied", [](const std::shared_ptr<int>& p) { return *p; });
const auto moved = galley::map("moved", [](const std::unique_ptr<int>& p) { return *p; });
auto right(galley::Executor executor) {
  return galley::on(executor, copied);
}
#ifdef GALLEY_MISTAKE
auto wrong(galley::Executor executor) {
  return galley::on(executor, moved);
}
#endif
