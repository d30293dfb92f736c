// A row that cannot be copied must be given, not lent.
// expect: (cannot bind rvalue reference|no matching member function)
#include <galley/core/servable.hpp>

#include <memory>
#include <utility>

const galley::Servable look("look", [](const std::unique_ptr<int>& p) { return *p; });
auto right(std::unique_ptr<int> row) {
  return look.serve(std::move(row));
}
#ifdef GALLEY_MISTAKE
auto wrong(const std::unique_ptr<int>& row) {
  return look.serve(row);
}
#endif
