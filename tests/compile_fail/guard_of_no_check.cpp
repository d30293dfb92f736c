// A check answers bool or Result<void>.
// expect: GuardCheck|RowCheck
#include <galley/compose/guard.hpp>
#include <galley/compose/map.hpp>

const auto model = galley::map("model", [](int n) { return n; });
auto right() {
  return galley::guard([](int n) { return n > 0; }, model);
}
#ifdef GALLEY_MISTAKE
auto wrong() {
  return galley::guard([](int n) { return n; }, model);
}
#endif
