// A rule answers an arm: its number, its label, or a Result of one.
// expect: RouteRule|RoutePolicy
#include <galley/compose/map.hpp>
#include <galley/compose/route.hpp>

#include <vector>

const auto arm = galley::map("arm", [](int n) { return n; });
auto right() {
  return galley::route([](int n) { return n % 2; }, {arm, arm});
}
#ifdef GALLEY_MISTAKE
auto wrong() {
  return galley::route([](int) { return std::vector<int>(); }, {arm, arm});
}
#endif
